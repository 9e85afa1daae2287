//! The real program: its output, its messages, its rights.

use std::process::{Command, Output};

use serde_json::Value;
use wattrace_tests::run::Unprivileged;

use crate::support::{Cgroup, Load, live};

fn wattrace() -> Command {
    Command::new(wattrace_tests::program())
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sums are compared in whole microjoules.
fn microjoules(value: &Value) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a few joules")]
    let rounded = (value.as_f64().unwrap() * 1e6).round() as i64;
    rounded
}

#[test]
fn once_closes_its_books_and_names_the_cgroup() {
    live!();
    // It may have to be built first: the load must not be over by then.
    let mut once = wattrace();
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["spin", "20"]);
    load.go();
    let output = once.args(["once", "--json", "--interval", "2s"]).output().unwrap();
    drop(load);
    let lines = lines(&output);
    let (node, workloads) = lines.split_first().unwrap();
    assert_eq!(node["type"], "node");
    assert_eq!(node["probes"]["sched"]["mode"], "btf");
    assert_eq!(node["probes"]["sched"]["lost"], 0);
    let zones = node["zones"].as_array().unwrap();
    let sum = |field: &str| zones.iter().map(|zone| microjoules(&zone[field])).sum::<i64>();
    let billed = workloads.iter().flat_map(|workload| workload["energy_j"].as_object().unwrap().values());
    let billed: i64 = billed.map(microjoules).sum();
    assert_eq!(billed + sum("idle_j") + sum("residual_j"), sum("measured_j"));
    let mine = workloads.iter().find(|workload| workload["cgroup"] == cgroup.name.as_str()).unwrap();
    assert_eq!(mine["cgroup_id"], cgroup.id);
    let cpu = mine["cpu_s"].as_f64().unwrap();
    assert!((0.5..=2.2).contains(&cpu), "{cpu}");
}

#[test]
fn without_rights_once_says_what_is_missing_and_reads_files() {
    live!();
    let mut once = Unprivileged::new().unwrap();
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["spin", "60"]);
    load.go();
    let before = cgroup.cpu();
    let output = once.command.args(["once", "--json", "--interval", "10s"]).output().unwrap();
    let most = (cgroup.cpu() - before).as_secs_f64();
    drop(load);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{said}");
    assert!(said.contains("CAP_BPF") && said.contains("CAP_PERFMON") && said.contains("cpu.stat"), "{said}");
    let lines = lines(&output);
    let (node, workloads) = lines.split_first().unwrap();
    assert_eq!(node["probes"]["sched"]["mode"], "cgroupfs");
    assert!(node["cpu"]["busy_s"].as_f64().unwrap() > 0.0);
    let mine = workloads.iter().find(|workload| workload["cgroup"] == cgroup.name.as_str()).unwrap();
    let cpu = mine["cpu_s"].as_f64().unwrap();
    assert!(cpu > 1.0 && cpu <= most, "{cpu} s of {most} s");
    assert!(microjoules(&mine["energy_j"]["server"]) > 0, "{mine}");
}

#[test]
fn without_rights_a_short_interval_is_refused() {
    live!();
    let output = Unprivileged::new().unwrap().command.args(["once", "--interval", "1s"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("10s or more"));
}

/// `once` as nobody with the capabilities that it asks for, started by a shell after `first`; `None`: cannot be tried here.
fn with_capabilities(first: &str) -> Option<Output> {
    let caps = "-all,+bpf,+perfmon,+dac_read_search";
    let rights = format!("--inh-caps={caps} --ambient-caps={caps} --bounding-set={caps}");
    let nobody = "--reuid=65534 --regid=65534 --clear-groups --no-new-privs";
    let copy = Unprivileged::copied().unwrap();
    // By its path: a shell may have a lesser one built in.
    let path = std::env::var_os("PATH").unwrap();
    let Some(setpriv) = std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|file| file.is_file())
    else {
        println!("SKIPPED: missing tool setpriv (package util-linux)");
        return None;
    };
    let setpriv = setpriv.display();
    let line =
        format!("{first} && exec {setpriv} {nobody} {rights} {} once --json --interval 10s", copy.path().display());
    Some(Command::new("sh").args(["-c", &line]).output().unwrap())
}

#[test]
fn two_capabilities_are_enough() {
    live!();
    let Some(output) = with_capabilities("true") else { return };
    let lines = lines(&output);
    assert_eq!(lines[0]["probes"]["sched"]["mode"], "btf", "{}", String::from_utf8_lossy(&output.stderr));
}

/// Kernels before 5.11 count maps against the limit, and say no more than that it is not permitted.
#[test]
fn a_low_memory_limit_does_no_harm_or_is_named() {
    live!();
    let Some(output) = with_capabilities("ulimit -l 64") else { return };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = lines(&output);
    let mode = &lines[0]["probes"]["sched"]["mode"];
    println!("{mode}: {said}");
    assert!(mode == "btf" || said.contains("RLIMIT_MEMLOCK, which is 65536 bytes"), "{mode}: {said}");
}
