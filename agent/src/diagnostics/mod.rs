//! What the agent says about itself: each event of `tracing` as a line on standard error and, if there is a destination
//! for it, as an OTLP log record.
//!
//! It stands apart from the way of the metrics (own client, own thread, own queue), so that a broken data path is still
//! reported; and neither a destination that fails nor a standard error that cannot be written holds anybody up.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::{Targets, filter_fn},
    layer::SubscriberExt,
    reload,
};

use crate::{
    config::{self, ClientFiles, Compression, Config, Headers, LogLevel, Otlp},
    outputs::otlp::{
        http::{self, HttpError, proxy::Proxies},
        outcome::Encoding,
    },
    telemetry::{
        added::Added,
        describe::{Host, agent_resource},
        snapshot::Resource,
    },
};

pub mod faults;
mod line;
mod logs;
mod stderr;

pub use logs::Records;

/// Targets of the agent's own events begin so.
const OWN: &str = "wattrace";

/// What to say, and where else than on standard error.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of our own events; libraries are heard from warnings on, if at all.
    pub level: LogLevel,
    /// The destination of log records; `None`: there is none.
    pub logs: Option<Logs>,
    /// Who speaks.
    pub resource: Resource,
    /// What the operator adds to that.
    pub added: Added,
}

/// Where log records go.
#[derive(Clone, Debug)]
pub struct Logs {
    /// Address, headers, certificates, proxies.
    pub http: http::Settings,
    /// Of bodies.
    pub encoding: Encoding,
}

/// Why the agent cannot speak.
#[derive(Debug, thiserror::Error)]
pub enum DiagnosticsError {
    /// The address.
    #[error("otlp.logs_endpoint {url:?} is no address: {why}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// Headers, certificates, proxies.
    #[error("log records cannot be sent: {0}")]
    Http(#[from] HttpError),
    /// The SDK does not want these settings.
    #[error("log records cannot be sent: {0}; set otlp.logs_endpoint to \"off\" to go without")]
    Exporter(String),
    /// Descriptors or threads.
    #[error("diagnostics cannot be set up: {0}")]
    Io(#[from] io::Error),
    /// There is one subscriber per process.
    #[error("diagnostics were started before in this process")]
    Started,
}

impl Settings {
    /// From the configuration. `proxies` are those of the environment.
    pub fn new(config: &Config, host: &Host, added: Added, proxies: Proxies) -> Result<Self, DiagnosticsError> {
        Ok(Self {
            level: config.agent.log_level,
            logs: logs_of(config, proxies)?,
            resource: agent_resource(host),
            added,
        })
    }
}

fn logs_of(config: &Config, proxies: Proxies) -> Result<Option<Logs>, DiagnosticsError> {
    let config::Logs { endpoint, headers, timeout } = &config.otlp.logs;
    let Some(url) = endpoint else { return Ok(None) };
    let reached = reach(&config.otlp, (url, headers, *timeout), proxies);
    let (http, encoding) = reached.map_err(|why| DiagnosticsError::Url { url: url.clone(), why })?;
    Ok(Some(Logs { http, encoding }))
}

/// How a receiver is reached: those of metrics and of log records differ in address, headers and timeout alone.
///
/// The error says what is wrong with the address.
pub fn reach(
    otlp: &Otlp,
    (url, headers, timeout): (&str, &Headers, Duration),
    proxies: Proxies,
) -> Result<(http::Settings, Encoding), String> {
    let files =
        |files: &ClientFiles| http::ClientFiles { certificate: files.certificate.clone(), key: files.key.clone() };
    let http = http::Settings {
        url: url.parse().map_err(|why| format!("{why}"))?,
        headers: headers.0.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        timeout,
        certificate: otlp.certificate.clone(),
        client: otlp.client.as_ref().map(files),
        proxies,
    };
    let encoding = match otlp.compression {
        Compression::Gzip => Encoding::Gzip,
        Compression::None => Encoding::Identity,
    };
    Ok((http, encoding))
}

/// Diagnostics that run.
#[derive(Debug)]
pub struct Diagnostics {
    lines: Arc<stderr::Lines>,
    level: reload::Handle<Targets, Registry>,
    provider: SdkLoggerProvider,
    account: Arc<logs::Account>,
}

/// Makes this process speak: from here on `tracing`'s macros do something.
///
/// The daemon does so right after the configuration is read, because all that comes then may have something to say;
/// what is wrong with the configuration itself is the command line's to print:
///
/// ```no_run
/// # use std::time::Duration;
/// # use wattrace::{config::{Config, LogLevel}, diagnostics::{self, DiagnosticsError, Settings}};
/// # use wattrace::{outputs::otlp::http::proxy::Proxies, telemetry::{added::Added, describe::Host}};
/// # fn run(config: Config, host: Host) -> Result<(), DiagnosticsError> {
/// let proxies = Proxies::from_variables(|name| std::env::var(name).ok());
/// let diagnostics = diagnostics::start(&Settings::new(&config, &host, Added::default(), proxies)?)?;
/// tracing::info!(interval = ?config.agent.interval, "measuring");
/// // At SIGHUP, with the configuration read anew:
/// diagnostics.set_level(LogLevel::Debug);
/// diagnostics.redirect(None)?;
/// // At the end, after the exporter, whose last words are to arrive too:
/// diagnostics.stop(Duration::from_secs(2));
/// # Ok(())
/// # }
/// ```
pub fn start(settings: &Settings) -> Result<Diagnostics, DiagnosticsError> {
    let journal = std::env::var("JOURNAL_STREAM").ok();
    let stderr = io::stderr().as_fd().try_clone_to_owned()?;
    let (diagnostics, subscriber) = prepare(settings, stderr, journal.as_deref())?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| DiagnosticsError::Started)?;
    Ok(diagnostics)
}

/// The same for one that is to be installed elsewhere. Lines go to `stderr`, in the journal's form if it is the stream
/// that `journal`, a value of `JOURNAL_STREAM`, names.
pub fn prepare(
    settings: &Settings,
    stderr: OwnedFd,
    journal: Option<&str>,
) -> Result<(Diagnostics, impl Subscriber + Send + Sync + use<>), DiagnosticsError> {
    let lines = Arc::new(stderr::Lines::new(stderr, journal));
    let (provider, account) = logs::provider(settings, &lines)?;
    let (filter, level) = reload::Layer::new(targets(settings.level));
    // What libraries say while they send a record must not become a record.
    let own = filter_fn(|metadata| is_own(metadata.target()));
    let bridge = OpenTelemetryTracingBridge::new(&provider).with_filter(own);
    let subscriber = Registry::default().with(filter).with(stderr::Stderr(Arc::clone(&lines))).with(bridge);
    Ok((Diagnostics { lines, level, provider, account }, subscriber))
}

impl Diagnostics {
    /// Says less or more from now on.
    pub fn set_level(&self, level: LogLevel) {
        // It fails only when the subscriber is gone, and with it who would hear.
        self.level.reload(targets(level)).ok();
    }

    /// Lines that standard error did not take, since the start.
    pub fn lost_lines(&self) -> u64 {
        self.lines.lost()
    }

    /// Sends log records there from now on, those that wait too, or nowhere. Their resource stays as it is.
    pub fn redirect(&self, logs: Option<&Logs>) -> Result<(), DiagnosticsError> {
        self.account.redirect(logs)
    }

    /// What became of log records; `None` without a destination.
    pub fn records(&self) -> Option<Records> {
        self.account.records()
    }

    /// Log records that a full queue or the destination did not take, since the start; `None` without a destination.
    pub fn lost_records(&self) -> Option<u64> {
        self.records().map(|_| self.account.lost())
    }

    /// Sends the log records that are left, `within` at most, and returns the final account. Lines are still written.
    pub fn stop(self, within: Duration) -> Option<Records> {
        // How it went is in the account.
        self.provider.shutdown_with_timeout(within).ok();
        let records = self.account.records()?;
        if records.open() > 0 {
            self.lines.say(
                Level::WARN,
                &format!("{} log records were not sent: the queue was full, or time ran out", records.open()),
            );
        }
        Some(records)
    }
}

fn targets(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(own.min(LevelFilter::WARN)).with_target(OWN, own)
}

fn is_own(target: &str) -> bool {
    target.starts_with(OWN)
}

#[cfg(test)]
mod tests;
