//! The thread that talks to the network: it sends OTLP and serves `/metrics`. The sampling thread hands over
//! a snapshot and goes on: it never waits for a destination or a scraper.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, PoisonError, RwLock, atomic::AtomicBool, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{
    otlp::{
        Encoder,
        http::Client,
        queue::Batch,
        sender::{self, Handle, Notice, Statistics},
    },
    prometheus,
};
use crate::telemetry::snapshot::{Phase, Snapshot};

/// Answers under way when the agent ends have so long.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What was asked of the process from outside.
#[derive(Debug, Default)]
pub struct Signals {
    /// SIGTERM or SIGINT came.
    pub stop: AtomicBool,
    /// SIGHUP came, and was not acted upon yet.
    pub reload: AtomicBool,
}

/// Where to.
pub struct Destinations {
    /// OTLP: the client and how to use it.
    pub otlp: Option<(Client, sender::Settings)>,
    /// `/metrics`: where to listen.
    pub prometheus: Option<SocketAddr>,
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
    otlp: Option<(Handle, Encoder)>,
    page: Option<Arc<RwLock<Arc<str>>>>,
    end: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts the thread, listening when this returns.
    pub fn start(destinations: Destinations) -> Result<Self, ExporterError> {
        let signals = Arc::new(Signals::default());
        let (end, ended) = watch::channel(false);
        let (otlp, sender) = match destinations.otlp {
            Some((client, settings)) => {
                let (handle, sender) = sender::new(&settings);
                (Some((handle, Encoder::default())), Some((sender, client)))
            }
            None => (None, None),
        };
        let page = destinations.prometheus.map(|_| Arc::new(RwLock::new(Arc::from(""))));
        let listener = destinations.prometheus.map(listen).transpose()?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let served = page.clone().zip(listener);
        let told = Arc::clone(&signals);
        // Before this returns: a signal that comes right after the first message must not kill.
        let caught = runtime.block_on(async { Caught::new() })?;
        let thread = std::thread::Builder::new().name("export".to_owned()).spawn(move || {
            runtime.block_on(async {
                let serve = tokio::spawn(async move {
                    let mut end = ended.clone();
                    if let Some((page, listener)) = served {
                        serve(page, listener, ended).await;
                    }
                    // Signals are listened to until the end, with outputs or without.
                    end.wait_for(|ended| *ended).await.ok();
                });
                let listen = tokio::spawn(caught.watch(told));
                if let Some((sender, client)) = sender {
                    sender.run(|body, encoding| client.send(body, encoding)).await;
                }
                serve.await.ok();
                listen.abort();
            });
        })?;
        Ok(Self { signals, otlp, page, end, thread })
    }

    /// Hands a snapshot over.
    pub fn offer(&mut self, snapshot: &Snapshot) {
        if let Some(page) = &self.page {
            *page.write().unwrap_or_else(PoisonError::into_inner) = prometheus::render(snapshot).into();
        }
        if let Some((handle, encoder)) = &mut self.otlp {
            let mut chunks = Vec::new();
            encoder.encode(snapshot, |chunk| chunks.push(chunk));
            handle.offer(Batch { number: snapshot.number, chunks, finals: finals(snapshot) });
        }
    }

    /// The accounts of the OTLP destination.
    pub fn statistics(&self) -> Option<Statistics> {
        self.otlp.as_ref().map(|(handle, _)| handle.statistics())
    }

    /// What the operator should know.
    pub fn notices(&self) -> Vec<Notice> {
        self.otlp.as_ref().map(|(handle, _)| handle.notices()).unwrap_or_default()
    }

    /// Sends what is left, `within` at most, and ends; returns the final accounts.
    pub fn stop(self, within: Duration) -> Option<Statistics> {
        if let Some((handle, _)) = &self.otlp {
            handle.stop(within);
        }
        self.end.send_replace(true);
        // A panic in there has been told by its own message.
        self.thread.join().ok();
        self.otlp.map(|(handle, _)| handle.statistics())
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

fn listen(address: SocketAddr) -> Result<TcpListener, ExporterError> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| ExporterError::Listen { address, source })
}

async fn serve(page: Arc<RwLock<Arc<str>>>, listener: TcpListener, mut ended: watch::Receiver<bool>) {
    let answer = move || {
        let text = page.read().unwrap_or_else(PoisonError::into_inner).to_string();
        async move { ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], text) }
    };
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let routes = Router::new().route("/metrics", get(answer));
    let mut end = ended.clone();
    let serving = axum::serve(listener, routes).with_graceful_shutdown(async move {
        end.wait_for(|ended| *ended).await.ok();
    });
    // A client that never finishes its request would hold the end up for ever.
    let late = async {
        ended.wait_for(|ended| *ended).await.ok();
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        _ = async { serving.await } => {}
        () = late => {}
    }
}

/// The signals that are acted upon.
struct Caught {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Caught {
    /// They do not kill any more once this returns. It must be called within the runtime.
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn watch(mut self, signals: Arc<Signals>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => signals.stop.store(true, Ordering::Release),
                _ = self.interrupt.recv() => signals.stop.store(true, Ordering::Release),
                _ = self.hangup.recv() => signals.reload.store(true, Ordering::Release),
            }
        }
    }
}
