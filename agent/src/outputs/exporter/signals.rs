//! What is asked of the process from outside.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was asked of the process from outside.
#[derive(Debug, Default)]
pub struct Signals {
    /// SIGTERM or SIGINT came.
    pub stop: AtomicBool,
    /// SIGHUP came, and was not acted upon yet.
    pub reload: AtomicBool,
}

/// The signals that are acted upon.
pub(super) struct Caught {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Caught {
    /// They do not kill any more once this returns. It must be called within the runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn watch(mut self, signals: Arc<Signals>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => signals.stop.store(true, Ordering::Release),
                _ = self.interrupt.recv() => signals.stop.store(true, Ordering::Release),
                _ = self.hangup.recv() => signals.reload.store(true, Ordering::Release),
            }
        }
    }
}
