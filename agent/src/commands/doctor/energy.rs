//! What `doctor` finds of the energy meter: it reads it for a second or two.

use std::time::Duration;

use super::{Finding, Level, finding};
use crate::{
    clock,
    pipeline::{
        meter::{Chosen, Meter},
        sources,
    },
    samples::{EnergySource, ZoneReading, load::Load},
};

/// How long a meter is given to advance.
const METER_PATIENCE: Duration = Duration::from_secs(1);

/// Readings after which perf and powercap are not compared: the machine is too busy.
const COMPARISONS: u32 = 5;

pub(super) fn findings(mut chosen: Chosen) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        chosen.passed_over.iter().map(|reason| finding("meter", Level::Note, reason.clone())).collect();
    let lost = chosen.not_measured().into_iter();
    findings.extend(lost.map(|zone| finding("meter", Level::Degraded, format!("not measured: {zone}"))));
    let (level, text) = match &chosen.meter {
        Meter::Perf(_) | Meter::Powercap(_) | Meter::Hwmon(_) => {
            findings.extend(compared(&mut chosen));
            advances(&mut chosen.meter)
        }
        Meter::Model(model) => {
            let model = &model.model;
            let share = model.uncertainty * 100.0;
            (Level::Degraded, format!("no meter: energy is modelled, ±{share:.0} %: {}", model.description))
        }
        Meter::None if chosen.processor.is_none() => (Level::Degraded, "energy is unknown".to_owned()),
        Meter::None => (Level::Degraded, "energy is unknown: set energy.idle_watts and energy.max_watts".to_owned()),
    };
    findings.push(finding("energy", level, text));
    findings
}

/// Whether two interfaces to the same counters tell the same; nothing where there is one.
fn compared(chosen: &mut Chosen) -> Vec<Finding> {
    let Some(witness) = &mut chosen.witness else { return Vec::new() };
    for _ in 0..COMPARISONS {
        let since = clock::now();
        let readings = chosen.meter.read(clock::now, &Load::default(), &|_| true);
        match witness.observe(since, (chosen.meter.zones(), &readings), clock::now) {
            None => sources::pause(METER_PATIENCE),
            Some(apart) if apart.is_empty() => {
                return vec![finding("meter", Level::Ok, "perf and powercap tell the same, within 2 %")];
            }
            Some(apart) => {
                return apart.iter().map(|zone| finding("meter", Level::Degraded, zone.to_string())).collect();
            }
        }
    }
    let slow = "perf and powercap cannot be compared: one reading takes too long";
    vec![finding("meter", Level::Note, slow)]
}

/// Reads a meter until every zone has moved, or patience ends.
fn advances(meter: &mut Meter) -> (Level, String) {
    let first = meter.read(clock::now, &Load::default(), &|_| true);
    let deadline = clock::monotonic().0 + u64::try_from(METER_PATIENCE.as_nanos()).unwrap_or(u64::MAX);
    let mut last = first.clone();
    while clock::monotonic().0 < deadline && (0..first.len()).any(|at| is_stuck(&first, &last, at)) {
        sources::pause(Duration::from_millis(50));
        last = meter.read(clock::now, &Load::default(), &|_| true);
    }
    // Readings come in the order of the zones.
    let names = |is: &dyn Fn(usize) -> bool| {
        let zones = meter.zones().iter().enumerate().filter(|(at, _)| is(*at));
        zones.map(|(_, zone)| zone.hw_id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let unreadable = names(&|at| last.get(at).is_some_and(|zone| zone.counter.is_err()));
    let stuck = names(&|at| is_stuck(&first, &last, at));
    let source = meter.source();
    if !unreadable.is_empty() {
        return (Level::Degraded, format!("{}: {unreadable} cannot be read", source.name()));
    }
    if !stuck.is_empty() {
        return (Level::Degraded, format!("{}: {stuck} did not advance within a second", source.name()));
    }
    let level = if source == EnergySource::Vrapl { Level::Note } else { Level::Ok };
    (level, format!("{} ({}): {} zones, all advance", source.name(), source.quality(), last.len()))
}

fn is_stuck(first: &[ZoneReading], last: &[ZoneReading], at: usize) -> bool {
    first.get(at).map(|zone| &zone.counter) == last.get(at).map(|zone| &zone.counter)
}
