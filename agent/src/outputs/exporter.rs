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
        http::Client,
        sender::{Notice, Settings, Statistics},
    },
    prometheus,
};
use crate::{
    telemetry::{added::Added, snapshot::Snapshot},
    units::Nanos,
};

mod destination;
mod page;
mod scrapers;
mod signals;

pub use signals::Signals;

/// Where to, and what to say there.
pub struct Destinations {
    /// OTLP: the client and how to use it.
    pub otlp: Option<(Client, Settings)>,
    /// `/metrics`: where to listen.
    pub prometheus: Option<SocketAddr>,
    /// What is added to resources.
    pub added: Added,
    /// The monotonic clock.
    pub clock: fn() -> Nanos,
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
    otlp: Option<Destination>,
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
        let otlp = otlp.map(|(client, settings)| Destination::start(&runtime, client, &settings, added.clone()));
        let (end, mut ended) = watch::channel(false);
        let thread = thread::Builder::new().name("export".to_owned()).spawn(move || {
            // Signals are listened to until the end, with outputs or without.
            driver.block_on(ended.wait_for(|ended| *ended)).ok();
        })?;
        Ok(Self { signals, otlp, page, added, runtime, closing, end, thread })
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

    /// What the operator should know.
    pub fn notices(&self) -> Vec<Notice> {
        self.otlp.as_ref().map(|otlp| otlp.handle.notices()).unwrap_or_default()
    }

    /// What is added to resources from the next snapshot on.
    pub fn label(&mut self, added: Added) {
        if let Some(otlp) = &mut self.otlp {
            otlp.label(added.clone());
        }
        self.added = added;
    }

    /// Sends somewhere else, or nowhere, from now on. What waits goes to the new destination: points are cumulative. Without
    /// one it is dropped; returns how many snapshots that were.
    pub fn redirect(&mut self, to: Option<(Client, Settings)>) -> u64 {
        match (self.otlp.take(), to) {
            (Some(otlp), Some((client, settings))) => {
                otlp.redirect(client, &settings);
                self.otlp = Some(otlp);
            }
            (None, Some((client, settings))) => {
                self.otlp = Some(Destination::start(&self.runtime, client, &settings, self.added.clone()));
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
    pub fn stop(self, within: Duration) -> Option<Statistics> {
        let otlp = self.otlp.map(|otlp| otlp.stop(within));
        self.closing.send_replace(true);
        let (handle, sending) = otlp.unzip();
        let serving = self.page.map(|(_, task)| task);
        // A panic in there has been told by its own message.
        self.runtime.block_on(async {
            for task in sending.into_iter().chain(serving) {
                task.await.ok();
            }
        });
        self.end.send_replace(true);
        self.thread.join().ok();
        handle.map(|handle| handle.statistics())
    }
}
