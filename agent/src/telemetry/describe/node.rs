//! What is told of the machine.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Point, Totals, View, catalog, point, power, waits};
use crate::{
    attribution::{books::Attribution, ledger::ZoneAccount},
    carbon::footprint::Factors,
    samples::{EnergySource, ZoneInfo, ZoneKey, ZoneKind, threads::MachineThreads, zone::UnknownReason},
    units::{Microjoules, Nanos},
};

/// Meter time of the interval by kind of zone. A kind of which one zone was not read has none: its power would
/// be that of a part.
pub(super) fn spans(attribution: &Attribution) -> BTreeMap<ZoneKind, Nanos> {
    let mut spans: BTreeMap<ZoneKind, Option<Nanos>> = BTreeMap::new();
    for books in &attribution.zones {
        let covered = Some(books.sample.covered).filter(|covered| covered.0 > 0);
        let span = spans.entry(books.sample.key.kind).or_insert(covered);
        *span = span.zip(covered).map(|(longest, covered)| longest.max(covered));
    }
    spans.into_iter().filter_map(|(kind, span)| Some((kind, span?))).collect()
}

/// The values of the machine.
pub(super) fn points(view: &View<'_>, totals: &Totals, spans: &BTreeMap<ZoneKind, Nanos>) -> Vec<Point> {
    let mut points: Vec<Point> = view.meter.zones.iter().flat_map(|zone| hardware(zone, view, totals)).collect();
    points.extend(energy(view));
    points.extend(powers(view, spans));
    points.push(available(view));
    points.extend(view.usage.unaccounted().map(|share| point(&catalog::NODE_CPU_UNACCOUNTED, [], share)));
    points.extend(view.usage.utilization().map(|share| point(&catalog::NODE_CPU_UTILIZATION, [], share)));
    points.extend(view.pressure.iter().flat_map(|(of, share)| waits(&catalog::NODE_PRESSURE, *of, share)));
    points.extend(view.threads.into_iter().flat_map(threads));
    points.extend(super::disk::devices(view.disks, totals));
    let carbon = [("operational", totals.operational), ("embodied", totals.embodied)];
    points.extend(
        carbon.into_iter().filter_map(|(phase, grams)| Some(point(&catalog::NODE_CARBON, [phase.into()], grams?.0))),
    );
    points.extend(factors(view.factors));
    points
}

fn threads(threads: MachineThreads) -> impl Iterator<Item = Point> {
    let waiting = threads.runqueue.map(|waiting| point(&catalog::NODE_CPU_RUNQUEUE, [], waiting));
    let unobserved = threads.unobserved.map(|count| point(&catalog::NODE_THREADS_UNOBSERVED, [], count as f64));
    waiting.into_iter().chain(unobserved)
}

fn available(view: &View<'_>) -> Point {
    let reason = view.meter.unavailable.map(ToOwned::to_owned).unwrap_or_default();
    let is_known = view.meter.unavailable.is_none() && view.meter.source != EnergySource::None;
    point(&catalog::NODE_ENERGY_AVAILABLE, [reason.into()], f64::from(u8::from(is_known)))
}

/// Totals by kind of zone.
#[derive(Default)]
struct Sums {
    active: Microjoules,
    idle: Microjoules,
    residual: Microjoules,
    unknown: BTreeMap<UnknownReason, Nanos>,
}

impl Sums {
    fn add(&mut self, zone: &ZoneAccount) {
        self.active += zone.active();
        self.idle += zone.idle;
        self.residual += zone.residual;
        for (reason, span) in &zone.unknown {
            *self.unknown.entry(*reason).or_default() += *span;
        }
    }
}

fn energy(view: &View<'_>) -> Vec<Point> {
    let mut kinds: BTreeMap<ZoneKind, Sums> = BTreeMap::new();
    for zone in view.ledger.zones() {
        kinds.entry(zone.key.kind).or_default().add(zone);
    }
    let mut points = Vec::new();
    for (kind, sums) in kinds {
        let zone = || Cow::from(kind.name());
        for (state, energy) in [("active", sums.active), ("idle", sums.idle)] {
            let attributes = [zone(), state.into(), view.meter.source.name().into()];
            points.push(point(&catalog::NODE_ENERGY, attributes, energy.joules().0));
        }
        points.push(point(&catalog::NODE_ENERGY_RESIDUAL, [zone()], sums.residual.joules().0));
        for (reason, span) in sums.unknown {
            points.push(point(&catalog::NODE_ENERGY_UNKNOWN_TIME, [zone(), reason.name().into()], span.seconds()));
        }
    }
    points
}

fn powers(view: &View<'_>, spans: &BTreeMap<ZoneKind, Nanos>) -> Vec<Point> {
    let mut kinds: BTreeMap<ZoneKind, (Microjoules, Microjoules)> = BTreeMap::new();
    for books in &view.attribution.zones {
        let (active, idle) = kinds.entry(books.sample.key.kind).or_default();
        *active += books.active();
        *idle += books.idle;
    }
    let source = view.meter.source.name();
    let states = kinds.into_iter().flat_map(|(kind, (active, idle))| [(kind, "active", active), (kind, "idle", idle)]);
    let mean = |(kind, state, energy): (ZoneKind, &'static str, Microjoules)| {
        let attributes = [kind.name().into(), state.into(), source.into()];
        Some(point(&catalog::NODE_POWER, attributes, power(energy, spans.get(&kind))?))
    };
    states.filter_map(mean).collect()
}

/// A zone as hardware. What a model fills is none.
fn hardware(zone: &ZoneInfo, view: &View<'_>, totals: &Totals) -> Vec<Point> {
    let Some(hw_type) = hw_type(zone.key.kind) else { return Vec::new() };
    let account = view.ledger.zones().find(|account| account.key == zone.key).map(|account| account.measured);
    let energy = account.or_else(|| totals.hardware.get(&zone.key).copied());
    let shared = view.attribution.zones.iter().map(|books| &books.sample);
    let sample = shared.chain(view.hardware).find(|sample| sample.key == zone.key);
    let mean = sample.and_then(|sample| power(sample.energy, Some(&sample.covered)));
    let id = || Cow::from(zone.hw_id.clone());
    let is_host = zone.key.kind == ZoneKind::Platform;
    let made = |of_host, of_part, value| {
        let parent = zone.parent.clone().unwrap_or_default();
        if is_host {
            return point(of_host, [id()], value);
        }
        point(of_part, [id(), hw_type.into(), name(zone.key).into(), parent.into()], value)
    };
    let energy = energy.map(|energy| made(&catalog::HW_HOST_ENERGY, &catalog::HW_ENERGY, energy.joules().0));
    let mean = mean.map(|watts| made(&catalog::HW_HOST_POWER, &catalog::HW_POWER, watts));
    energy.into_iter().chain(mean).collect()
}

/// `hw.type` of the semantic conventions.
const fn hw_type(kind: ZoneKind) -> Option<&'static str> {
    match kind {
        ZoneKind::Package | ZoneKind::Core | ZoneKind::Uncore => Some("cpu"),
        ZoneKind::Dram => Some("memory"),
        ZoneKind::Platform => Some("enclosure"),
        ZoneKind::Server => None,
    }
}

/// `package-0`, `core-1-die-0`
fn name(key: ZoneKey) -> String {
    let part = |word: &str, number: Option<u32>| number.map(|number| format!("-{word}{number}")).unwrap_or_default();
    format!("{}{}{}", key.kind.name(), part("", key.scope.socket()), part("die-", key.scope.die()))
}

fn factors(factors: &Factors) -> [Point; 2] {
    let intensity = &factors.intensity;
    let attributes = [
        intensity.zone.clone().into(),
        intensity.source.name().into(),
        intensity.signal.name().into(),
        intensity.basis.name().into(),
        intensity.precision.name().into(),
        // Annual means and configured values are no reading that could be an estimate.
        "".into(),
    ];
    let pue = factors.pue;
    [
        point(&catalog::NODE_PUE, [pue.source().name().into()], pue.value()),
        point(&catalog::GRID_CARBON_INTENSITY, attributes, intensity.value.0),
    ]
}
