//! Reservations beside kernel programs that tell who ran: who slept is known to have slept, and has its part of idle.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path};

use serde_json::{Value, json};
use wattrace::probes::cgroupfs;
use wattrace_tests::run::{Said, command, microjoules};

use crate::support::live;

const CGROUP: &str = "sys/fs/cgroup/system.slice/asleep.service";

/// This machine, but for its control groups: one, with a quota of a tenth of a CPU, in which nothing runs.
fn machine(root: &Path) {
    for shared in ["proc", "etc", "sys/devices", "sys/kernel"] {
        fs::create_dir_all(root.join(shared).parent().unwrap()).unwrap();
        symlink(Path::new("/").join(shared), root.join(shared)).unwrap();
    }
    // The list of mounts is the host's: where it has another place for the hierarchy, there is nothing below this root.
    fs::create_dir_all(root.join(CGROUP)).unwrap();
    apart(root);
    fs::write(root.join("sys/fs/cgroup/cgroup.controllers"), "cpu\n").unwrap();
    fs::write(root.join(CGROUP).join("cpu.max"), "10000 100000\n").unwrap();
}

/// Another directory takes the cgroup's place for as long as its id is that of a real one: both are numbers of inodes.
fn apart(root: &Path) {
    let real = cgroupfs::walk(&cgroupfs::mount(Path::new("/")).unwrap());
    let real: BTreeSet<u64> = real.found.into_iter().map(|(id, _)| id).collect();
    let made = root.join(CGROUP);
    for number in 0.. {
        if cgroupfs::cgroup_id(&made).is_some_and(|id| !real.contains(&id)) {
            break;
        }
        fs::rename(&made, root.join(number.to_string())).unwrap();
        fs::create_dir(&made).unwrap();
    }
}

#[test]
fn who_sleeps_has_used_nothing_and_still_has_its_part_of_idle() {
    live!();
    let root = tempfile::tempdir().unwrap();
    machine(root.path());
    let config = root.path().join("wattrace.toml");
    fs::write(&config, "[energy]\nsource = \"model\"\nidle_policy = \"by_request\"\nidle_watts = 40\nmax_watts = 90\n")
        .unwrap();
    let mut once = command("once", root.path());
    let once = once.args(["--json", "--interval", "1s", "--config"]).arg(&config).spawn();
    let figures = Said::of(&mut once.unwrap()).unwrap().figures().unwrap();
    println!("{}\n{:#}\n{:#?}", figures.err, figures.node, figures.workloads);
    assert_eq!(figures.node["probes"]["sched"]["mode"], "btf");
    let asleep = figures.workloads.iter().find(|workload| workload["name"] == "asleep.service").unwrap();
    let zero = |value: &Value| value.as_f64().is_some_and(|value| value.abs() < 1e-12);
    assert!(zero(&asleep["cpu_s"]) && zero(&asleep["energy_j"]["server"]), "{asleep}");
    let (part, whole) = (&asleep["idle_j"]["server"], &figures.node["zones"][0]["idle_j"]);
    let cpus = figures.node["cpu"]["cpus"].as_i64().unwrap();
    let (part, floor) = (microjoules(part).unwrap(), microjoules(whole).unwrap() / (10 * cpus));
    assert!(floor > 0 && (floor..=floor + 1).contains(&part), "{part} instead of {floor}");
    let others = figures.workloads.iter().filter(|workload| workload["name"] != "asleep.service");
    assert!(others.into_iter().all(|workload| workload["idle_j"] == json!({})), "nobody else reserved anything");
}
