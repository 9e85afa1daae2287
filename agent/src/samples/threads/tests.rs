//! Totals of threads go in, deltas come out: none twice, none lost, none below zero.

use super::*;
use crate::samples::{Durations, Instant};

const A: WorkKey = WorkKey::cgroup(100);
const B: WorkKey = WorkKey::cgroup(200);

/// Threads that slept for `slept`, of which one still sleeps.
fn sleeper(key: WorkKey, slept: u64) -> ThreadsReading {
    let mut reading = ThreadsReading { key, ..ThreadsReading::default() };
    reading.states[State::Sleeping as usize] = Nanos(slept);
    reading.now[State::Sleeping as usize] = 1;
    reading
}

fn read(tracker: &mut ThreadsTracker, threads: &[ThreadsReading]) {
    tracker.observe(&Reading { at: Instant::default(), threads: Some(threads.to_vec()), ..Reading::default() });
}

fn slept(sample: &ThreadsSample, key: WorkKey) -> Option<u64> {
    Some(sample.work.get(&key)?.state(State::Sleeping).0)
}

/// What a row is about, the totals read, the time booked.
type Row<'a> = (&'a str, &'a [Option<u64>], Option<u64>);

#[test]
fn totals_of_one_key() {
    let max = Some(u64::MAX);
    let rows: [Row<'_>; 11] = [
        ("the first reading is where counting starts", &[Some(5)], Some(0)),
        ("it grew", &[Some(5), Some(9)], Some(4)),
        ("it stood still, and is still there", &[Some(5), Some(5)], Some(0)),
        ("it first shows up later: from 0", &[None, Some(7)], Some(7)),
        ("it is missing in between", &[Some(5), None, Some(9)], Some(4)),
        ("several readings in one interval", &[Some(5), Some(6), Some(6), Some(9)], Some(4)),
        ("it falls, and catches up exactly", &[Some(5), Some(9), Some(8), Some(9)], Some(4)),
        ("it falls, and ends above", &[Some(5), Some(9), Some(8), Some(7), Some(12)], Some(7)),
        ("it falls below where it started", &[Some(5), Some(3), Some(6)], Some(1)),
        ("it never shows up", &[None, None], None),
        ("the largest numbers", &[Some(0), max, Some(0), max], max),
    ];
    for (name, totals, expected) in rows {
        let mut tracker = ThreadsTracker::default();
        for total in totals {
            read(&mut tracker, &total.iter().map(|total| sleeper(A, *total)).collect::<Vec<_>>());
        }
        assert_eq!(slept(&tracker.close().unwrap(), A), expected, "{name}");
    }
}

#[test]
fn an_interval_starts_where_the_last_one_ended() {
    let mut tracker = ThreadsTracker::default();
    read(&mut tracker, &[sleeper(A, 100)]);
    read(&mut tracker, &[sleeper(A, 130)]);
    assert_eq!(slept(&tracker.close().unwrap(), A), Some(30));
    // Below what was booked: that has to be made up for in the next interval, too.
    read(&mut tracker, &[sleeper(A, 128)]);
    assert_eq!(slept(&tracker.close().unwrap(), A), Some(0));
    read(&mut tracker, &[sleeper(A, 135), sleeper(B, 4)]);
    let sample = tracker.close().unwrap();
    assert_eq!((slept(&sample, A), slept(&sample, B)), (Some(5), Some(4)));
}

#[test]
fn a_key_that_was_given_back_starts_from_0() {
    let mut tracker = ThreadsTracker::default();
    read(&mut tracker, &[sleeper(A, 100), sleeper(B, 100)]);
    tracker.forget(&[A].into());
    read(&mut tracker, &[sleeper(A, 7), sleeper(B, 107)]);
    let sample = tracker.close().unwrap();
    assert_eq!((slept(&sample, A), slept(&sample, B)), (Some(7), Some(7)));
}

#[test]
fn who_is_gone_and_did_nothing_is_absent() {
    let mut tracker = ThreadsTracker::default();
    let gone = ThreadsReading { now: [0; 5], ..sleeper(A, 9) };
    read(&mut tracker, std::slice::from_ref(&gone));
    assert_eq!(tracker.close().unwrap(), ThreadsSample::default());
    let spins = ThreadsReading { running: 1, ..gone };
    read(&mut tracker, &[spins]);
    let sample = tracker.close().unwrap();
    assert_eq!((sample.work.get(&A), sample.running), (Some(&ThreadUse::default()), 1));
}

#[test]
fn where_threads_are_not_counted_there_is_no_sample() {
    let mut tracker = ThreadsTracker::default();
    assert_eq!(tracker.close(), None);
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[sleeper(A, 5)]);
    assert!(tracker.close().is_some());
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[sleeper(A, 500)]);
    assert_eq!(slept(&tracker.close().unwrap(), A), Some(0), "where it starts again");
}

/// `durations` of A: of waits and of what was preempted.
fn durations(sum: u64, counts: &[u64]) -> ThreadDurations {
    let wait = Durations { sum: Nanos(sum), counts: counts.to_vec() };
    let mut all = ThreadDurations { wait: wait.clone(), ..ThreadDurations::default() };
    all.off[State::Runnable as usize] = wait;
    all
}

#[test]
fn histograms_and_switches_are_differences() {
    let reading = |sum, counts: &[u64], voluntary, involuntary| ThreadsReading {
        durations: Some(durations(sum, counts)),
        voluntary,
        involuntary,
        ..sleeper(A, 0)
    };
    let mut tracker = ThreadsTracker::default();
    read(&mut tracker, &[reading(10, &[1, 2, 3], 7, 8)]);
    read(&mut tracker, &[reading(15, &[1, 3, 3], 8, 8)]);
    read(&mut tracker, &[reading(35, &[1, 4, 9], 10, 9)]);
    let sample = tracker.close().unwrap();
    let threads = &sample.work[&A];
    assert_eq!((threads.voluntary, threads.involuntary), (3, 1));
    assert_eq!(threads.durations, Some(durations(25, &[0, 2, 6])));
}

#[test]
fn room_that_is_found_later_counts_from_0() {
    let mut tracker = ThreadsTracker::default();
    read(&mut tracker, &[sleeper(A, 0)]);
    read(&mut tracker, &[sleeper(A, 1)]);
    assert_eq!(tracker.close().unwrap().work[&A].durations, None);
    read(&mut tracker, &[ThreadsReading { durations: Some(durations(5, &[2])), ..sleeper(A, 1) }]);
    assert_eq!(tracker.close().unwrap().work[&A].durations, Some(durations(5, &[2])));
}

#[test]
fn sums_stay_at_their_ends_and_since_is_what_was_added() {
    let one = ThreadUse {
        running: Nanos(4),
        states: [1, 2, 3, 4, 5].map(Nanos),
        voluntary: 6,
        involuntary: 7,
        durations: Some(durations(3, &[1, 0, 2])),
    };
    let mut sum = one.clone();
    sum.add(&one);
    assert_eq!(sum.since(&one), one);
    assert_eq!(one.since(&ThreadUse::default()), one);
    assert_eq!(one.since(&sum).states, [Nanos(0); 5], "never below 0");
    let most = ThreadUse { voluntary: u64::MAX, states: [Nanos(u64::MAX); 5], ..ThreadUse::default() };
    sum.add(&most);
    assert_eq!((sum.voluntary, sum.states, sum.involuntary), (u64::MAX, most.states, 14));
}

#[test]
fn the_machine_is_all_its_threads() {
    let mut tracker = ThreadsTracker::default();
    let waits = |key, waited| {
        let mut reading = ThreadsReading { key, running: 1, now: [0, 1, 2, 0, 0], ..ThreadsReading::default() };
        reading.states[State::Runnable as usize] = Nanos(waited);
        reading
    };
    read(&mut tracker, &[waits(A, 1_000), waits(B, 0)]);
    read(&mut tracker, &[waits(A, 1_030), waits(B, 20)]);
    let sample = tracker.close().unwrap();
    let expected = MachineThreads { observed: 8, unobserved: Some(92), runqueue: Some(2.5) };
    assert_eq!(sample.machine(Nanos(20), Some(100)), expected);
    let unknown = MachineThreads { unobserved: None, runqueue: None, ..expected };
    assert_eq!(sample.machine(Nanos(0), None), unknown);
    assert_eq!(sample.machine(Nanos(20), Some(7)).unobserved, Some(0), "not below 0");
}
