//! What is told of processes.

use super::*;
use crate::samples::{ProcessTotals, process::ProcessUse};

fn of_processes(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let is_one = |line: &String| line.starts_with("wattrace.workload.process") || line.contains("operations");
    lines(snapshot, name).into_iter().filter(is_one).collect()
}

#[test]
fn where_none_was_seen_there_is_nothing() {
    let mut machine = Machine::new();
    machine.functional_unit = Some(FunctionalUnit::Execs);
    assert_eq!(of_processes(&machine.tell(&busy()), "ssh.service"), [""; 0]);
    let step = Step { processes: Some(ProcessUse::default()), ..busy() };
    assert_eq!(of_processes(&machine.tell(&step), "ssh.service"), [""; 0], "counted, and none did anything");
}

#[test]
fn what_processes_did_adds_up() {
    let mut machine = Machine::new();
    machine.functional_unit = Some(FunctionalUnit::Execs);
    let totals =
        ProcessTotals { forks: 5, execs: 4, exits: [3, 0, 1, 2], short_lived: 6, exited_cpu: Nanos(250_000_000) };
    let step = Step { processes: Some(ProcessUse { totals }), ..busy() };
    machine.tell(&step);
    let expected = [
        "wattrace.workload.operations{execs} 8",
        "wattrace.workload.process.cpu.time{} 0.5",
        "wattrace.workload.process.execs{} 8",
        "wattrace.workload.process.exits{normal} 6",
        "wattrace.workload.process.exits{oom} 4",
        "wattrace.workload.process.exits{signal} 2",
        "wattrace.workload.process.forks{} 10",
        "wattrace.workload.process.short_lived{} 12",
    ];
    let mut told = of_processes(&machine.tell(&step), "ssh.service");
    told.sort();
    assert_eq!(told, expected);
}
