//! `run`: samples for ever, and tells each interval to the outputs.
//!
//! The order within an interval is what keeps receivers honest: close, write the totals to disk, and only
//! then offer the snapshot.

use std::{io::Write, path::PathBuf};

use crate::{
    config::{ConfigError, Flags, Variables},
    diagnostics::{self, DiagnosticsError},
    outputs::exporter::ExporterError,
    pipeline::{StartError, sources::SourcesError, state::StateError},
    probes::{host, process},
    telemetry::describe::Host,
};

mod agent;
mod events;
mod farewell;
mod health;
mod reload;
mod settings;
mod single;
mod top;
mod watchdog;

pub use settings::SettingsError;
pub use single::SecondAgent;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Configuration file; the usual one where it is there.
    pub config: Option<PathBuf>,
    /// What the command line overrides.
    pub flags: Flags,
    /// The environment's `OTEL_*`.
    pub variables: Variables,
    /// Where `/proc` and `/sys` are.
    pub root: PathBuf,
    /// Leave the kernel programs out.
    pub no_bpf: bool,
    /// Show a table of so many workloads after each interval.
    pub top: Option<usize>,
}

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A reading on the way.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// Totals cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// Another agent runs here.
    #[error(transparent)]
    Second(#[from] SecondAgent),
    /// Messages.
    #[error(transparent)]
    Diagnostics(#[from] DiagnosticsError),
    /// The outputs.
    #[error(transparent)]
    Exporter(#[from] ExporterError),
    /// The destination's settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Only root may ask for that.
    #[error(
        "intervals below 10s show what other users compute, so only root may ask for them: set agent.interval to 10s or more"
    )]
    Interval,
}

/// Runs until SIGTERM or SIGINT; tables go to `out`, messages through `tracing`.
pub fn run(request: &Request, out: &mut impl Write) -> Result<(), RunError> {
    let config = reload::read(request)?;
    let host = Host { id: host::id_or_unknown(&request.root), name: process::host_name() };
    let diagnostics = diagnostics::start(&settings::diagnostics(&config, &host)?)?;
    let _only = single::claim()?;
    let mut agent = agent::Agent::start(config, host, diagnostics, request)?;
    agent.hello();
    let ended = agent.sample(request, out);
    agent.farewell();
    ended
}
