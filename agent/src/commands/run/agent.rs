//! The loop, and everything that lives as long as the daemon.

use std::{io::Write, sync::Arc, sync::atomic::Ordering};

use tracing::{info, warn};

use super::{Request, RunError, health, reload, settings, top, watchdog::Watchdog};
use crate::{
    clock,
    commands::once,
    config::Config,
    diagnostics::{
        Diagnostics,
        faults::{Faults, Say},
    },
    outputs::exporter::Exporter,
    pipeline::{
        Interval, Options, Pipeline,
        sources::monotonic,
        stages::Stage,
        state::{Found, Saved, StateDir},
        watch::ZoneHealth,
    },
    samples::EnergySource,
    telemetry::describe::{Host, MeterView, Telemetry, View},
    units::Nanos,
};

/// The fault that totals cannot be written.
const SAVE: &str = "state.save";

/// Everything that lives as long as the daemon.
pub(super) struct Agent {
    pub(super) config: Config,
    pub(super) diagnostics: Diagnostics,
    pub(super) exporter: Exporter,
    pub(super) health: health::Tally,
    faults: Faults,
    /// Whether the totals of the last snapshot are on disk.
    pub(super) is_kept: bool,
    pub(super) pipeline: Pipeline,
    pub(super) telemetry: Telemetry,
    state: StateDir,
    pub(super) host: Host,
    top: top::Top,
    table: Option<top::Table>,
    watchdog: Watchdog,
}

impl Agent {
    /// Counts and listens when this returns.
    pub(super) fn start(
        config: Config,
        host: Host,
        diagnostics: Diagnostics,
        request: &Request,
    ) -> Result<Self, RunError> {
        let state = StateDir::open(&config.agent.state_dir)?;
        let saved = restore(&state)?;
        let events = settings::event_plan(&config);
        let options = Options { config: config.clone(), kernel_programs: !request.no_bpf, events };
        let pipeline = Pipeline::start_from(&request.root, &options, saved.as_deref())?;
        let now = clock::now();
        let telemetry = match saved {
            Some(saved) => Telemetry::restore(saved.telemetry, &pipeline.ledger, now),
            None => Telemetry::new(now),
        };
        Ok(Self {
            exporter: Exporter::start(settings::destinations(&config)?)?,
            top: top::Top::new(&pipeline.ledger, now),
            table: request.top.map(|rows| top::Table::new(rows, &pipeline.ledger)),
            health: health::Tally::default(),
            faults: Faults::default(),
            watchdog: Watchdog::of_service(),
            is_kept: true,
            config,
            host,
            diagnostics,
            pipeline,
            telemetry,
            state,
        })
    }

    /// Says what is measured and where it goes.
    pub(super) fn hello(&self) {
        for note in once::notes(&self.pipeline) {
            warn!("{note}");
        }
        if let Some(why) = self.no_events() {
            warn!("no events are sent: {why}");
        }
        let every = humantime::format_duration(self.config.agent.interval);
        let otlp = self.config.otlp.endpoint.as_deref().map(|url| format!("sending to {url}"));
        let page = self.config.prometheus.listen.map(|address| format!("http://{address}/metrics"));
        let outputs: Vec<String> = otlp.into_iter().chain(page).collect();
        if outputs.is_empty() {
            info!(
                "measuring every {every}; nothing is exported, the top workloads are shown each minute: set otlp.endpoint or prometheus.listen"
            );
        } else {
            info!("measuring every {every}; {}", outputs.join(", "));
        }
        sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).ok();
    }

    /// The loop; tables go to `out`.
    pub(super) fn sample(&mut self, request: &Request, out: &mut impl Write) -> Result<(), RunError> {
        let signals = Arc::clone(&self.exporter.signals);
        let mut end = monotonic();
        loop {
            end = (end + Nanos::from(self.config.agent.interval)).max(monotonic());
            let watchdog = &self.watchdog;
            let awake = || {
                watchdog.feed(monotonic());
                !signals.stop.load(Ordering::Acquire) && !signals.reload.load(Ordering::Acquire)
            };
            self.pipeline.run_while(end, awake)?;
            let stopping = signals.stop.load(Ordering::Acquire);
            let mut interval = if stopping { self.pipeline.finish() } else { self.pipeline.close() };
            if let Some(table) = &self.table {
                table.show(&self.pipeline, &interval, out);
            }
            self.tell(&mut interval);
            self.say(&interval);
            if stopping {
                return Ok(());
            }
            if signals.reload.swap(false, Ordering::AcqRel) {
                self.reload(reload::read(request));
            }
        }
    }

    /// Totals to disk, then the snapshot to the outputs.
    fn tell(&mut self, interval: &mut Interval) {
        self.pipeline.stages.begin(clock::monotonic());
        let now = interval.usage.to.monotonic;
        // Where nobody is waited for, whoever wants to know has been told.
        self.telemetry.acknowledge(self.exporter.acknowledged(now).unwrap_or(self.health.told));
        let statistics = self.exporter.statistics();
        let mut health =
            self.health.gather(&self.pipeline, &self.diagnostics, statistics.as_ref(), self.config.otlp.queue, now);
        health.events = self.events_health();
        health.save_failures = self.faults.count(SAVE);
        let live = self.pipeline.live();
        let meter = &self.pipeline.meter;
        let unavailable = meter.passed_over.join("; ");
        let source = meter.meter.source();
        let told = self.telemetry.tell(&View {
            usage: &interval.usage,
            attribution: &interval.attribution,
            footprint: &interval.footprint,
            threads: interval.threads,
            disks: &interval.disks,
            hardware: &interval.hardware,
            ledger: &self.pipeline.ledger,
            factors: &self.pipeline.factors,
            meter: MeterView {
                source,
                unavailable: (source == EnergySource::None).then_some(unavailable.as_str()),
                zones: meter.meter.zones(),
            },
            idle_policy: self.pipeline.idle_policy(),
            method: self.pipeline.method(),
            functional_unit: self.pipeline.functional_unit,
            pressure: &interval.pressures.node,
            waits: &interval.pressures.workloads,
            open: &interval.open,
            host: &self.host,
            live: &live,
            own: interval.own,
            health: &health,
        });
        self.pipeline.stages.end(Stage::Describe, clock::monotonic());
        for id in &told.forgotten {
            self.pipeline.ledger.retire(id);
        }
        if let Some(table) = &mut self.table {
            table.note(&self.pipeline.ledger);
        }
        self.keep();
        self.pipeline.stages.end(Stage::Save, clock::monotonic());
        self.health.told = told.snapshot.number;
        if statistics.is_some() {
            self.health.offered.push_back((told.snapshot.number, now));
        } else {
            self.health.offered.clear();
        }
        self.exporter.offer(&told.snapshot);
        self.tell_events(interval);
        self.pipeline.stages.end(Stage::Offer, clock::monotonic());
    }

    /// Totals to disk. A full disk ends no measurement: it is said once, and tried again each interval.
    fn keep(&mut self) {
        let kept = self.state.save(&self.pipeline.saved(self.telemetry.record()));
        self.is_kept = kept.is_ok();
        match kept {
            Ok(()) => {
                if let Some(times) = self.faults.clear(SAVE) {
                    info!(times, "totals are kept on disk again");
                }
            }
            Err(error) => {
                // Receivers are about to be told more than is on disk: whoever starts from that would let sums fall.
                let next = if self.state.outdate() {
                    "an agent that starts before it works counts anew"
                } else {
                    "the older totals there cannot be put aside either: remove state.json before an agent starts from it"
                };
                let text = format!("{error}; measuring goes on and it is tried again each interval; {next}");
                if self.faults.raise(SAVE, &text) == Say::Text {
                    warn!("{text}");
                }
            }
        }
    }

    /// A zone that fails ends no measurement: said once, with its recovery.
    fn say_zones(&mut self, zones: &[ZoneHealth]) {
        for zone in zones {
            let name = format!("meter.{}", zone.hw_id);
            let Some(error) = zone.error else {
                if let Some(times) = self.faults.clear(&name) {
                    info!(times, zone = zone.hw_id, "the zone can be read again");
                }
                continue;
            };
            let text =
                format!("{}: {error}; energy that no later read tells is unknown, other zones go on", zone.hw_id);
            if self.faults.raise(name.clone(), &text) == Say::Text {
                warn!(failed = zone.failed, "{text}");
            }
            for _ in 1..zone.failed {
                let _counted = self.faults.raise(name.clone(), &text);
            }
        }
    }

    fn say(&mut self, interval: &Interval) {
        self.say_zones(&interval.meter);
        for remark in self.pipeline.take_remarks() {
            warn!("{remark}");
        }
        for (items, notice) in self.exporter.notices() {
            let text = notice.about(items);
            if notice.is_warning() {
                warn!("{text}");
            } else {
                info!("{text}");
            }
        }
        if self.config.otlp.endpoint.is_none()
            && self.config.prometheus.listen.is_none()
            && self.table.is_none()
            && let Some(line) = self.top.line(&self.pipeline.ledger, interval.usage.to)
        {
            info!("{line}");
        }
    }
}

fn restore(state: &StateDir) -> Result<Option<Box<Saved>>, RunError> {
    match state.load()? {
        Found::Saved(saved) => Ok(Some(saved)),
        Found::Nothing => Ok(None),
        Found::Corrupt(aside) => {
            warn!(
                "the totals of the last run cannot be read; counting starts anew, and they are kept in {}",
                aside.display()
            );
            Ok(None)
        }
    }
}
