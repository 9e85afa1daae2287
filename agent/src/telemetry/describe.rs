//! From totals and the last interval to a snapshot: which values there are, of whom.
//!
//! Every closed interval is told once: means over it are differences of totals. What is unknown has no value.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    catalog::{self, Metric},
    events::{Clocks, Happened, Occurrences},
    lifecycle::{Described, Lifecycle, LifecycleRecord, Point, Told},
    snapshot::{self, Histogram, Snapshot, Value},
    totals::{Totals, TotalsRecord},
};
use crate::{
    attribution::{
        books::Attribution, functional::FunctionalUnit, ledger::Ledger, reserved::IdlePolicy, weight::Method,
    },
    carbon::footprint::{Factors, Footprint},
    identity::{Kind, Triplet, Workload},
    samples::{
        Durations, EnergySource, Instant, ZoneInfo, ZoneKind,
        disk::MachineDisks,
        pressure::{Pressure, Resource},
        tcp::OpenNow,
        threads::MachineThreads,
        usage::UsageSample,
        zone::ZoneSample,
    },
    units::{Microjoules, Nanos},
};

mod disk;
mod health;
mod node;
mod process;
mod resource;
mod tcp;
mod workload;

pub use health::{Cpu, EventsHealth, Exporter, Fill, Health, Program, Queue, Reloads};
pub use resource::{AGENT, Host, agent as agent_resource};

/// What is told at the end of an interval.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who used the CPUs; its end is the instant of the snapshot.
    pub usage: &'a UsageSample,
    /// Whose energy it was.
    pub attribution: &'a Attribution,
    /// And in grams.
    pub footprint: &'a Footprint,
    /// The machine's threads; `None`: they are not counted.
    pub threads: Option<MachineThreads>,
    /// The machine's block devices.
    pub disks: &'a MachineDisks,
    /// Zones that contain, or lie inside, one that is shared out.
    pub hardware: &'a [ZoneSample],
    /// Totals, the interval among them.
    pub ledger: &'a Ledger,
    /// What turned joules into grams.
    pub factors: &'a Factors,
    /// Where energy comes from.
    pub meter: MeterView<'a>,
    /// Whose idle energy is.
    pub idle_policy: IdlePolicy,
    /// How active energy is shared out.
    pub method: Method,
    /// What workloads' operations are; `None`: they are not told.
    pub functional_unit: Option<FunctionalUnit>,
    /// How much tasks of the machine waited for what.
    pub pressure: &'a [(Resource, Pressure)],
    /// How much those of each workload that ran waited for a CPU.
    pub waits: &'a BTreeMap<Triplet, Pressure>,
    /// Connections that are open, of whom that is known.
    pub open: &'a BTreeMap<Triplet, OpenNow>,
    /// The machine.
    pub host: &'a Host,
    /// Workloads that have a live cgroup or process. Those without one need not be in it.
    pub live: &'a BTreeSet<Triplet>,
    /// The agent's own part of the energy of the interval; `None`: unknown.
    pub own: Option<Microjoules>,
    /// The agent's own numbers.
    pub health: &'a Health,
}

/// What resources say beside whose they are.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The machine.
    pub host: &'a Host,
    /// Where energy comes from.
    pub source: EnergySource,
    /// Whose idle energy is.
    pub policy: IdlePolicy,
}

/// Where energy comes from.
#[derive(Clone, Copy, Debug)]
pub struct MeterView<'a> {
    /// The source.
    pub source: EnergySource,
    /// Why there is none; `None` while there is one.
    pub unavailable: Option<&'a str>,
    /// The zones it reads.
    pub zones: &'a [ZoneInfo],
}

/// Everything that is kept between two snapshots.
#[derive(Clone, Debug)]
pub struct Telemetry {
    lifecycle: Lifecycle,
    totals: Totals,
    /// Energy of workloads at the last snapshot.
    energy: BTreeMap<Triplet, BTreeMap<ZoneKind, Microjoules>>,
    resources: BTreeMap<Triplet, Arc<snapshot::Resource>>,
    /// The wall clock at the boot, as events tell times by it.
    booted: Option<Nanos>,
}

/// What is kept of it across a restart: written with the ledger's record, before a snapshot is offered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TelemetryRecord {
    /// Starts of series.
    pub lifecycle: LifecycleRecord,
    /// Sums that the ledger does not keep.
    pub totals: TotalsRecord,
}

impl Telemetry {
    /// Nothing is known yet; everything has counted since `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            lifecycle: Lifecycle::new(now),
            totals: Totals::default(),
            energy: BTreeMap::new(),
            resources: BTreeMap::new(),
            booted: None,
        }
    }

    /// Goes on where `record` stopped; `ledger` is that of the same instant.
    pub fn restore(record: TelemetryRecord, ledger: &Ledger, now: Instant) -> Self {
        Self {
            lifecycle: Lifecycle::restore(record.lifecycle, now),
            totals: record.totals.into(),
            energy: energies(ledger),
            resources: BTreeMap::new(),
            booted: None,
        }
    }

    /// What [`Telemetry::restore`] needs.
    pub fn record(&self) -> TelemetryRecord {
        TelemetryRecord { lifecycle: self.lifecycle.record(), totals: (&self.totals).into() }
    }

    /// Every destination holds the snapshot of this number.
    pub fn acknowledge(&mut self, number: u64) {
        self.lifecycle.acknowledge(number);
    }

    /// Tells the interval that was closed. The ledger must retire whom it says are forgotten.
    pub fn tell(&mut self, view: &View<'_>) -> Told {
        self.totals.post(view.footprint, view.hardware, view.own);
        self.totals.post_disks(view.disks);
        let described = self.describe(view);
        let mut told = self.lifecycle.tell(view.usage.to, described);
        count_series(&mut told.snapshot);
        self.energy = energies(view.ledger);
        for id in &told.forgotten {
            self.energy.remove(id);
            self.resources.remove(id);
        }
        told
    }

    /// What happened in the interval that was told, each workload under the resource of its metrics.
    pub fn events(&mut self, happened: Vec<Happened>, end: Instant, observed: &Observed<'_>) -> Vec<Occurrences> {
        let clocks = Clocks::after(self.booted, end);
        self.booted = Some(clocks.booted);
        let resource = |happened: &Happened| {
            let Happened { workload, cgroup, .. } = happened;
            let made =
                || resource::workload(workload, cgroup.as_ref(), observed.host, observed.source, observed.policy);
            // Who did nothing else that is told has none.
            self.resources.get(&workload.id).cloned().unwrap_or_else(|| Arc::new(made()))
        };
        happened.into_iter().map(|happened| Occurrences { resource: resource(&happened), clocks, happened }).collect()
    }

    /// All entities, one per key: what has the same key is one entity.
    fn describe(&mut self, view: &View<'_>) -> Vec<Described> {
        let mut found: BTreeMap<Triplet, Described> = BTreeMap::new();
        let spans = node::spans(view.attribution);
        for account in view.ledger.accounts() {
            let workload = &account.workload;
            let resource = self.resources.entry(workload.id.clone()).or_insert_with(|| {
                let cgroup = account.cgroup.as_ref();
                Arc::new(resource::workload(workload, cgroup, view.host, view.meter.source, view.idle_policy))
            });
            let live = lives_on(workload) || view.live.contains(&workload.id);
            let before = self.energy.get(&workload.id);
            let mut points = workload::points(account, before, &spans, view.method);
            points.extend(disk::points(account));
            points.extend(tcp::points(account, view.open.get(&workload.id)));
            points.extend(process::points(account));
            points.extend(workload::operations(account, view.functional_unit));
            points.extend(view.waits.get(&workload.id).into_iter().flat_map(workload::pressure));
            found.insert(workload.id.clone(), Described { resource: Arc::clone(resource), live, points });
        }
        let workloads = found.values().filter(|workload| workload.live).count();
        let own = [
            (resource::node(view.host, view.idle_policy, view.method), node::points(view, &self.totals, &spans)),
            (
                resource::agent(view.host),
                health::points(view.health, self.totals.agent, workloads, self.lifecycle.dropped()),
            ),
        ];
        for (resource, points) in own {
            let resource = self.resources.entry(resource.id.clone()).or_insert_with(|| Arc::new(resource));
            let entity = Described { resource: Arc::clone(resource), live: true, points: Vec::new() };
            found.entry(resource.id.clone()).or_insert(entity).points.extend(points);
        }
        found.into_values().collect()
    }
}

/// Whether a workload is there for as long as the agent is.
fn lives_on(workload: &Workload) -> bool {
    matches!(workload.kind, Kind::Kernel | Kind::Unattributed | Kind::Other)
}

fn energies(ledger: &Ledger) -> BTreeMap<Triplet, BTreeMap<ZoneKind, Microjoules>> {
    ledger.accounts().map(|account| (account.workload.id.clone(), account.energy.clone())).collect()
}

/// Only the finished snapshot knows how many series it holds.
fn count_series(snapshot: &mut Snapshot) {
    let count = snapshot.entities.iter().map(|entity| entity.series.len()).sum::<usize>();
    let series = snapshot.entities.iter_mut().flat_map(|entity| &mut entity.series);
    for series in series.filter(|series| *series.metric == catalog::SERIES_COUNT) {
        series.value = Value::Number(count as f64);
    }
}

/// A point of a metric; attributes in the order of the catalogue.
fn point<const N: usize>(metric: &'static Metric, attributes: [Cow<'static, str>; N], value: f64) -> Point {
    Point { metric, attributes: attributes.into(), value: Value::Number(value) }
}

/// Shares of the interval in which tasks waited for a resource.
fn waits(metric: &'static Metric, resource: Resource, pressure: &Pressure) -> impl Iterator<Item = Point> + use<> {
    let shares = [("some", Some(pressure.some)), ("full", pressure.full)];
    let told = move |(kind, share): (&'static str, Option<f64>)| {
        Some(point(metric, [resource.name().into(), kind.into()], share?))
    };
    shares.into_iter().filter_map(told)
}

/// A histogram of durations. Of what never ended there is none: an empty one is as large as a full one.
fn durations_point<const N: usize>(
    metric: &'static Metric,
    attributes: [Cow<'static, str>; N],
    counted: &Durations,
    scale: i32,
) -> Option<Point> {
    let histogram = Histogram::of_counted(counted, scale);
    (histogram.count() > 0).then(|| Point { metric, attributes: attributes.into(), value: Value::Histogram(histogram) })
}

/// Mean power, where the time is known.
fn power(energy: Microjoules, span: Option<&Nanos>) -> Option<f64> {
    span.filter(|span| span.0 > 0).map(|span| energy.over(*span).0)
}

#[cfg(test)]
mod tests;
