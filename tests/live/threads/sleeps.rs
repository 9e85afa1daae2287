//! Threads that sleep or are stopped for a time that the test knows.

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use wattrace_common::threads::State;
use wattrace_tests::is_long;

use super::{
    probe::Probe,
    truth::{asleep, assert_near, watch, watch_by},
};
use crate::support::{Cgroup, Load, live, until};

#[test]
fn known_sleeps_are_in_the_sums_and_in_their_buckets() {
    live!();
    let cgroup = Cgroup::new();
    let watched = watch(&cgroup, &["sleeps", "20", "50", "1", "1500"], &["stay"], |_, _| {});
    watched.assert_is_as_the_scheduler_says();
    let (ours, truth) = (&watched.figures, watched.truth);
    // A single thread that is neither on a CPU nor waits for one sleeps.
    assert_near("asleep", ours.state(State::Sleeping), ours.wall - truth.run - truth.delay, 0.01, ours.slack);
    for other in [State::IoWait, State::Stopped] {
        assert!(ours.state(other) < 0.001, "{other:?}: {}", ours.state(other));
    }
    let slept = ours.off(State::Sleeping);
    // The wait for the start ended in the window, too: it is in the least bucket that its length allows, or below 2^-5 s.
    let (short, long) = (slept.within(1.0 / 32.0, 0.125), slept.within(1.0, 2.0));
    println!("{} sleeps, {short} of about 50 ms, {long} of about 1.5 s", slept.count());
    assert!((20..=21).contains(&short), "20 sleeps of 50 ms, and the start: {short}");
    assert!((1..=2).contains(&long), "one sleep of 1.5 s, and the start: {long}");
    assert!(slept.sum > 2.5 && slept.sum <= ours.state(State::Sleeping) + 1.0, "{}", slept.sum);
    let (least, most) = slept.bounds();
    assert!(least <= slept.sum && slept.sum <= most, "{} is not between {least} and {most}", slept.sum);
    // Each ended sleep was begun by one switch, and the last has not ended.
    assert!(slept.count() <= ours.voluntary && ours.voluntary <= slept.count() + 3 + ours.missed);
    assert_eq!(ours.threads(State::Sleeping), 1);
}

/// Not when it wakes up: a reading sees it grow.
#[test]
fn a_sleeper_is_booked_as_it_sleeps() {
    live!();
    let cgroup = Cgroup::new();
    let mut probe = Probe::start();
    let mut load = Load::born_in(&cgroup, &["sleeps", "1", if is_long() { "120000" } else { "4000" }], &["stay"]);
    load.tell();
    let mut before = asleep(&mut probe, &cgroup);
    let step = Duration::from_millis(if is_long() { 20_000 } else { 500 });
    for _ in 0..5 {
        std::thread::sleep(step);
        let view = probe.read();
        let ours = view.of(&cgroup, &before);
        assert_near("asleep", ours.state(State::Sleeping), ours.wall, 0.001, ours.slack + 0.001);
        assert_eq!((ours.threads(State::Sleeping), ours.voluntary, ours.off(State::Sleeping).count()), (1, 0, 0));
        before = view;
    }
    assert_eq!(load.line(), "done\n");
}

#[test]
fn a_stopped_thread_is_stopped_until_it_is_continued() {
    live!();
    let cgroup = Cgroup::new();
    let mut truth = (Duration::ZERO, Duration::ZERO);
    let watched = watch(&cgroup, &["sleeps", "1", "200"], &["stay"], |_, load| {
        let pid = Pid::from_child(&load.child);
        let stat = format!("/proc/{}/stat", load.child.id());
        let outer = Instant::now();
        kill_process(pid, Signal::STOP).unwrap();
        until("it has stopped", || fs::read_to_string(&stat).unwrap().contains(") T "));
        let inner = Instant::now();
        std::thread::sleep(Duration::from_millis(700));
        truth.0 = inner.elapsed();
        kill_process(pid, Signal::CONT).unwrap();
        until("it goes on", || !fs::read_to_string(&stat).unwrap().contains(") T "));
        truth.1 = outer.elapsed();
    });
    watched.assert_is_as_the_scheduler_says();
    let stopped = watched.figures.state(State::Stopped);
    let (inner, outer) = (truth.0.as_secs_f64(), truth.1.as_secs_f64());
    println!("stopped for {stopped:.6} s, between {inner:.6} s and {outer:.6} s");
    assert!(stopped >= inner * 0.999 && stopped <= outer * 1.001);
    assert_eq!(watched.figures.threads(State::Stopped), 0);
}

/// What CPUs that reorder stores need counts the same on those that do not.
#[test]
fn stores_that_are_kept_in_order_count_the_same() {
    live!();
    let probe = match Probe::in_order() {
        Ok(probe) => probe,
        Err(reason) => {
            assert!(reason.contains("refuses"), "{reason}");
            return println!("SKIPPED: the programs run without: {reason}");
        }
    };
    let cgroup = Cgroup::new();
    let watched = watch_by(probe, &cgroup, &["sleeps", "200", "2", "0", "1"], &["stay"], |_, _| {});
    watched.assert_is_as_the_scheduler_says();
    watched.assert_switches_are_as_the_kernel_counts();
    assert!(watched.figures.off(State::Sleeping).count() >= 200, "{:?}", watched.figures);
}
