//! What is told of block I/O.

use wattrace_common::block::{DEVICE_BUCKETS, DIRECTIONS, FAILURES};

use super::*;
use crate::samples::{
    DiskTotals, Durations,
    disk::{DeviceUse, DiskUse, Ownership, load::DiskLoad},
};

fn of_disks(snapshot: &Snapshot, name: &str) -> Vec<String> {
    lines(snapshot, name).into_iter().filter(|line| line.contains("disk") || line.contains("operations")).collect()
}

fn durations(at: usize, nanos: u64, bucket: usize, count: u64) -> [Durations; 4] {
    let mut all = <[Durations; 4]>::default();
    all[at] = Durations { sum: Nanos(nanos), counts: vec![0; DEVICE_BUCKETS] };
    all[at].counts[bucket] = count;
    all
}

fn done() -> DiskUse {
    let totals = DiskTotals {
        operations: [3, 2, 1, 0, 4],
        bytes: [4_096, 512, 0, 0, 36],
        unmeasured: [1, 0, 1, 0, 4],
        errors: FAILURES.map(|failure| u64::from(failure.name() == "timed_out")),
    };
    DiskUse { totals, durations: Some(durations(0, 2_000_000_000, 80, 2)) }
}

#[test]
fn where_it_is_not_counted_or_nothing_was_done_there_is_nothing() {
    let mut machine = Machine::new();
    machine.functional_unit = Some(FunctionalUnit::DiskOperations);
    let snapshot = machine.tell(&busy());
    assert_eq!([of_disks(&snapshot, "node"), of_disks(&snapshot, "ssh.service")], [[""; 0]; 2]);
}

#[test]
fn what_a_workload_did_adds_up_by_how_it_is_known() {
    let mut machine = Machine::new();
    machine.functional_unit = Some(FunctionalUnit::DiskOperations);
    let step = Step { disk: [(Ownership::Cgroup, done())].into(), ..busy() };
    machine.tell(&step);
    let mut flush = DiskUse::default();
    flush.totals.operations[2] = 1;
    let other = Step { disk: [(Ownership::Ancestor, flush.clone())].into(), ..busy() };
    machine.tell(&other);
    let nobody = Step { nobodys_disk: [(Ownership::Root, flush)].into(), ..step };
    let snapshot = machine.tell(&nobody);
    let expected = [
        "wattrace.workload.disk.io{other,cgroup} 72",
        "wattrace.workload.disk.io{read,cgroup} 8192",
        "wattrace.workload.disk.io{write,cgroup} 1024",
        "wattrace.workload.disk.operations{flush,ancestor} 1",
        "wattrace.workload.disk.operations{flush,cgroup} 2",
        "wattrace.workload.disk.operations{other,cgroup} 8",
        "wattrace.workload.disk.operations{read,cgroup} 6",
        "wattrace.workload.disk.operations{write,cgroup} 4",
        "wattrace.workload.disk.operation.duration",
        "wattrace.workload.disk.unmeasured{flush,cgroup} 2",
        "wattrace.workload.disk.unmeasured{other,cgroup} 8",
        "wattrace.workload.disk.unmeasured{read,cgroup} 2",
        "wattrace.workload.disk.errors{timed_out,cgroup} 2",
        "wattrace.workload.operations{disk_operations} 21",
    ];
    assert_eq!(of_disks(&snapshot, "ssh.service"), expected);
    let expected =
        ["wattrace.workload.disk.operations{flush,root} 1", "wattrace.workload.operations{disk_operations} 1"];
    assert_eq!(of_disks(&snapshot, "unattributed"), expected);
    let histogram = find(&snapshot, "ssh.service").series.iter().find_map(|series| match &series.value {
        Value::Histogram(value) => Some((series.attributes.join(","), value.scale, value.count(), value.sum)),
        Value::Number(_) => None,
    });
    assert_eq!(histogram, Some(("read,cgroup".to_owned(), 2, 4, 4.0)));
    machine.functional_unit = None;
    let snapshot = machine.tell(&busy());
    let gone = find(&snapshot, "ssh.service").series.iter().find(|series| series.metric.name.ends_with("d.operations"));
    assert_eq!(gone.map(|series| series.phase), Some(Phase::Ended), "no unit is configured any more");
}

#[test]
fn devices_are_told_by_name() {
    let mut machine = Machine::new();
    // Scale 3, from 2^-20 s on: bucket 161 ends at 1 s.
    let sda = DeviceUse { requeues: 2, durations: durations(1, 900_000_000, 160, 1) };
    let load = DiskLoad { utilization: 0.25, queue_depth: 1.5 };
    machine.disks.work = Some([("sda".to_owned(), sda)].into());
    machine.disks.loads = [("dm-0".to_owned(), load), ("sda".to_owned(), load)].into();
    machine.tell(&busy());
    let snapshot = machine.tell(&busy());
    let expected = [
        "wattrace.node.disk.operation.duration",
        "wattrace.node.disk.requeues{sda} 4",
        "wattrace.node.disk.utilization{dm-0} 0.25",
        "wattrace.node.disk.utilization{sda} 0.25",
        "wattrace.node.disk.queue.depth{dm-0} 1.5",
        "wattrace.node.disk.queue.depth{sda} 1.5",
    ];
    assert_eq!(of_disks(&snapshot, "node"), expected);
    let node = find(&snapshot, "node").series.iter();
    let histogram = node.filter_map(|series| match &series.value {
        Value::Histogram(value) => {
            let edges: Vec<_> = value.edges().filter(|(_, count)| *count > 0).collect();
            Some((series.attributes.join(","), value.scale, edges, value.sum))
        }
        Value::Number(_) => None,
    });
    let expected = [("sda,write".to_owned(), 3, vec![(1.0, 2)], 1.8)];
    assert_eq!(histogram.collect::<Vec<_>>(), expected);
    // It is removed: how busy it is is not known any more, what it did is.
    machine.disks = MachineDisks { work: Some(BTreeMap::new()), loads: BTreeMap::new() };
    let snapshot = machine.tell(&busy());
    let phases = |name: &str| -> Vec<_> {
        let series = find(&snapshot, "node").series.iter().filter(|series| series.metric.name.ends_with(name));
        series.map(|series| series.phase).collect()
    };
    assert_eq!(phases("disk.utilization"), [Phase::Gone, Phase::Gone]);
    assert_eq!((phases("operation.duration"), phases("requeues")), (vec![Phase::Live], vec![Phase::Live]));
    assert_eq!(DIRECTIONS.len(), 4);
}
