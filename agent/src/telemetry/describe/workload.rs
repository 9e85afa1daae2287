//! What is told of a workload.

use std::collections::BTreeMap;

use super::{Point, catalog, point, power};
use crate::{
    attribution::ledger::Account,
    samples::ZoneKind,
    units::{Microjoules, Nanos},
};

/// The values of a workload. `before` is its energy at the last snapshot, `spans` the meter time since.
pub(super) fn points(
    account: &Account,
    before: Option<&BTreeMap<ZoneKind, Microjoules>>,
    spans: &BTreeMap<ZoneKind, Nanos>,
) -> Vec<Point> {
    let mut points = Vec::new();
    for (kind, energy) in &account.energy {
        let zone = || kind.name().into();
        points.push(point(&catalog::WORKLOAD_ENERGY, [zone(), "active".into()], energy.joules().0));
        let earlier = before.and_then(|before| before.get(kind)).copied().unwrap_or_default();
        let mean = power(energy.saturating_sub(earlier), spans.get(kind));
        points.extend(mean.map(|watts| point(&catalog::WORKLOAD_POWER, [zone()], watts)));
    }
    for (kind, energy) in &account.idle {
        points.push(point(&catalog::WORKLOAD_ENERGY, [kind.name().into(), "idle".into()], energy.joules().0));
    }
    // Grams of an energy that was never known are no grams.
    if !account.energy.is_empty() || !account.idle.is_empty() {
        points.push(point(&catalog::WORKLOAD_CARBON, ["operational".into()], account.operational.0));
    }
    points.push(point(&catalog::WORKLOAD_CPU_TIME, [], account.cpu.seconds()));
    points
}
