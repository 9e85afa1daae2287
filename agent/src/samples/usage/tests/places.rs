//! Time of which no CPU is known.

use super::*;
use crate::samples::files::{FilesReading, GroupReading};

/// A reading of files: one cgroup's total, and how busy the CPUs were, the first left, the other right.
fn files(now: u64, busy: [u64; 2], usage: u64) -> Reading {
    let group = GroupReading { id: 100, parent: 1, usage: Some(Nanos(usage)), is_listed: true, has_tasks: false };
    let files = FilesReading { from: Nanos(now), groups: vec![group], processes: Vec::new() };
    let cpus = [cpu(0, Some(busy[0]), Some(0)), cpu(1, Some(busy[1]), Some(0))];
    Reading { files: Some(files), ..reading(now, &cpus, &[]) }
}

/// The time of the cgroup by place, and whether that is an estimate, from how busy the CPUs were and its growth.
fn placed(busy: [u64; 2], grown: u64) -> (Option<Vec<(Place, u64)>>, bool) {
    let mut tracker = UsageTracker::default();
    tracker.observe(&files(0, [7, 9], 50));
    tracker.observe(&files(1, [7, 9], 50 + grown / 2));
    tracker.observe(&files(2, [7 + busy[0], 9 + busy[1]], 50 + grown));
    let sample = tracker.close();
    (work(&sample, A), sample.is_place_estimated)
}

#[test]
fn time_without_a_cpu_is_where_the_cpus_were_busy() {
    assert_eq!(placed([30, 10], 20), (Some(vec![(LEFT, 15), (RIGHT, 5)]), true));
    assert_eq!(placed([30, 0], 20), (Some(vec![(LEFT, 20)]), false));
    assert_eq!(placed([1, 2], 2), (Some(vec![(LEFT, 1), (RIGHT, 1)]), true), "to the nanosecond");
    assert_eq!(placed([0, 0], 3), (Some(vec![(LEFT, 2), (RIGHT, 1)]), true), "no CPU was seen to work");
    assert_eq!(placed([30, 10], 0), (None, false));
}

#[test]
fn clock_ticks_are_evened_out_where_files_are_read_and_nowhere_else() {
    const MILLI: u64 = 1_000_000;
    let busy = |is_files: bool| {
        let mut tracker = UsageTracker::default();
        let total = |now, busy: u64, usage: u64| {
            let files = files(now, [busy * MILLI, 0], usage * MILLI);
            if is_files { files } else { Reading { files: None, times: vec![time(0, A, usage * MILLI)], ..files } }
        };
        tracker.observe(&total(0, 0, 0));
        let mut busy = |now, shown, usage| {
            tracker.observe(&total(now, shown, usage));
            tracker.close().busy_total().0 / MILLI
        };
        [busy(1, 95, 100), busy(2, 205, 200)]
    };
    assert_eq!(busy(true), [100, 105]);
    assert_eq!(busy(false), [95, 110]);
}
