//! `run`: samples for ever, and tells each interval to the outputs.
//!
//! The order within an interval is what keeps receivers honest: close, write the totals to disk, and only
//! then offer the snapshot.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::atomic::Ordering,
    time::Duration,
};

use crate::{
    clock,
    config::{self, Config, ConfigError, Flags, Variables},
    outputs::exporter::{Exporter, ExporterError},
    pipeline::{
        Interval, Options, Pipeline, StartError,
        sources::{self, SourcesError},
        stages::Stage,
        state::{Found, Saved, StateDir, StateError},
    },
    probes::{host, process},
    telemetry::describe::{Host, MeterView, Telemetry, View},
    units::Nanos,
};

mod health;
mod settings;
mod single;
mod top;

pub use settings::SettingsError;
pub use single::SecondAgent;

/// What is left to send after SIGTERM has so long.
const DRAIN: Duration = Duration::from_secs(10);

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
    /// Standard error is gone.
    #[error("cannot write messages: {0}")]
    Output(#[from] io::Error),
}

/// Runs until SIGTERM or SIGINT; messages go to `log`.
pub fn run(request: &Request, log: &mut impl Write) -> Result<(), RunError> {
    let config = load_allowed(request)?;
    let _only = single::claim()?;
    let state = StateDir::open(&config.agent.state_dir)?;
    let saved = restore(&state, log)?;
    let options = Options { config: config.clone(), kernel_programs: !request.no_bpf };
    let pipeline = Pipeline::start_from(&request.root, &options, saved.as_deref())?;
    let telemetry = match saved {
        Some(saved) => Telemetry::restore(saved.telemetry, &pipeline.ledger, clock::now()),
        None => Telemetry::new(clock::now()),
    };
    let exporter = Exporter::start(settings::destinations(&config)?)?;
    let host = Host { id: host::id_or_unknown(&request.root), name: process::host_name() };
    let health = health::Tally::default();
    let mut agent = Agent { config, pipeline, telemetry, exporter, state, host, health, is_kept: true };
    agent.hello(log)?;
    let ended = agent.sample(request, log);
    agent.farewell(log)?;
    ended
}

/// The configuration, if who runs the agent may ask for it.
fn load_allowed(request: &Request) -> Result<Config, RunError> {
    let file = config::file_to_read(request.config.as_deref());
    let config = config::load(file, &request.variables, &request.flags)?.config;
    if config.agent.needs_root() && !rustix::process::geteuid().is_root() {
        return Err(RunError::Interval);
    }
    Ok(config)
}

fn restore(state: &StateDir, log: &mut impl Write) -> Result<Option<Box<Saved>>, RunError> {
    match state.load()? {
        Found::Saved(saved) => Ok(Some(saved)),
        Found::Nothing => Ok(None),
        Found::Corrupt(aside) => {
            writeln!(
                log,
                "the totals of the last run cannot be read; counting starts anew, and they are kept in {}",
                aside.display()
            )?;
            Ok(None)
        }
    }
}

/// Everything that lives as long as the daemon.
struct Agent {
    config: Config,
    pipeline: Pipeline,
    telemetry: Telemetry,
    exporter: Exporter,
    state: StateDir,
    host: Host,
    health: health::Tally,
    /// Whether the totals of the last snapshot are on disk.
    is_kept: bool,
}

impl Agent {
    fn hello(&self, log: &mut impl Write) -> io::Result<()> {
        super::once::explain(&self.pipeline, log)?;
        let every = humantime::format_duration(self.config.agent.interval);
        let otlp = self.config.otlp.endpoint.as_deref().map(|url| format!("sending to {url}"));
        let page = self.config.prometheus.listen.map(|address| format!("http://{address}/metrics"));
        let outputs: Vec<String> = otlp.into_iter().chain(page).collect();
        if outputs.is_empty() {
            writeln!(
                log,
                "measuring every {every}; nothing is exported, the top workloads are shown each minute: set otlp.endpoint or prometheus.listen"
            )?;
        } else {
            writeln!(log, "measuring every {every}; {}", outputs.join(", "))?;
        }
        sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).ok();
        log.flush()
    }

    /// The loop.
    fn sample(&mut self, request: &Request, log: &mut impl Write) -> Result<(), RunError> {
        let mut top = top::Top::default();
        let mut end = sources::monotonic();
        loop {
            end = (end + Nanos::from(self.config.agent.interval)).max(sources::monotonic());
            let signals = std::sync::Arc::clone(&self.exporter.signals);
            let awake = || !signals.stop.load(Ordering::Acquire) && !signals.reload.load(Ordering::Acquire);
            self.pipeline.run_while(end, awake)?;
            let stopping = signals.stop.load(Ordering::Acquire);
            let interval = if stopping { self.pipeline.finish() } else { self.pipeline.close() };
            self.tell(&interval, log)?;
            self.say(log)?;
            if self.config.otlp.endpoint.is_none() && self.config.prometheus.listen.is_none() {
                top.show(&self.pipeline.ledger, interval.usage.to, log)?;
            }
            sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]).ok();
            if stopping {
                return Ok(());
            }
            if signals.reload.swap(false, Ordering::AcqRel) {
                self.reload(request, log)?;
            }
        }
    }

    /// Totals to disk, then the snapshot to the outputs.
    fn tell(&mut self, interval: &Interval, log: &mut impl Write) -> io::Result<()> {
        self.pipeline.stages.begin(clock::monotonic());
        let statistics = self.exporter.statistics();
        if let Some(statistics) = &statistics {
            self.telemetry.acknowledge(statistics.acknowledged);
        } else {
            // A scrape is answered with the last snapshot: whoever scrapes has it.
            self.telemetry.acknowledge(self.health.told);
        }
        let health = self.health.gather(
            &self.pipeline,
            statistics.as_ref(),
            self.config.otlp.queue,
            interval.usage.to.monotonic,
        );
        let live = self.pipeline.live();
        let meter = &self.pipeline.meter;
        let unavailable = meter.passed_over.join("; ");
        let source = meter.meter.source();
        let told = self.telemetry.tell(&View {
            usage: &interval.usage,
            attribution: &interval.attribution,
            footprint: &interval.footprint,
            hardware: &interval.hardware,
            ledger: &self.pipeline.ledger,
            factors: &self.pipeline.factors,
            meter: MeterView {
                source,
                unavailable: (source == crate::samples::EnergySource::None).then_some(unavailable.as_str()),
                zones: meter.meter.zones(),
            },
            host: &self.host,
            live: &live,
            own: interval.own,
            health: &health,
        });
        self.pipeline.stages.end(Stage::Describe, clock::monotonic());
        for id in &told.forgotten {
            self.pipeline.ledger.retire(id);
        }
        self.keep(log)?;
        self.pipeline.stages.end(Stage::Save, clock::monotonic());
        self.health.told = told.snapshot.number;
        self.health.offered.push_back((told.snapshot.number, interval.usage.to.monotonic));
        self.exporter.offer(&told.snapshot);
        self.pipeline.stages.end(Stage::Offer, clock::monotonic());
        Ok(())
    }

    /// Totals to disk. A full disk ends no measurement: it is said once, and tried again each interval.
    fn keep(&mut self, log: &mut impl Write) -> io::Result<()> {
        let kept = self.state.save(&self.pipeline.saved(self.telemetry.record()));
        let (is_kept, was_kept) = (kept.is_ok(), std::mem::replace(&mut self.is_kept, kept.is_ok()));
        match kept {
            Ok(()) if was_kept => Ok(()),
            Ok(()) => writeln!(log, "totals are kept on disk again"),
            Err(error) => {
                self.health.save_failures += 1;
                // Receivers are about to be told more than is on disk: whoever starts from that would let sums fall.
                self.state.outdate();
                if is_kept == was_kept {
                    return Ok(());
                }
                writeln!(
                    log,
                    "{error}; measuring goes on and it is tried again each interval; an agent that starts before it works counts anew"
                )
            }
        }
    }

    fn say(&self, log: &mut impl Write) -> io::Result<()> {
        self.exporter.notices().iter().try_for_each(|notice| writeln!(log, "{notice}"))
    }

    /// Takes what can change while running; says what cannot.
    fn reload(&mut self, request: &Request, log: &mut impl Write) -> Result<(), RunError> {
        let new = match load_allowed(request) {
            Ok(new) => new,
            Err(error) => {
                self.health.reloads.failure += 1;
                writeln!(log, "the configuration is kept as it was: {error}")?;
                return Ok(());
            }
        };
        let difference = config::reload(&self.config, &new);
        self.health.reloads.success += 1;
        self.config.agent.interval = new.agent.interval;
        let rest: Vec<&str> = difference
            .changed
            .iter()
            .copied()
            .filter(|key| *key != "agent.interval")
            .chain(difference.needs_restart)
            .collect();
        if rest.is_empty() {
            writeln!(log, "configuration reloaded")?;
        } else {
            writeln!(log, "configuration reloaded; these need a restart: {}", rest.join(", "))?;
        }
        Ok(())
    }

    /// Sends what is left.
    fn farewell(self, log: &mut impl Write) -> io::Result<()> {
        sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]).ok();
        if let Some(statistics) = self.exporter.stop(DRAIN) {
            let waiting = statistics.waiting;
            if waiting.snapshots > 0 {
                let rest = if self.is_kept { "their totals are kept and sent by the next run" } else { "and are lost" };
                writeln!(log, "{} snapshots could not be sent in time; {rest}", waiting.snapshots)?;
            }
        }
        Ok(())
    }
}
