//! `once --json`: JSON lines, the stable machine-readable view. Energies in J, times in s, carbon in g.
//!
//! Fields may be added, never renamed. What is unknown is `null`, never 0.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use super::report::Report;
use crate::{
    attribution::{
        ledger::{Account, ZoneAccount},
        weight::Method,
    },
    samples::{
        ZoneKind,
        zone::{UnknownReason, ZoneSample},
    },
    units::{Microjoules, Nanos},
};

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
}

/// Writes the node, then every workload, largest first.
pub fn write(report: &Report<'_>, out: &mut impl io::Write) -> io::Result<()> {
    line(&node(report), out)?;
    report.ranked().into_iter().try_for_each(|account| line(&workload(report, account), out))
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
        carbon: Carbon {
            operational_g: report.energy_known().then_some(report.footprint.operational.0),
            embodied_g: report.footprint.embodied.map(|grams| grams.0),
        },
        grid: grid(report),
        pue: Pue { value: report.factors.pue.value(), source: report.factors.pue.source().name() },
        probes: Probes { sched: sched(report) },
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
    let known = |kind, energy| report.is_known(kind).then(|| joules(energy));
    Workload {
        r#type: "workload",
        kind: account.workload.kind.name(),
        name: &account.workload.name,
        cgroup: cgroup.map(|cgroup| cgroup.path.as_str()),
        cgroup_id: cgroup.map(|cgroup| cgroup.id),
        cpu_s: account.cpu.seconds(),
        cpu_shared_s: (report.method != Method::CpuTime).then(|| account.shared.seconds()),
        energy_j: account.energy.iter().map(|(kind, energy)| (ZoneKind::name(*kind), known(*kind, *energy))).collect(),
        idle_j: account.idle.iter().map(|(kind, energy)| (ZoneKind::name(*kind), joules(*energy))).collect(),
        carbon: Carbon {
            operational_g: report.energy_known().then_some(account.operational.0),
            // Shared by reservation; a workload without one has none, and that is not 0.
            embodied_g: None,
        },
        threads: account.threads.as_ref().map(|threads| (&**threads).into()),
    }
}

fn joules(energy: Microjoules) -> f64 {
    energy.joules().0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        attribution::weight::SmtGain,
        outputs::example::{Example, HOSTILE},
        samples::EnergySource,
    };

    fn lines(report: &Report<'_>) -> Vec<Value> {
        let mut out = Vec::new();
        write(report, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("}\n"), "every line is ended");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_machine_is_the_first_line() {
        let expected = json!({
            "type": "node", "interval_s": 2.0,
            "source": "rapl_powercap", "quality": "measured", "scope": "package+dram", "description": "intel-rapl:0",
            "idle_policy": "separate", "attribution": { "method": "cpu_time" },
            "precision": null, "uncertainty": 0.05,
            "zones": [
                {
                    "zone": "package", "socket": 0,
                    "measured_j": 30.0, "idle_j": 10.0, "active_j": 20.0, "residual_j": 0.0,
                    "idle_floor": "assumed", "idle_floor_w": 5.0, "unknown_s": {},
                },
                {
                    "zone": "package", "socket": 1,
                    "measured_j": null, "idle_j": null, "active_j": null, "residual_j": null,
                    "idle_floor": null, "idle_floor_w": null, "unknown_s": { "reset": 2.0 },
                },
                {
                    "zone": "dram", "socket": 0,
                    "measured_j": 3.0, "idle_j": 1.0, "active_j": 2.0, "residual_j": 0.0,
                    "idle_floor": null, "idle_floor_w": null, "unknown_s": {},
                },
            ],
            "hardware": [
                { "zone": "platform", "socket": null, "measured_j": 100.0, "unknown_s": {} },
                { "zone": "core", "socket": 0, "die": 1, "measured_j": null, "unknown_s": { "reset": 2.0 } },
            ],
            "cpu": { "cpus": 4, "busy_s": 2.0, "idle_s": 5.9, "unaccounted": 0.0125 },
            "carbon": { "operational_g": 0.003, "embodied_g": null },
            "grid": {
                "g_per_kwh": 329.65, "zone": "DE", "source": "static", "signal": "average", "basis": "lifecycle",
                "precision": "country", "year": 2025,
            },
            "pue": { "value": 1.0, "source": "not_applied" },
            "probes": { "sched": { "mode": "btf", "level": "full", "lost": 3, "counts": { "sched.map_full": 3 } } },
        });
        assert_eq!(lines(&Example::new().report())[0], expected);
    }

    #[test]
    fn workloads_follow_largest_first() {
        let lines = lines(&Example::new().report());
        let workload = |kind: &str, name: &str, cgroup: Value, cpu: f64, package: f64, dram: f64, grams: f64| {
            let id = if cgroup.is_null() { Value::Null } else { json!(4_711) };
            json!({
                "type": "workload", "kind": kind, "name": name, "cgroup": cgroup, "cgroup_id": id, "cpu_s": cpu,
                "energy_j": { "package": package, "dram": dram }, "idle_j": {},
                "carbon": { "operational_g": grams, "embodied_g": null },
            })
        };
        let expected = [
            workload("systemd_unit", "ssh.service", json!("/system.slice/ssh.service"), 1.2, 12.000_001, 1.2, 0.001),
            workload("process", HOSTILE, Value::Null, 0.3, 5.000_002, 0.5, 0.0005),
            workload("unattributed", "unattributed", Value::Null, 0.5, 2.999_997, 0.3, 0.00025),
        ];
        assert_eq!(lines[1..], expected);
    }

    #[test]
    fn time_that_was_shared_is_told_where_cores_have_two_threads() {
        let example = Example::new();
        let mut report = example.report();
        report.method = Method::CpuTimeSmt(SmtGain::default());
        let lines = lines(&report);
        assert_eq!(lines[0]["attribution"], json!({ "method": "cpu_time+smt", "smt_gain": 0.15 }));
        let shared: Vec<_> = lines[1..].iter().map(|line| (&line["cpu_s"], &line["cpu_shared_s"])).collect();
        assert_eq!(shared, [(&json!(1.2), &json!(0.4)), (&json!(0.3), &json!(0.1)), (&json!(0.5), &json!(0.0))]);
    }

    #[test]
    fn idle_is_told_of_who_reserved_it() {
        let lines = lines(&Example::by_request().report());
        assert_eq!(lines[0]["idle_policy"], "by_request");
        assert_eq!(lines[0]["zones"][0]["idle_j"], 10.0, "it stays the whole");
        let idle: Vec<_> = lines[1..].iter().map(|line| (line["name"].as_str().unwrap(), &line["idle_j"])).collect();
        let expected = [
            ("ssh.service", &json!({ "package": 2.5, "dram": 0.25 })),
            (HOSTILE, &json!({})),
            ("unattributed", &json!({})),
            ("asleep.service", &json!({ "package": 1.25, "dram": 0.125 })),
        ];
        assert_eq!(idle, expected);
        let asleep = json!({
            "type": "workload", "kind": "systemd_unit", "name": "asleep.service",
            "cgroup": "/system.slice/asleep.service", "cgroup_id": 4_711, "cpu_s": 0.0, "energy_j": {},
            "idle_j": { "package": 1.25, "dram": 0.125 },
            "carbon": { "operational_g": 0.000_125, "embodied_g": null },
        });
        assert_eq!(lines[4], asleep);
    }

    #[test]
    fn without_a_meter_time_remains() {
        let mut example = Example::new();
        example.footprint.covered = Nanos(0);
        example.ledger = crate::attribution::ledger::Ledger::default();
        example.hardware.clear();
        example.usage.to = example.usage.from;
        let mut report = example.report();
        report.energy.source = EnergySource::None;
        (report.sched.mode, report.sched.level) = ("cgroupfs", None);
        report.sched.reason = Some("no rights".to_owned());
        let lines = lines(&report);
        let node = &lines[0];
        assert_eq!(
            (&node["source"], &node["quality"], &node["scope"]),
            (&json!("none"), &json!("missing"), &json!("none"))
        );
        assert_eq!((&node["zones"], &node["hardware"]), (&json!([]), &json!([])));
        assert_eq!(node["carbon"], json!({ "operational_g": null, "embodied_g": null }));
        assert_eq!(node["cpu"]["unaccounted"], Value::Null, "of no time there is no share");
        let files = json!({ "mode": "cgroupfs", "level": null, "lost": 3, "reason": "no rights", "counts": { "sched.map_full": 3 } });
        assert_eq!(node["probes"]["sched"], files);
    }

    #[test]
    fn no_line_is_broken_by_a_name() {
        let mut out = Vec::new();
        write(&Example::new().report(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert!(!text.contains(|c: char| c.is_ascii_control() && c != '\n'), "{text:?}");
    }
}
