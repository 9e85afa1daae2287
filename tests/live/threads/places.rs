//! Threads whose ids share a set of places: two have one there, the third is in the map beside it.

use std::fs;

use wattrace_common::{limits::OFF_SETS, threads::State};

use super::truth::{assert_near, watch};
use crate::support::{Cgroup, live};

const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
const PID_MAX: &str = "/proc/sys/kernel/pid_max";

/// The limit of thread ids, raised until this is dropped.
struct Raised(String);

impl Raised {
    fn to(limit: u32) -> Result<Self, String> {
        let before = fs::read_to_string(PID_MAX).map_err(|error| error.to_string())?;
        if before.trim().parse::<u32>().unwrap() < limit {
            fs::write(PID_MAX, limit.to_string()).map_err(|error| format!("the limit of thread ids stays: {error}"))?;
        }
        Ok(Self(before))
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        drop(fs::write(PID_MAX, &self.0));
    }
}

#[test]
fn three_threads_whose_places_collide_are_all_followed() {
    live!();
    let raised = match Raised::to(4 * OFF_SETS) {
        Ok(raised) => raised,
        Err(reason) => return println!("SKIPPED: {reason}"),
    };
    let last = fs::read_to_string(LAST_PID).unwrap_or_default();
    if fs::write(LAST_PID, last.trim()).is_err() {
        return println!("SKIPPED: thread ids cannot be chosen here ({LAST_PID})");
    }
    let first = free();
    let tids = [first, first + OFF_SETS, first + 2 * OFF_SETS].map(|tid| tid.to_string());
    println!("threads {tids:?}");
    let cgroup = Cgroup::new();
    let watched = watch(&cgroup, &["places", &tids[0], &tids[1], &tids[2], "20", "30"], &[], |_, _| {});
    // Its ids are high: who comes later has low ones again.
    drop(raised);
    let (ours, truth) = (&watched.figures, watched.truth);
    // The three and who made them; threads that were given another id have gone.
    assert_eq!((truth.threads, ours.threads(State::Sleeping)), (4, 4));
    let slept = ours.off(State::Sleeping).within(1.0 / 64.0, 1.0 / 16.0);
    assert!(slept >= 60, "three times 20 sleeps of 30 ms: {slept}");
    assert!(ours.alive() >= 3.0 * 0.6 + ours.wall - ours.slack && ours.alive() <= 4.0 * ours.wall + 4.0 * ours.slack);
    assert_near("on a CPU", ours.running, truth.run, 0.05, 0.01);
    let rest = ours.alive() - ours.running - ours.state(State::Runnable);
    assert_near("asleep", ours.state(State::Sleeping), rest, 0.01, 0.002);
}

/// A thread id that nobody has, nor the two that share its set.
fn free() -> u32 {
    let is_taken = |tid: u32| fs::exists(format!("/proc/{tid}")).unwrap();
    (9_000..OFF_SETS).find(|tid| ![0, 1, 2].into_iter().any(|turn| is_taken(tid + turn * OFF_SETS))).unwrap()
}
