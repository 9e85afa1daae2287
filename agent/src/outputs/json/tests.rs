//! What the lines say, field by field.

use serde_json::{Value, json};

use super::*;
use crate::{
    attribution::weight::SmtGain,
    outputs::example::{Example, HOSTILE},
    samples::EnergySource,
};

pub(super) fn lines(report: &Report<'_>) -> Vec<Value> {
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
        "probes": {
            "sched": { "mode": "btf", "level": "full", "lost": 3, "counts": { "sched.map_full": 3 } },
            "block": { "level": "total" },
            "tcp": { "level": "off" },
            "process": { "level": "off" },
        },
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
