//! Idle energy by reservation: quotas of control groups become joules and grams, and the books of each zone close.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wattrace_tests::{
    held::once,
    machine_root::MachineRoot,
    run::{Figures, microjoules},
};

const CGROUPS: &str = "sys/fs/cgroup";
/// What each zone uses: more than it idles at.
const USED: u64 = 90_000_000;

/// A server with two sockets, four CPUs and these quotas; a cgroup without one has none of the files of its controller.
fn server(quotas: &[(&str, &str)]) -> Result<MachineRoot> {
    let machine = MachineRoot::new("xeon-2s")?;
    assert_eq!(machine.cpus.len(), 4);
    machine.write(&format!("{CGROUPS}/cgroup.controllers"), "cpuset cpu io memory pids\n")?;
    quotas.iter().try_for_each(|(path, quota)| reserve(&machine, path, quota))?;
    Ok(machine)
}

fn reserve(machine: &MachineRoot, path: &str, quota: &str) -> Result<()> {
    for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        machine.write(&format!("{CGROUPS}{}/cpu.stat", &path[..at]), "usage_usec 0\n")?;
    }
    let name = if quota.is_empty() { "cgroup.procs" } else { "cpu.max" };
    machine.write(&format!("{CGROUPS}{path}/{name}"), quota)
}

/// Measures it under a policy, at 200 W of idle power; `meanwhile` happens between the readings.
fn measure(
    machine: &MachineRoot,
    policy: &str,
    meanwhile: impl FnOnce(&MachineRoot) -> Result<()>,
) -> Result<Option<Figures>> {
    machine.write("wattrace.toml", format!("[energy]\nidle_watts = 200\nidle_policy = {policy:?}\n"))?;
    let file = machine.path().join("wattrace.toml");
    let Some(mut held) = once(machine, &["--json", "--config", file.to_str().context("a path")?])? else {
        return Ok(None);
    };
    held.go_on(&machine.stat())?;
    machine.zones.iter().try_for_each(|row| machine.set_energy(&row.path, 1_000 + USED))?;
    meanwhile(machine)?;
    held.figures(&machine.stat()).map(Some)
}

/// Measures it by request and nothing happens meanwhile.
fn by_request(quotas: &[(&str, &str)]) -> Result<Option<Figures>> {
    measure(&server(quotas)?, "by_request", |_| Ok(()))
}

/// Idle µJ of each zone of a kind.
fn idle(figures: &Figures, kind: &str) -> Vec<i64> {
    let zones = figures.node["zones"].as_array().into_iter().flatten().filter(|zone| zone["zone"] == kind);
    zones.filter_map(|zone| microjoules(&zone["idle_j"])).collect()
}

/// Asserts that exactly these workloads have a part of idle, each this many millionths of every zone's.
fn shares(figures: &Figures, expected: &[(&str, u32)]) {
    println!("{}\n{:#}\n{:#?}", figures.err, figures.node, figures.workloads);
    let has_part = |workload: &&Value| workload["idle_j"] != json!({});
    let found: BTreeMap<&str, &Value> = figures
        .workloads
        .iter()
        .filter(has_part)
        .map(|workload| (workload["name"].as_str().unwrap_or_default(), &workload["idle_j"]))
        .collect();
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected.iter().map(|row| row.0).collect::<Vec<_>>());
    for kind in ["package", "dram"] {
        let idle = idle(figures, kind);
        assert!(idle.len() == 2 && idle.iter().all(|idle| *idle > 1_000_000), "{idle:?}");
        let parts = |(name, share): &(&str, u32)| {
            let part = microjoules(&found[name][kind]).unwrap_or(-1);
            let floor: i64 = idle.iter().map(|idle| idle * i64::from(*share) / 1_000_000).sum();
            assert!((floor..=floor + 2).contains(&part), "{name}, {kind}: {part} instead of {floor} of {idle:?}");
            part
        };
        let (given, whole): (i64, i64) = (expected.iter().map(parts).sum(), idle.iter().sum());
        let all: u32 = expected.iter().map(|(_, share)| share).sum();
        assert!(if all == 1_000_000 { given == whole } else { given <= whole }, "{given} of {whole}");
    }
}

#[test]
fn who_reserved_cpus_has_their_share_of_idle() -> Result<()> {
    let quotas = [
        ("/system.slice", "max 100000\n"),
        ("/system.slice/one.service", "100000 100000\n"),
        ("/system.slice/half.service", "25000 50000\n"),
        ("/system.slice/free.service", "max 100000\n"),
        ("/system.slice/other.service", ""),
    ];
    let Some(figures) = by_request(&quotas)? else { return Ok(()) };
    shares(&figures, &[("half.service", 125_000), ("one.service", 250_000)]);
    assert_eq!(figures.node["idle_policy"], "by_request");
    assert_eq!(figures.node["probes"]["sched"]["lost"], 0);
    let kinds: Vec<&Value> = figures.workloads.iter().map(|workload| &workload["kind"]).collect();
    assert_eq!(kinds, ["unattributed", "systemd_unit", "systemd_unit"], "who has no figure is not shown");
    let intensity = figures.node["grid"]["g_per_kwh"].as_f64().context("an intensity")?;
    let joules = |figures: &Value| -> f64 {
        figures.as_object().into_iter().flatten().filter_map(|(_, joules)| joules.as_f64()).sum()
    };
    for workload in &figures.workloads {
        let grams = workload["carbon"]["operational_g"].as_f64().context("grams")?;
        let energy = joules(&workload["energy_j"]) + joules(&workload["idle_j"]);
        assert!((grams / (energy / 3.6e6 * intensity) - 1.0).abs() < 1e-9, "{workload}");
    }
    // It slept, and reserved all the same.
    let one = figures.workloads.iter().find(|workload| workload["name"] == "one.service").context("the first")?;
    assert_eq!((&one["cpu_s"], &one["energy_j"]), (&json!(0.0), &json!({"package": 0.0, "dram": 0.0})));
    assert_eq!(one["cgroup"], "/system.slice/one.service");
    Ok(())
}

#[test]
fn by_default_idle_is_the_nodes() -> Result<()> {
    let machine = server(&[("/system.slice/one.service", "100000 100000\n")])?;
    let Some(figures) = measure(&machine, "separate", |_| Ok(()))? else { return Ok(()) };
    shares(&figures, &[]);
    assert_eq!((&figures.node["idle_policy"], figures.workloads.len()), (&json!("separate"), 1));
    Ok(())
}

#[test]
fn a_quota_within_a_quota_counts_once() -> Result<()> {
    let pod = "/kubepods.slice/kubepods-pod0f1e2d3c_4b5a_4968_8776_655443322110.slice";
    let id = "0123456789abcdef".repeat(4);
    let container = format!("{pod}/cri-containerd-{id}.scope");
    let quotas = [
        (pod, "150000 100000\n"),
        (&container, "100000 100000\n"),
        // One workload is two cgroups, and its quota is that of the slice around.
        ("/work.slice", "50000 100000\n"),
        ("/work.slice/run-u1.service", "40000 100000\n"),
        ("/work.slice/run-u2.service", "40000 100000\n"),
        // What a slice has left belongs to no workload.
        ("/user.slice", "100000 100000\n"),
    ];
    let Some(figures) = by_request(&quotas)? else { return Ok(()) };
    let expected =
        [("0123456789ab", 250_000), ("0f1e2d3c-4b5a-4968-8776-655443322110", 125_000), ("run-*.service", 125_000)];
    shares(&figures, &expected);
    Ok(())
}

#[test]
fn more_than_there_is_shares_all_of_it() -> Result<()> {
    let quotas = [("/system.slice/a.service", "900000 100000\n"), ("/system.slice/b.service", "300000 100000\n")];
    let Some(figures) = by_request(&quotas)? else { return Ok(()) };
    shares(&figures, &[("a.service", 750_000), ("b.service", 250_000)]);
    Ok(())
}

#[test]
fn a_quota_that_is_none_is_counted_and_costs_no_other_its_share() -> Result<()> {
    let quotas = [
        ("/system.slice/a.service", "much 100000\n"),
        ("/system.slice/b.service", "100000 0\n"),
        ("/system.slice/one.service", "100000 100000\n"),
    ];
    let Some(figures) = by_request(&quotas)? else { return Ok(()) };
    shares(&figures, &[("one.service", 250_000)]);
    let sched = &figures.node["probes"]["sched"];
    assert_eq!((&sched["lost"], &sched["counts"]), (&json!(2), &json!({"reservations.malformed": 2})));
    Ok(())
}

#[test]
fn a_name_that_is_not_shown_as_it_is_loses_nothing_in_silence() -> Result<()> {
    let quotas =
        [("/system.slice/a\u{1b}.service", "100000 100000\n"), ("/system.slice/one.service", "100000 100000\n")];
    let Some(figures) = by_request(&quotas)? else { return Ok(()) };
    // Its directory is found by its id, which the file system of this machine cannot do.
    shares(&figures, &[("one.service", 250_000)]);
    assert_eq!(figures.node["probes"]["sched"]["counts"], json!({"reservations.unreadable": 1}));
    Ok(())
}

#[test]
fn quotas_are_those_of_the_end_of_the_interval() -> Result<()> {
    let quotas = [("/system.slice/gone.service", "100000 100000\n"), ("/system.slice/less.service", "200000 100000\n")];
    let machine = server(&quotas)?;
    let figures = measure(&machine, "by_request", |machine| {
        // First, else its directory may get the inode of the one removed: a file system does that, kernfs never.
        reserve(machine, "/system.slice/new.service", "50000 100000\n")?;
        reserve(machine, "/system.slice/less.service", "100000 100000\n")?;
        Ok(fs::remove_dir_all(machine.path().join(CGROUPS).join("system.slice/gone.service"))?)
    })?;
    let Some(figures) = figures else { return Ok(()) };
    shares(&figures, &[("less.service", 250_000), ("new.service", 125_000)]);
    assert_eq!(figures.node["probes"]["sched"]["lost"], 0);
    Ok(())
}

#[test]
fn where_nothing_can_be_reserved_it_is_said() -> Result<()> {
    let machine = server(&[])?;
    machine.write(&format!("{CGROUPS}/cgroup.controllers"), "pids\n")?;
    let Some(figures) = measure(&machine, "by_request", |_| Ok(()))? else { return Ok(()) };
    shares(&figures, &[]);
    let said = "energy.idle_policy: all idle energy stays with the node: the hierarchy at ";
    assert!(figures.err.contains(said) && figures.err.contains("has no cpu controller"), "{}", figures.err);
    let machine = MachineRoot::new("xeon-2s")?;
    let Some(figures) = measure(&machine, "by_request", |_| Ok(()))? else { return Ok(()) };
    assert!(figures.err.contains("the node: no cgroup2 file system is mounted below"), "{}", figures.err);
    let Some(figures) = measure(&machine, "separate", |_| Ok(()))? else { return Ok(()) };
    assert!(!figures.err.contains("idle_policy"), "{}", figures.err);
    Ok(())
}
