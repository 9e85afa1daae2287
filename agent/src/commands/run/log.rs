//! Where the daemon's messages go: standard error, from a level on that may change.

use tracing::Subscriber;
use tracing_subscriber::{
    Registry,
    filter::LevelFilter,
    fmt,
    layer::{Layered, SubscriberExt},
    reload,
};

use crate::config::LogLevel;

/// The level's handle.
#[derive(Debug)]
pub(super) struct Log(reload::Handle<LevelFilter, Registry>);

impl Log {
    /// From now on messages are written. In a process that has a subscriber, that one stays.
    pub(super) fn start(level: LogLevel) -> Self {
        let (filter, handle) = reload::Layer::new(filter(level));
        let filtered: Layered<_, Registry> = Registry::default().with(filter);
        // A log that nobody reads any more ends no measurement, and complaining about it would panic.
        let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
        let subscriber: Box<dyn Subscriber + Send + Sync> =
            Box::new(filtered.with(lines.without_time().with_target(false)));
        tracing::subscriber::set_global_default(subscriber).ok();
        Self(handle)
    }

    /// What is graver than this, and this, is written.
    pub(super) fn set_level(&self, level: LogLevel) {
        self.0.reload(filter(level)).ok();
    }
}

const fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
