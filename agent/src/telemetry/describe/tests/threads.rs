//! What is told of threads.

use wattrace_common::threads::{OFF_BUCKETS, WAIT_BUCKETS, wait_bucket};

use super::*;
use crate::{
    samples::{Durations, ThreadDurations, threads::ThreadUse},
    telemetry::snapshot::Histogram,
};

fn threads(durations: Option<ThreadDurations>) -> ThreadUse {
    ThreadUse {
        running: Nanos::from_secs(1),
        states: [250, 500, 60_000, 125, 0].map(Nanos::from_millis),
        voluntary: 7,
        involuntary: 2,
        durations,
    }
}

fn of_threads(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let names = ["thread", "wait", "offcpu", "context", "runqueue", "threads"];
    let lines = lines(snapshot, name).into_iter();
    lines.filter(|line| names.iter().any(|name| line.contains(name))).collect()
}

#[test]
fn where_they_are_not_counted_there_is_nothing() {
    let snapshot = Machine::new().tell(&busy());
    assert_eq!([of_threads(&snapshot, "node"), of_threads(&snapshot, "ssh.service")], [[""; 0]; 2]);
}

#[test]
fn states_add_up_over_intervals() {
    let mut machine = Machine::new();
    let step = Step { threads: Some(threads(None)), ..busy() };
    machine.tell(&step);
    let expected = [
        "wattrace.workload.thread.time{io_wait} 1",
        "wattrace.workload.thread.time{runnable} 0.5",
        "wattrace.workload.thread.time{running} 2",
        "wattrace.workload.thread.time{sleeping} 120",
        "wattrace.workload.thread.time{stopped} 0",
        "wattrace.workload.thread.time{uninterruptible} 0.25",
        "wattrace.workload.context_switches{involuntary} 4",
        "wattrace.workload.context_switches{voluntary} 14",
    ];
    assert_eq!(of_threads(&machine.tell(&step), "ssh.service"), expected, "no histograms: there was no room");
}

#[test]
fn histograms_are_told_once_something_ended() {
    let mut wait = Durations { sum: Nanos::from_secs(2), counts: vec![0; WAIT_BUCKETS] };
    wait.counts[wait_bucket(1_000_000_000, u64::wrapping_sub)] = 2;
    let off = || Durations { sum: Nanos(0), counts: vec![0; OFF_BUCKETS] };
    let mut durations = ThreadDurations { wait, off: [off(), off(), off(), off()] };
    let step = |durations: &ThreadDurations| Step { threads: Some(threads(Some(durations.clone()))), ..busy() };
    let mut machine = Machine::new();
    let told = |snapshot: &Snapshot| -> Vec<_> {
        let series = find(snapshot, "ssh.service").series.iter();
        let histogram = |series: &Series| match &series.value {
            Value::Histogram(value) => Some((series.attributes.join(","), value.scale, value.count(), value.sum)),
            Value::Number(_) => None,
        };
        series.filter_map(histogram).collect()
    };
    let first = machine.tell(&step(&durations));
    assert_eq!(told(&first), [(String::new(), 2, 2, 2.0)]);
    let edges = |value: &Histogram| value.edges().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
    let waits = find(&first, "ssh.service").series.iter().find_map(|series| match &series.value {
        Value::Histogram(value) => Some(edges(value)),
        Value::Number(_) => None,
    });
    assert_eq!(waits, Some(vec![(1.0, 2)]));
    // Sleeping, of those that ended: shorter than what counts as zero.
    durations.off[2] = Durations { sum: Nanos(900), counts: [vec![1], vec![0; OFF_BUCKETS - 1]].concat() };
    let second = machine.tell(&step(&durations));
    assert_eq!(told(&second), [(String::new(), 2, 4, 4.0), ("sleep".to_owned(), 1, 1, 900e-9)]);
    let phases = find(&second, "ssh.service").series.iter().filter(|series| series.metric.kind == Metrics::Histogram);
    assert_eq!(phases.map(|series| series.phase).collect::<Vec<_>>(), [Phase::Live, Phase::Born]);
}

#[test]
fn the_node_tells_how_saturated_it_is() {
    let mut machine = Machine::new();
    machine.threads = Some(MachineThreads { observed: 5, unobserved: Some(3), runqueue: Some(0.25) });
    let expected = ["wattrace.node.cpu.runqueue{} 0.25", "wattrace.node.threads.unobserved{} 3"];
    assert_eq!(of_threads(&machine.tell(&busy()), "node"), expected);
    machine.threads = Some(MachineThreads { observed: 5, unobserved: None, runqueue: None });
    let gone = machine.tell(&busy());
    let phases = find(&gone, "node").series.iter().filter(|series| series.phase == Phase::Gone);
    assert_eq!(phases.count(), 2, "what is not known is not told");
}
