//! `once --json`: JSON lines, the stable machine-readable view. Energies in J, times in s, carbon in g.
//!
//! Fields may be added, never renamed. What is unknown is `null`, never 0.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use super::report::Report;
use crate::{
    attribution::{
        functional::FunctionalUnit,
        ledger::{Account, ZoneAccount},
        weight::Method,
    },
    samples::{
        ZoneKind,
        zone::{UnknownReason, ZoneSample},
    },
    units::{Microjoules, Nanos},
};

mod disk;
mod durations;
mod process;
mod processes;
mod tcp;
mod threads;

#[derive(Serialize)]
struct Node<'a> {
    r#type: &'static str,
    interval_s: f64,
    source: &'static str,
    quality: &'static str,
    scope: String,
    description: &'a str,
    idle_policy: &'static str,
    attribution: Attribution,
    precision: Option<&'static str>,
    uncertainty: Option<f64>,
    zones: Vec<Zone>,
    hardware: Vec<HardwareZone>,
    cpu: Cpu,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<threads::Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<disk::Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    functional_unit: Option<&'static str>,
    /// Where processes are told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<processes::Node>,
    carbon: Carbon,
    grid: Grid<'a>,
    pue: Pue,
    probes: Probes<'a>,
}

#[derive(Serialize)]
struct Attribution {
    method: &'static str,
    /// Where cores have two threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    smt_gain: Option<f64>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the field is the contract's")]
struct Zone {
    zone: &'static str,
    socket: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    die: Option<u32>,
    measured_j: Option<f64>,
    idle_j: Option<f64>,
    active_j: Option<f64>,
    residual_j: Option<f64>,
    idle_floor: Option<&'static str>,
    idle_floor_w: Option<f64>,
    unknown_s: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct HardwareZone {
    zone: &'static str,
    socket: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    die: Option<u32>,
    measured_j: Option<f64>,
    unknown_s: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct Cpu {
    cpus: u64,
    busy_s: f64,
    idle_s: f64,
    unaccounted: Option<f64>,
}

#[derive(Serialize)]
struct Carbon {
    operational_g: Option<f64>,
    embodied_g: Option<f64>,
}

#[derive(Serialize)]
struct Grid<'a> {
    g_per_kwh: f64,
    zone: &'a str,
    source: &'static str,
    signal: &'static str,
    basis: &'static str,
    precision: &'static str,
    year: Option<u16>,
}

#[derive(Serialize)]
struct Pue {
    value: f64,
    source: &'static str,
}

#[derive(Serialize)]
struct Probes<'a> {
    sched: Sched<'a>,
    block: Counted,
    tcp: Counted,
    process: Counted,
}

/// How much a probe counts.
#[derive(Serialize)]
struct Counted {
    level: &'static str,
}

#[derive(Serialize)]
struct Sched<'a> {
    mode: &'static str,
    level: Option<&'static str>,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// How it is known on which socket work ran, where it is not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    sockets: Option<&'static str>,
    counts: BTreeMap<&'a str, u64>,
}

#[derive(Serialize)]
struct Workload<'a> {
    r#type: &'static str,
    kind: &'static str,
    name: &'a str,
    cgroup: Option<&'a str>,
    cgroup_id: Option<u64>,
    cpu_s: f64,
    /// Where it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_shared_s: Option<f64>,
    energy_j: BTreeMap<&'static str, Option<f64>>,
    idle_j: BTreeMap<&'static str, f64>,
    carbon: Carbon,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<threads::Threads>,
    /// Where block I/O is counted, by how it is known to be the workload's.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<BTreeMap<&'static str, disk::Disk>>,
    /// Where connections are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<tcp::Tcp>,
    /// Where processes are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<process::Process>,
    /// Where there is a functional unit.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
}

#[derive(Serialize)]
struct Unit {
    operations: Option<u64>,
    j_per_operation: Option<f64>,
}

/// Writes the node, then every workload, and every process where they are told apart; largest first.
pub fn write(report: &Report<'_>, out: &mut impl io::Write) -> io::Result<()> {
    line(&node(report), out)?;
    report.ranked().into_iter().try_for_each(|account| line(&workload(report, account), out))?;
    let parts = report.by_process.iter().flat_map(|told| told.parts);
    parts.into_iter().try_for_each(|part| line(&processes::line(report, part), out))
}

fn line(value: &impl Serialize, out: &mut impl io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn node<'a>(report: &'a Report<'_>) -> Node<'a> {
    let usage = report.usage;
    Node {
        r#type: "node",
        interval_s: usage.span().seconds(),
        source: report.energy.source.name(),
        quality: report.energy.source.quality(),
        scope: report.scope(),
        description: &report.energy.description,
        idle_policy: report.idle_policy.name(),
        attribution: Attribution { method: report.method.name(), smt_gain: report.method.gain() },
        precision: report.energy.precision,
        uncertainty: report.energy.uncertainty,
        zones: report.ledger.zones().map(|account| zone(report, account)).collect(),
        hardware: report.hardware.iter().map(hardware).collect(),
        cpu: Cpu {
            cpus: usage.cpus,
            busy_s: usage.busy_total().seconds(),
            idle_s: usage.idle.seconds(),
            unaccounted: usage.unaccounted(),
        },
        threads: report.threads.map(Into::into),
        disk: disk::node(report.disks),
        functional_unit: report.functional_unit.map(FunctionalUnit::name),
        processes: report.by_process.map(Into::into),
        carbon: Carbon {
            operational_g: report.energy_known().then_some(report.footprint.operational.0),
            embodied_g: report.footprint.embodied.map(|grams| grams.0),
        },
        grid: grid(report),
        pue: Pue { value: report.factors.pue.value(), source: report.factors.pue.source().name() },
        probes: probes(report),
    }
}

fn zone(report: &Report<'_>, zone: &ZoneAccount) -> Zone {
    let known = |energy| (zone.covered.0 > 0).then(|| joules(energy));
    let floor = report.floors.get(&zone.key).filter(|_| zone.covered.0 > 0);
    Zone {
        zone: zone.key.kind.name(),
        socket: zone.key.scope.socket(),
        die: zone.key.scope.die(),
        measured_j: known(zone.measured),
        idle_j: known(zone.idle),
        active_j: known(zone.active()),
        residual_j: known(zone.residual),
        idle_floor: floor.map(|floor| floor.origin.name()),
        idle_floor_w: floor.map(|floor| floor.watts.0),
        unknown_s: unknown(zone.unknown.iter().map(|(reason, span)| (*reason, *span))),
    }
}

fn hardware(zone: &ZoneSample) -> HardwareZone {
    HardwareZone {
        zone: zone.key.kind.name(),
        socket: zone.key.scope.socket(),
        die: zone.key.scope.die(),
        measured_j: (zone.covered.0 > 0).then(|| joules(zone.energy)),
        unknown_s: unknown(zone.unknown),
    }
}

/// Seconds by reason; reasons that cost nothing are left out.
fn unknown(spans: impl IntoIterator<Item = (UnknownReason, Nanos)>) -> BTreeMap<&'static str, f64> {
    let spans = spans.into_iter().filter(|(_, span)| span.0 > 0);
    spans.map(|(reason, span)| (reason.name(), span.seconds())).collect()
}

fn grid<'a>(report: &'a Report<'_>) -> Grid<'a> {
    let intensity = &report.factors.intensity;
    Grid {
        g_per_kwh: intensity.value.0,
        zone: &intensity.zone,
        source: intensity.source.name(),
        signal: intensity.signal.name(),
        basis: intensity.basis.name(),
        precision: intensity.precision.name(),
        year: intensity.year,
    }
}

fn probes<'a>(report: &'a Report<'_>) -> Probes<'a> {
    let on_or_off = |is_counted| Counted { level: if is_counted { "on" } else { "off" } };
    Probes {
        sched: sched(report),
        block: Counted { level: report.block },
        tcp: on_or_off(report.tcp),
        process: on_or_off(report.processes),
    }
}

fn sched<'a>(report: &'a Report<'_>) -> Sched<'a> {
    let reason = report.sched.reason.as_deref();
    Sched {
        mode: report.sched.mode,
        level: report.sched.level,
        lost: report.sched.lost,
        reason,
        sockets: report.usage.is_place_estimated.then_some("estimated"),
        counts: report.sched.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect(),
    }
}

fn workload<'a>(report: &Report<'_>, account: &'a Account) -> Workload<'a> {
    let cgroup = account.cgroup.as_ref();
    Workload {
        r#type: "workload",
        kind: account.workload.kind.name(),
        name: &account.workload.name,
        cgroup: cgroup.map(|cgroup| cgroup.path.as_str()),
        cgroup_id: cgroup.map(|cgroup| cgroup.id),
        cpu_s: account.cpu.seconds(),
        cpu_shared_s: (report.method != Method::CpuTime).then(|| account.shared.seconds()),
        energy_j: by_kind(report, &account.energy),
        idle_j: account.idle.iter().map(|(kind, energy)| (ZoneKind::name(*kind), joules(*energy))).collect(),
        carbon: Carbon {
            operational_g: report.energy_known().then_some(account.operational.0),
            // Shared by reservation; a workload without one has none, and that is not 0.
            embodied_g: None,
        },
        threads: account.threads.as_ref().map(|threads| (&**threads).into()),
        disk: report.disk_known().then(|| disk::by_ownership(account)),
        tcp: tcp::of(report, account),
        process: process::of(report, account),
        unit: report.functional_unit.map(|_| Unit {
            operations: report.operations(account),
            j_per_operation: report.per_operation(&[account]).map(|energy| energy.0),
        }),
    }
}

/// Where no zone of a kind told its energy, it is not known.
fn by_kind(report: &Report<'_>, energy: &BTreeMap<ZoneKind, Microjoules>) -> BTreeMap<&'static str, Option<f64>> {
    let known = |kind, energy| report.is_known(kind).then(|| joules(energy));
    energy.iter().map(|(kind, energy)| (kind.name(), known(*kind, *energy))).collect()
}

fn joules(energy: Microjoules) -> f64 {
    energy.joules().0
}

#[cfg(test)]
mod tests;
