//! The real program without kernel programs, on a root whose `cpu.stat` and `/proc/PID/stat` change: what each workload
//! used comes out, the rest is nobody's, and the books are closed.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wattrace_tests::{
    held::once,
    machine_root::MachineRoot,
    run::{Figures, microjoules},
};

const UNIT: &str = "sys/fs/cgroup/system.slice";

/// A cgroup's total in milliseconds.
fn total(machine: &MachineRoot, cgroup: &str, millis: u64) -> Result<()> {
    machine.write(&format!("{UNIT}{cgroup}/cgroup.procs"), "")?;
    machine.write(&format!("{UNIT}{cgroup}/cpu.stat"), format!("usage_usec {}\nuser_usec 0\n", millis * 1_000))
}

/// A process that has used so many clock ticks.
fn process(machine: &MachineRoot, pid: u32, name: &str, flags: u32, ticks: u64) -> Result<()> {
    let line = format!("{pid} ({name}) S 1 7 7 0 -1 {flags} 1 2 3 4 {ticks} 0 7 8 20 0 1 0 42 100 200\n");
    machine.write(&format!("proc/{pid}/stat"), line)
}

fn machine() -> Result<MachineRoot> {
    let machine = MachineRoot::new("xeon-2s")?;
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpu\n")?;
    machine.write("sys/fs/cgroup/cgroup.procs", "2\n7\n")?;
    machine.write("proc/self/status", "")?;
    fs::create_dir_all(machine.path().join("proc/self/ns"))?;
    symlink("pid:[4026531836]", machine.path().join("proc/self/ns/pid"))?;
    for (cgroup, millis) in [("/a.service", 1_000), ("/b.service", 400), ("", 1_400)] {
        total(&machine, cgroup, millis)?;
    }
    process(&machine, 2, "kthreadd", 2_129_984, 30)?;
    process(&machine, 7, "a worker", 4_194_560, 500)?;
    // In a cgroup, so that it is not looked at.
    process(&machine, 8, "a.service", 4_194_560, 100)?;
    Ok(machine)
}

fn find<'a>(figures: &'a Figures, name: &str) -> Result<&'a Value> {
    figures.workloads.iter().find(|one| one["name"] == name).with_context(|| format!("{:#?}", figures.workloads))
}

#[test]
fn each_workload_has_what_it_used_and_one_that_is_gone_too() -> Result<()> {
    let mut machine = machine()?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    let tick = 1.0 / wattrace::probes::procfs::user_hz() as f64;
    // 50 ms, and b.service used 10 ms more before it was removed.
    total(&machine, "/a.service", 1_050)?;
    total(&machine, "", 1_460)?;
    fs::remove_dir_all(machine.path().join(UNIT).join("b.service"))?;
    process(&machine, 2, "kthreadd", 2_129_984, 31)?;
    process(&machine, 7, "a worker", 4_194_560, 502)?;
    process(&machine, 8, "a.service", 4_194_560, 900)?;
    for (row, used) in machine.zones.iter().zip([30_000_001, 2_000_003, 20_000_005, 1_000_007]) {
        machine.set_energy(&row.path, used)?;
    }
    for (cpu, ticks) in machine.cpus.iter_mut().zip([9, 0, 9, 2]) {
        cpu.busy += ticks;
    }
    let figures = held.figures(&machine.stat())?;
    println!("{}\n{:#}\n{:#?}", figures.err, figures.node, figures.workloads);
    let sched = &figures.node["probes"]["sched"];
    assert_eq!(
        (&sched["mode"], &sched["sockets"], &sched["lost"]),
        (&json!("cgroupfs"), &json!("estimated"), &json!(0))
    );
    assert!(sched["reason"].as_str().is_some_and(|reason| reason.contains("--no-bpf")), "{sched}");
    let known = [("a.service", 0.05), ("b.service", 0.01), ("a worker", 2.0 * tick), ("kernel", tick)];
    let rest = 20.0 * tick - known.iter().map(|(_, seconds)| seconds).sum::<f64>();
    for (name, seconds) in known.into_iter().chain([("unattributed", rest)]) {
        let found = find(&figures, name)?["cpu_s"].as_f64().context("seconds")?;
        assert!((found - seconds).abs() < 1e-9, "{name}: {found} s instead of {seconds} s");
    }
    assert_eq!(find(&figures, "a.service")?["cgroup"], "/system.slice/a.service");
    assert_eq!(figures.workloads.len(), 5);
    closes(&figures);
    // Over both sockets alike, though their prices differ.
    let energy = |name: &str| Ok::<_, anyhow::Error>(microjoules(&find(&figures, name)?["energy_j"]["package"]));
    let (a, b) = (energy("a.service")?.context("energy")?, energy("b.service")?.context("energy")?);
    assert!((a - 5 * b).abs() <= 10, "{a} µJ and {b} µJ");
    Ok(())
}

fn closes(figures: &Figures) {
    for kind in ["package", "dram"] {
        let zones = figures.node["zones"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_kind = zones.iter().filter(|zone| zone["zone"] == kind);
        let active: Option<i64> = of_kind.map(|zone| microjoules(&zone["active_j"])).sum();
        let billed: Option<i64> = figures.workloads.iter().map(|one| microjoules(&one["energy_j"][kind])).sum();
        assert_eq!(active, billed, "{kind}");
        assert!(active > Some(0), "{kind}");
    }
}

#[test]
fn clock_ticks_that_miss_short_work_leave_nothing_without_an_owner() -> Result<()> {
    let mut machine = machine()?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    total(&machine, "/a.service", 1_100)?;
    total(&machine, "", 1_500)?;
    machine.zones.iter().try_for_each(|row| machine.set_energy(&row.path, 5_000_000))?;
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 1);
    let figures = held.figures(&machine.stat())?;
    let a = find(&figures, "a.service")?;
    assert!((a["cpu_s"].as_f64().context("seconds")? - 0.1).abs() < 1e-9, "{a}");
    let nobody = find(&figures, "unattributed")?;
    assert_eq!((&nobody["cpu_s"], microjoules(&nobody["energy_j"]["package"])), (&json!(0.0), Some(0)), "{nobody}");
    closes(&figures);
    Ok(())
}

#[test]
fn without_cgroups_processes_are_told_apart_and_what_cannot_be_read_is_counted() -> Result<()> {
    let mut machine = machine()?;
    fs::remove_dir_all(machine.path().join("sys/fs/cgroup"))?;
    machine.write("proc/9/stat", "9 (odd")?;
    let Some(mut held) = once(&machine, &["--json"])? else { return Ok(()) };
    held.go_on(&machine.stat())?;
    process(&machine, 8, "a.service", 4_194_560, 103)?;
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 1);
    let figures = held.figures(&machine.stat())?;
    let sched = &figures.node["probes"]["sched"];
    assert_eq!((&sched["mode"], &sched["lost"]), (&json!("procfs"), &json!(2)), "{sched}");
    assert_eq!(sched["counts"], json!({ "procfs.unreadable": 2 }));
    assert!(figures.err.contains("no cgroup names: no cgroup2 file system is mounted"), "{}", figures.err);
    let process = find(&figures, "a.service")?;
    assert_eq!((&process["kind"], &process["cgroup"]), (&json!("process"), &Value::Null));
    let seconds = 3.0 / wattrace::probes::procfs::user_hz() as f64;
    assert!((process["cpu_s"].as_f64().context("seconds")? - seconds).abs() < 1e-9, "{process}");
    Ok(())
}
