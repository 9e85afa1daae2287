//! What is told of a workload.

use std::collections::BTreeMap;

use wattrace_common::threads::{OFF_SCALE, STATES, State, WAIT_SCALE};

use super::{Point, catalog, durations_point, point, power, waits};
use crate::{
    attribution::{functional::FunctionalUnit, ledger::Account, weight::Method},
    samples::{
        ThreadDurations, ZoneKind,
        pressure::{Pressure, Resource},
        threads::ThreadUse,
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
    points.extend(account.threads.iter().flat_map(|threads| thread_points(threads)));
    points
}

/// How often it did what its energy is stated for.
pub(super) fn operations(account: &Account, unit: Option<FunctionalUnit>) -> Option<Point> {
    let (unit, count) = unit.map(|unit| (unit, unit.count(account))).filter(|(_, count)| *count > 0)?;
    Some(point(&catalog::WORKLOAD_OPERATIONS, [unit.name().into()], count as f64))
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

fn thread_points(threads: &ThreadUse) -> Vec<Point> {
    let states = STATES.into_iter().map(State::name).zip(threads.states);
    let time =
        |(state, span): (&'static str, Nanos)| point(&catalog::WORKLOAD_THREAD_TIME, [state.into()], span.seconds());
    let switches = [("voluntary", threads.voluntary), ("involuntary", threads.involuntary)];
    let switches =
        switches.map(|(kind, count)| point(&catalog::WORKLOAD_CONTEXT_SWITCHES, [kind.into()], count as f64));
    let durations = threads.durations.iter().flat_map(duration_points);
    [("running", threads.running)].into_iter().chain(states).map(time).chain(durations).chain(switches).collect()
}

fn duration_points(durations: &ThreadDurations) -> Vec<Point> {
    let wait = durations_point(&catalog::WORKLOAD_SCHED_WAIT_DURATION, [], &durations.wait, WAIT_SCALE);
    let off = STATES.into_iter().filter_map(State::reason).zip(&durations.off);
    let off = off.filter_map(|(reason, durations)| {
        durations_point(&catalog::WORKLOAD_OFFCPU_DURATION, [reason.into()], durations, OFF_SCALE)
    });
    wait.into_iter().chain(off).collect()
}
