//! `once` without root: with three capabilities it is as accurate, without any it reads files.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use serde_json::Value;
use wattrace_tests::run::{Unprivileged, microjoules};

use crate::{
    outcome::{ZONES, microjoules_of},
    record::Record,
    support::{Cgroup, Load},
    thresholds::{CONSERVATION, STEADY},
    world::{World, pin},
};

const NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];

/// What `once` says with these capabilities, while the load runs.
fn once(world: &World, capabilities: &str, more: &[&str], load: &mut Load) -> Vec<Value> {
    let copy = Unprivileged::copied().unwrap();
    let mut command = Command::new("setpriv");
    command.args(NOBODY);
    for set in ["inh-caps", "ambient-caps", "bounding-set"] {
        command.arg(format!("--{set}={capabilities}"));
    }
    command.arg(copy.path()).args(["once", "--json", "--interval", "10s"]).args(more);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = lines.inspect(|line| println!("once: {line}"));
    assert!(said.any(|line| line.contains("measuring for")));
    world.simulator.reset_truth().unwrap();
    load.go();
    load.wait();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn three_capabilities() {
    let Some(world) = World::new() else { return };
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["spin", "4"]);
    pin(load.child.id(), &[3]);
    let config = world.place.config();
    let more = ["--config", config.to_str().unwrap()];
    let lines = once(&world, "-all,+bpf,+perfmon,+dac_read_search", &more, &mut load);
    let truth = world.simulator.truth().unwrap();
    let (node, workloads) = lines.split_first().unwrap();
    let mine = workloads.iter().find(|workload| workload["cgroup"] == home.name.as_str()).unwrap();
    let mut record =
        Record::new("three_capabilities", "`once` as nobody, with CAP_BPF, CAP_PERFMON and CAP_DAC_READ_SEARCH");
    let zones = node["zones"].as_array().unwrap();
    for kind in ZONES {
        let truth = microjoules_of(&truth, &home.name, kind);
        record.row("spinner", kind, truth, microjoules(&mine["energy_j"][kind]).unwrap(), Some(STEADY));
        let of_kind = |field: &str| -> i64 {
            let zones = zones.iter().filter(|zone| zone["zone"] == kind);
            zones.map(|zone| microjoules(&zone[field]).unwrap()).sum()
        };
        let billed: i64 = workloads.iter().filter_map(|workload| microjoules(&workload["energy_j"][kind])).sum();
        let off = billed + of_kind("idle_j") + of_kind("residual_j") - of_kind("measured_j");
        record.holds(format!("{kind}: the books differ by {off} µJ"), off.abs() <= CONSERVATION);
    }
    record.judge();
}

#[test]
fn no_rights_at_all() {
    let Some(world) = World::new() else { return };
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["spin", "4"]);
    let before = home.cpu();
    let lines = once(&world, "-all", &[], &mut load);
    let truth = home.cpu().as_secs_f64() - before.as_secs_f64();
    let (node, workloads) = lines.split_first().unwrap();
    let mut record = Record::new("no_rights_at_all", "`once` as nobody, without any capability");
    let (source, mode) = (&node["source"], &node["probes"]["sched"]["mode"]);
    record.holds(format!("energy is {source}, time per workload {mode}"), source == "model" && mode == "cgroupfs");
    let mine = workloads.iter().find(|workload| workload["cgroup"] == home.name.as_str()).unwrap();
    let told = mine["cpu_s"].as_f64().unwrap();
    let off = (told - truth) / truth;
    record.holds(format!("the spinner used {truth:.6} s by cpu.stat, {told:.6} s as told"), off.abs() <= STEADY);
    let modelled = microjoules(&mine["energy_j"]["server"]);
    record.holds(format!("its energy is modelled: {modelled:?} µJ"), modelled > Some(0));
    record.judge();
}
