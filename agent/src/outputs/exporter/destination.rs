//! An OTLP destination, of metrics or of events: its queue, its sender, and the client that may be replaced while they go on.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{runtime, task::JoinHandle};

use crate::{
    outputs::otlp::{
        Encoder, LogEncoder,
        http::Client,
        queue::Batch,
        sender::{self, Handle, Settings},
    },
    telemetry::{
        added::Added,
        events::Occurrences,
        snapshot::{Phase, Snapshot},
    },
    units::Nanos,
};

/// A destination that is sent to.
pub(super) struct Destination<E> {
    pub(super) handle: Handle,
    encoder: E,
    /// Of the last batch, where they have none of their own.
    number: u64,
    client: Arc<RwLock<Arc<Client>>>,
    task: JoinHandle<()>,
}

impl<E> Destination<E> {
    /// Sends from now on.
    pub(super) fn start(runtime: &runtime::Handle, client: Client, settings: &Settings, encoder: E) -> Self {
        let (handle, sender) = sender::new(settings);
        let client = Arc::new(RwLock::new(Arc::new(client)));
        let current = Arc::clone(&client);
        let task = runtime.spawn(sender.run(move |body, encoding| {
            let client = Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner));
            async move { client.send(body, encoding).await }
        }));
        Self { handle, encoder, number: 0, client, task }
    }

    /// Sends to somewhere else, what waits too.
    pub(super) fn redirect(&self, client: Client, settings: &Settings) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
        self.handle.redirect(settings.encoding);
    }

    /// Tells the sender to send what is left, `within` at most; it is over when the task is.
    pub(super) fn stop(self, within: Duration) -> (Handle, JoinHandle<()>) {
        self.handle.stop(within);
        (self.handle, self.task)
    }
}

impl Destination<Encoder> {
    /// What is added to resources from now on.
    pub(super) fn label(&mut self, added: Added) {
        self.encoder.add(added);
    }

    /// Queues a snapshot.
    pub(super) fn offer(&mut self, snapshot: &Snapshot) {
        let mut chunks = Vec::new();
        self.encoder.encode(snapshot, |chunk| chunks.push(chunk));
        let mut births = Vec::new();
        self.encoder.encode_births(snapshot, |chunk| births.push(chunk));
        let finals = finals(snapshot);
        self.handle.offer(Batch { number: snapshot.number, chunks, births, finals, carried: Vec::new() });
    }
}

impl Destination<LogEncoder> {
    /// What is added to resources from now on.
    pub(super) fn label(&mut self, added: Added) {
        self.encoder.add(added);
    }

    /// Queues events, each chunk by itself: one that has to make room takes no other with it. `observed` is the wall clock.
    pub(super) fn offer(&mut self, occurrences: &[Occurrences], observed: Nanos) {
        let Self { encoder, handle, number, .. } = self;
        encoder.encode(occurrences, observed, |chunk| {
            *number += 1;
            handle.offer(Batch { number: *number, chunks: vec![chunk], ..Batch::default() });
        });
    }
}

/// Ended entities by a number that stays theirs: what a thinned queue must not lose.
fn finals(snapshot: &Snapshot) -> Vec<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let ended =
        snapshot.entities.iter().filter(|entity| entity.series.iter().any(|series| series.phase == Phase::Ended));
    let number = |id: &crate::identity::Triplet| {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        hasher.finish()
    };
    ended.map(|entity| number(&entity.resource.id)).collect()
}
