//! The real program on a root whose processes come and go, without kernel programs: who is there at the end is told, the rest of
//! each workload is not told apart, and the sums are the workloads'.

use std::{fs, os::unix::fs::symlink};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use wattrace_tests::{
    held::once,
    machine_root::MachineRoot,
    run::{Figures, microjoules},
};

const UNIT: &str = "/system.slice/a.service";
/// Ends the name of a field, clears the screen and turns the line around.
const HOSTILE: &str = "a) \u{1b}[2J\u{202e}";

/// Made so many clock ticks after boot; has used so many.
fn process(machine: &MachineRoot, pid: u32, name: &str, [start, used]: [u64; 2]) -> Result<()> {
    let flags = if name == "kthreadd" { 2_129_984 } else { 4_194_560 };
    let line = format!("{pid} ({name}) S 1 7 7 0 -1 {flags} 1 2 3 4 {used} 0 7 8 20 0 1 0 {start} 100 200\n");
    machine.write(&format!("proc/{pid}/stat"), line)?;
    let home = if [2, 7].contains(&pid) { "/" } else { UNIT };
    machine.write(&format!("proc/{pid}/cgroup"), format!("1:cpu:/elsewhere\n0::{home}\n"))
}

fn total(machine: &MachineRoot, millis: u64) -> Result<()> {
    machine.write(&format!("sys/fs/cgroup{UNIT}/cgroup.procs"), "")?;
    for directory in [UNIT, "/system.slice"] {
        machine.write(&format!("sys/fs/cgroup{directory}/cpu.stat"), format!("usage_usec {}\n", millis * 1_000))?;
    }
    Ok(())
}

fn machine() -> Result<MachineRoot> {
    let machine = MachineRoot::new("xeon-2s")?;
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpu\n")?;
    machine.write("sys/fs/cgroup/cgroup.procs", "2\n7\n")?;
    machine.write("proc/self/status", "")?;
    fs::create_dir_all(machine.path().join("proc/self/ns"))?;
    symlink("pid:[4026531836]", machine.path().join("proc/self/ns/pid"))?;
    total(&machine, 5_000)?;
    process(&machine, 2, "kthreadd", [1, 30])?;
    process(&machine, 7, "a worker", [42, 500])?;
    process(&machine, 8, HOSTILE, [42, 100])?;
    process(&machine, 9, "gone", [43, 50])?;
    process(&machine, 11, "before", [44, 900])?;
    process(&machine, 12, "asleep", [45, 3])?;
    Ok(machine)
}

/// Clock ticks since boot.
fn now() -> u64 {
    wattrace::clock::now().boottime.0 / (1_000_000_000 / wattrace::probes::procfs::user_hz())
}

/// One second: 100 ticks; of a.service 10 of a process that is gone, 3 of one there, 2 of one that is new, 4 of one with an old id.
fn measured(more: &[&str]) -> Result<Option<wattrace_tests::run::Said>> {
    let mut machine = machine()?;
    let Some(mut held) = once(&machine, more)? else { return Ok(None) };
    held.go_on(&machine.stat())?;
    process(&machine, 2, "kthreadd", [1, 31])?;
    process(&machine, 7, "a worker", [42, 502])?;
    process(&machine, 8, HOSTILE, [42, 103])?;
    fs::remove_dir_all(machine.path().join("proc/9"))?;
    process(&machine, 10, "new", [now(), 2])?;
    process(&machine, 11, "after", [now(), 4])?;
    let tick = 1_000 / wattrace::probes::procfs::user_hz();
    total(&machine, 5_000 + 19 * tick)?;
    for (row, used) in machine.zones.iter().zip([30_000_001, 2_000_003, 20_000_005, 1_000_007]) {
        machine.set_energy(&row.path, used)?;
    }
    machine.cpus.iter_mut().for_each(|cpu| cpu.busy += 7);
    held.finish(&machine.stat()).map(Some)
}

fn find<'a>(processes: &[&'a Value], pid: u32) -> Result<&'a Value> {
    processes.iter().find(|one| one["pid"] == pid).copied().with_context(|| format!("{pid}: {processes:#?}"))
}

#[test]
fn who_is_there_is_told_and_the_rest_of_each_workload() -> Result<()> {
    let Some(said) = measured(&["--json", "--by", "process"])? else { return Ok(()) };
    let figures = said.figures()?;
    println!("{}\n{:#}\n{:#?}", figures.err, figures.node, figures.workloads);
    let missing = "processes that end within the interval are not told apart: switched off by --no-bpf\n";
    assert!(figures.err.contains(missing), "{}", figures.err);
    let method = json!({ "method": "cpu_time", "quality": "estimated", "ended": false, "lost": 0 });
    assert_eq!(figures.node["processes"], method);
    let processes: Vec<&Value> = figures.workloads.iter().filter(|line| line["type"] == "process").collect();
    let tick = 1.0 / wattrace::probes::procfs::user_hz() as f64;
    for (pid, name, workload, ticks) in [
        (2, "kthreadd", "kernel", 1.0),
        (7, "a worker", "a worker", 2.0),
        (8, r"a) \u{1b}[2J\u{202e}", "a.service", 3.0),
        (10, "new", "a.service", 2.0),
        (11, "after", "a.service", 4.0),
    ] {
        let found = find(&processes, pid)?;
        let expected = (&json!(name), &json!(workload), &json!("alive"));
        assert_eq!((&found["name"], &found["workload"]["name"], &found["state"]), expected, "{found}");
        assert!((found["cpu_s"].as_f64().context("seconds")? - ticks * tick).abs() < 1e-9, "{found}");
    }
    assert!(find(&processes, 9).is_err() && find(&processes, 12).is_err(), "gone, and asleep: {processes:#?}");
    let rest = processes.iter().find(|one| one["pid"].is_null() && one["workload"]["name"] == "a.service");
    let rest = rest.context("what is left")?;
    assert!((rest["cpu_s"].as_f64().context("seconds")? - 10.0 * tick).abs() < 1e-9, "{rest}");
    assert_eq!((&rest["state"], &rest["workload"]["cgroup"]), (&json!("not_told_apart"), &json!(UNIT)));
    adds_up(&figures);
    Ok(())
}

/// Each workload's parts are what it was billed, by kind of zone.
fn adds_up(figures: &Figures) {
    let of = |kind: &str| figures.workloads.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let (workloads, processes) = (of("workload"), of("process"));
    assert_eq!(workloads.len(), 4, "kernel, a worker, a.service and nobody");
    for workload in workloads {
        for kind in ["package", "dram"] {
            let parts = processes.iter().filter(|one| one["workload"]["name"] == workload["name"]);
            let sum: Option<i64> = parts.map(|one| microjoules(&one["energy_j"][kind])).sum();
            let billed = microjoules(&workload["energy_j"][kind]);
            assert_eq!(sum, billed, "{kind} of {workload}");
            assert!(billed > Some(0), "{kind} of {workload}");
        }
    }
}

#[test]
fn the_table_shows_as_many_as_are_asked_for_and_nothing_that_acts_on_a_terminal() -> Result<()> {
    let Some(said) = measured(&["--by", "process", "--rows", "6"])? else { return Ok(()) };
    println!("{}\n{}", said.err, said.out);
    let lines: Vec<&str> = said.out.lines().skip_while(|line| !line.contains("PID PROCESS")).take(8).collect();
    assert!(lines[7].starts_with("… ") && lines[7].contains(" more (--rows "), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("- (not told apart)   a.service")), "{lines:#?}");
    assert!(!said.out.contains(['\u{1b}', '\u{202e}']), "{:?}", said.out);
    assert!(said.out.contains("(closed)") && said.out.contains("those that ended meanwhile are not told apart"));
    Ok(())
}
