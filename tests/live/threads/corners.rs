//! Kernel threads: those that are idle are not in need of anything.

use std::{fs, time::Duration};

use wattrace_common::{sched::WorkKey, threads::State};

use super::probe::Probe;
use crate::support::live;

/// Idle workers wait without being interruptible, and without being load.
#[test]
fn idle_kernel_threads_are_not_uninterruptible() {
    live!();
    let mut probe = Probe::start();
    let before = probe.read();
    std::thread::sleep(Duration::from_secs(2));
    let after = probe.read();
    let ours = after.of_key(WorkKey::KERNEL, &before);
    let threads = kernel_threads();
    let blocked = ours.state(State::Uninterruptible);
    println!("{threads} kernel threads: uninterruptible {blocked} s, now {:?}", ours.now);
    // Those that did something in the window were seen; of them nearly all wait for the next thing to do.
    assert!(ours.threads(State::Sleeping) >= 2, "some have been seen: {:?}", ours.now);
    assert!(blocked <= threads as f64 * ours.wall * 0.02 + 0.05, "{blocked} s of {threads} threads");
    assert!(ours.threads(State::Uninterruptible) <= 1 + threads / 20, "{:?}", ours.now);
}

/// Whose command line is empty.
fn kernel_threads() -> u64 {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    let kernel = processes.filter(|file| fs::read(file).is_ok_and(|line| line.is_empty()));
    u64::try_from(kernel.count()).unwrap()
}
