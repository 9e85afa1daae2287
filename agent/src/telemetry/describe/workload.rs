//! What is told of a workload.

use std::collections::BTreeMap;

use super::{Point, catalog, point, power, waits};
use crate::{
    attribution::{ledger::Account, weight::Method},
    samples::{
        ZoneKind,
        pressure::{Pressure, Resource},
    },
    units::{Microjoules, Nanos},
};

/// The values of a workload. `before` is its energy at the last snapshot, `spans` the meter time since.
pub(super) fn points(
    account: &Account,
    before: Option<&BTreeMap<ZoneKind, Microjoules>>,
    spans: &BTreeMap<ZoneKind, Nanos>,
    method: Method,
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
    points.extend(cpu_time(account, method));
    points
}

/// How much its tasks waited.
pub(super) fn pressure(pressure: &Pressure) -> impl Iterator<Item = Point> + use<> {
    waits(&catalog::WORKLOAD_PRESSURE, Resource::Cpu, pressure)
}

/// A second series where it is told how much was shared, or once was: what was told must not fall.
fn cpu_time(account: &Account, method: Method) -> Vec<Point> {
    let told = |shared: &'static str, time: Nanos| point(&catalog::WORKLOAD_CPU_TIME, [shared.into()], time.seconds());
    let mut points = vec![told("false", account.cpu.saturating_sub(account.shared))];
    if method != Method::CpuTime || account.shared.0 > 0 {
        points.push(told("true", account.shared));
    }
    points
}
