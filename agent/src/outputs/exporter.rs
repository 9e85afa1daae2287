//! The thread that talks to the network: it sends OTLP and serves `/metrics`. The sampling thread hands over
//! a snapshot and goes on: it never waits for a destination or a scraper.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{runtime, sync::watch, task};

use self::{destination::Destination, page::Page, signals::Caught};
use super::{
    otlp::{
        Encoder, LogEncoder,
        http::Client,
        queue::Items,
        sender::{Handle, Notice, Settings, Statistics},
    },
    prometheus,
};
use crate::{
    telemetry::{added::Added, snapshot::Snapshot},
    units::Nanos,
};

mod destination;
mod events;
mod page;
mod scrapers;
mod signals;

pub use signals::Signals;

/// Where to, and what to say there.
pub struct Destinations {
    /// OTLP.
    pub otlp: Otlp,
    /// `/metrics`: where to listen.
    pub prometheus: Option<SocketAddr>,
    /// What is added to resources.
    pub added: Added,
    /// The monotonic clock.
    pub clock: fn() -> Nanos,
}

/// Where to send over OTLP: for each the client and how to use it; `None`: nothing is sent.
#[derive(Debug, Default)]
pub struct Otlp {
    /// Metrics.
    pub metrics: Option<(Client, Settings)>,
    /// Events.
    pub events: Option<(Client, Settings)>,
}

/// What waited for a destination that is none any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Snapshots.
    pub snapshots: u64,
    /// Events.
    pub events: u64,
}

/// The accounts of both at the end.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Of metrics.
    pub metrics: Option<Statistics>,
    /// Of events.
    pub events: Option<Statistics>,
}

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// The listener.
    #[error("cannot listen on {address}: {source}; give another address with prometheus.listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The thread or its runtime.
    #[error("cannot start the thread that exports: {0}")]
    Thread(#[from] io::Error),
}

/// The sampling thread's end.
pub struct Exporter {
    /// What was asked from outside.
    pub signals: Arc<Signals>,
    otlp: Option<Destination<Encoder>>,
    events: Option<Destination<LogEncoder>>,
    /// Events that came, or waited, while there was no destination.
    homeless: u64,
    page: Option<(Arc<Page>, task::JoinHandle<()>)>,
    added: Added,
    runtime: runtime::Handle,
    /// Ends the page.
    closing: watch::Sender<bool>,
    /// Ends the thread.
    end: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts the thread, listening when this returns.
    pub fn start(destinations: Destinations) -> Result<Self, ExporterError> {
        let Destinations { otlp, prometheus, added, clock } = destinations;
        let signals = Arc::new(Signals::default());
        let listener = prometheus.map(page::listen).transpose()?;
        let driver = runtime::Builder::new_current_thread().enable_all().build()?;
        let runtime = driver.handle().clone();
        // Before this returns: a signal that comes right after the first message must not kill.
        let caught = driver.block_on(async { Caught::new() })?;
        runtime.spawn(caught.watch(Arc::clone(&signals)));
        let (closing, closed) = watch::channel(false);
        let page = listener.map(|listener| {
            let page = Arc::new(Page::new(clock));
            let task = runtime.spawn(page::serve(Arc::clone(&page), listener, closed));
            (page, task)
        });
        let (end, mut ended) = watch::channel(false);
        let thread = thread::Builder::new().name("export".to_owned()).spawn(move || {
            // Signals are listened to until the end, with outputs or without.
            driver.block_on(ended.wait_for(|ended| *ended)).ok();
        })?;
        let (events, homeless) = (None, 0);
        let mut exporter = Self { signals, otlp: None, events, homeless, page, added, runtime, closing, end, thread };
        exporter.redirect(otlp);
        Ok(exporter)
    }

    /// Hands a snapshot over.
    pub fn offer(&mut self, snapshot: &Snapshot) {
        if let Some((page, _)) = &self.page {
            page.show(snapshot.number, prometheus::render(snapshot, &self.added));
        }
        if let Some(otlp) = &mut self.otlp {
            otlp.offer(snapshot);
        }
    }

    /// The latest snapshot that every destination has; `None`: nobody is waited for.
    pub fn acknowledged(&self, now: Nanos) -> Option<u64> {
        let sent = self.statistics().map(|statistics| statistics.acknowledged);
        let scraped = self.page.as_ref().and_then(|(page, _)| page.acknowledged(now));
        sent.into_iter().chain(scraped).min()
    }

    /// The accounts of the OTLP destination.
    pub fn statistics(&self) -> Option<Statistics> {
        self.otlp.as_ref().map(|otlp| otlp.handle.statistics())
    }

    /// What the operator should know, and of what.
    pub fn notices(&self) -> Vec<(Items, Notice)> {
        let metrics = self.otlp.iter().flat_map(|otlp| otlp.handle.notices()).map(|notice| (Items::Metrics, notice));
        let events = self.events.iter().flat_map(|events| events.handle.notices());
        metrics.chain(events.map(|notice| (Items::Events, notice))).collect()
    }

    /// What is added to resources from the next snapshot on.
    pub fn label(&mut self, added: Added) {
        if let Some(otlp) = &mut self.otlp {
            otlp.label(added.clone());
        }
        if let Some(events) = &mut self.events {
            events.label(added.clone());
        }
        self.added = added;
    }

    /// Sends somewhere else, or nowhere, from now on. What waits goes to the new destination: points are cumulative, and
    /// events are told once. Without one it is dropped, and returned how much that was.
    pub fn redirect(&mut self, to: Otlp) -> Dropped {
        let snapshots = self.redirect_metrics(to.metrics);
        Dropped { snapshots, events: self.redirect_events(to.events) }
    }

    fn redirect_metrics(&mut self, to: Option<(Client, Settings)>) -> u64 {
        match (self.otlp.take(), to) {
            (Some(otlp), Some((client, settings))) => {
                otlp.redirect(client, &settings);
                self.otlp = Some(otlp);
            }
            (None, Some((client, settings))) => {
                let mut encoder = Encoder::default();
                encoder.add(self.added.clone());
                self.otlp = Some(Destination::start(&self.runtime, client, &settings, encoder));
            }
            (Some(otlp), None) => {
                let (handle, task) = otlp.stop(Duration::ZERO);
                task.abort();
                return handle.statistics().waiting.snapshots;
            }
            (None, None) => {}
        }
        0
    }

    /// Sends what is left, `within` at most, and ends; returns the final accounts.
    pub fn stop(self, within: Duration) -> Accounts {
        let (metrics, sending) = self.otlp.map(|otlp| otlp.stop(within)).unzip();
        let (events, sending_events) = self.events.map(|events| events.stop(within)).unzip();
        self.closing.send_replace(true);
        let serving = self.page.map(|(_, task)| task);
        // A panic in there has been told by its own message.
        self.runtime.block_on(async {
            for task in sending.into_iter().chain(sending_events).chain(serving) {
                task.await.ok();
            }
        });
        self.end.send_replace(true);
        self.thread.join().ok();
        let final_of = |handle: Option<Handle>| handle.map(|handle| handle.statistics());
        Accounts { metrics: final_of(metrics), events: final_of(events) }
    }
}
