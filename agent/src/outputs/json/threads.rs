//! Threads in `once --json`: seconds by state, switches, and histograms.

use std::collections::BTreeMap;

use serde::Serialize;
use wattrace_common::threads::{OFF_SCALE, STATES, State, WAIT_SCALE};

use super::durations::Histogram;
use crate::samples::threads::{MachineThreads, ThreadUse};

/// Of the node.
#[derive(Serialize)]
pub(super) struct Node {
    observed: u64,
    unobserved: Option<u64>,
    runqueue: Option<f64>,
}

/// Of a workload.
#[derive(Serialize)]
pub(super) struct Threads {
    running_s: f64,
    runnable_s: f64,
    io_wait_s: f64,
    sleeping_s: f64,
    uninterruptible_s: f64,
    stopped_s: f64,
    voluntary: u64,
    involuntary: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Histogram>,
    #[serde(skip_serializing_if = "Option::is_none")]
    off: Option<BTreeMap<&'static str, Histogram>>,
}

impl From<MachineThreads> for Node {
    fn from(threads: MachineThreads) -> Self {
        let MachineThreads { observed, unobserved, runqueue } = threads;
        Self { observed, unobserved, runqueue }
    }
}

impl From<&ThreadUse> for Threads {
    fn from(threads: &ThreadUse) -> Self {
        let spent = |state| threads.state(state).seconds();
        let durations = threads.durations.as_ref();
        let reasons = STATES.into_iter().filter_map(State::reason);
        let off = durations.map(|durations| {
            reasons.zip(&durations.off).map(|(reason, off)| (reason, Histogram::of(off, OFF_SCALE))).collect()
        });
        Self {
            running_s: threads.running.seconds(),
            runnable_s: spent(State::Runnable),
            io_wait_s: spent(State::IoWait),
            sleeping_s: spent(State::Sleeping),
            uninterruptible_s: spent(State::Uninterruptible),
            stopped_s: spent(State::Stopped),
            voluntary: threads.voluntary,
            involuntary: threads.involuntary,
            wait: durations.map(|durations| Histogram::of(&durations.wait, WAIT_SCALE)),
            off,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wattrace_common::threads::{OFF_BUCKETS, WAIT_BUCKETS, off_bucket, wait_bucket};

    use super::*;
    use crate::{
        outputs::example::Example,
        samples::{Durations, ThreadDurations},
        units::Nanos,
    };

    fn counted(spans: &[u64], scale: i32, buckets: usize) -> Durations {
        let mut counted = Durations { sum: Nanos(spans.iter().sum()), counts: vec![0; buckets] };
        for span in spans {
            counted.counts[if scale == WAIT_SCALE {
                wait_bucket(*span, u64::wrapping_sub)
            } else {
                off_bucket(*span, u64::wrapping_sub)
            }] += 1;
        }
        counted
    }

    fn threads() -> ThreadUse {
        ThreadUse {
            running: Nanos::from_millis(1_500),
            states: [250, 500, 60_000, 125, 0].map(Nanos::from_millis),
            voluntary: 7,
            involuntary: 2,
            durations: None,
        }
    }

    /// What is told of the node, and of each workload: the first has `threads`.
    fn told(threads: Option<ThreadUse>) -> (Value, Vec<Value>) {
        let mut example = Example::new();
        example.threads =
            threads.as_ref().map(|_| MachineThreads { observed: 120, unobserved: Some(7), runqueue: Some(0.125) });
        example.slept("asleep.service", threads);
        let mut out = Vec::new();
        super::super::write(&example.report(), &mut out).unwrap();
        let lines = String::from_utf8(out).unwrap();
        let mut lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
        (lines.next().unwrap(), lines.collect())
    }

    fn asleep(workloads: &[Value]) -> &Value {
        workloads.iter().find(|line| line["name"] == "asleep.service").unwrap()
    }

    #[test]
    fn who_only_slept_is_told() {
        let (node, workloads) = told(Some(threads()));
        assert_eq!(node["threads"], json!({ "observed": 120, "unobserved": 7, "runqueue": 0.125 }));
        assert_eq!(node["probes"]["sched"]["level"], "full");
        let expected = json!({
            "running_s": 1.5, "runnable_s": 0.25, "io_wait_s": 0.5, "sleeping_s": 60.0, "uninterruptible_s": 0.125,
            "stopped_s": 0.0, "voluntary": 7, "involuntary": 2,
        });
        assert_eq!(asleep(&workloads)["threads"], expected, "without histograms: there was no room");
        assert_eq!(workloads[0].get("threads"), None, "of whom they were not counted");
    }

    #[test]
    fn histograms_show_what_is_in_them() {
        let mut durations = ThreadDurations {
            wait: counted(&[500, 1_000_000_000, 1_000_000_000], WAIT_SCALE, WAIT_BUCKETS),
            off: [const { Vec::new() }; 4].map(|counts| Durations { sum: Nanos(0), counts }),
        };
        durations.off[State::Sleeping as usize] = counted(&[3_000_000_000], OFF_SCALE, OFF_BUCKETS);
        let (_, workloads) = told(Some(ThreadUse { durations: Some(durations), ..threads() }));
        let told = &asleep(&workloads)["threads"];
        let wait = json!({ "count": 3, "sum_s": 2.000_000_5, "zero": 1, "buckets": [[1.0, 2]] });
        assert_eq!(told["wait"], wait);
        let empty = json!({ "count": 0, "sum_s": 0.0, "zero": 0, "buckets": [] });
        let sleep = json!({ "count": 1, "sum_s": 3.0, "zero": 0, "buckets": [[4.0, 1]] });
        assert_eq!(told["off"], json!({ "io": empty, "sleep": sleep, "uninterruptible": empty, "preempt": empty }));
    }

    #[test]
    fn where_threads_are_not_counted_nothing_is_said_of_them() {
        let (node, workloads) = told(None);
        assert_eq!((node.get("threads"), asleep(&workloads).get("threads")), (None, None));
    }
}
