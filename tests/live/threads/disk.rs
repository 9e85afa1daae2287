//! Threads that wait for a disk, and for what is no disk but no signal interrupts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wattrace_common::threads::State;

use super::truth::{assert_near, watch};
use crate::support::{Cgroup, live};

const DELAYS: &str = "/proc/sys/kernel/task_delayacct";
/// Bytes a second where reads are throttled.
const RATE: u32 = 4 << 20;

/// A sysctl, switched on until this is dropped.
struct Accounting(Option<String>);

impl Accounting {
    fn start() -> Self {
        let before = fs::read_to_string(DELAYS).ok();
        Self(before.filter(|_| fs::write(DELAYS, "1").is_ok()))
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            drop(fs::write(DELAYS, before));
        }
    }
}

#[test]
fn a_reader_of_a_disk_waits_for_io() {
    live!();
    let Some((disk, number)) = disk() else {
        return println!("SKIPPED: no disk can be read directly here");
    };
    let accounting = Accounting::start();
    let cgroup = Cgroup::new();
    let throttle = Throttle::on(&cgroup, &number);
    println!("reads of {}, {}", disk.display(), if throttle.is_some() { "throttled" } else { "as fast as they are" });
    let file = disk.display().to_string();
    let watched = watch(&cgroup, &["direct", &file, "65536", "120"], &["stay"], |_, load| {
        if let Some(throttle) = &throttle {
            throttle.add(load.child.id());
        }
    });
    watched.assert_is_as_the_scheduler_says();
    let (ours, truth) = (&watched.figures, watched.truth);
    let (waited, slept) = (ours.state(State::IoWait), ours.state(State::Sleeping));
    // It reads, and before and after that it sleeps. It is nowhere else.
    assert_near("off the CPU", waited + slept, ours.wall - truth.run - truth.delay, 0.01, ours.slack);
    for other in [State::Uninterruptible, State::Stopped] {
        assert!(ours.state(other) <= 0.01 * waited + 0.001, "{other:?}: {}", ours.state(other));
    }
    assert!(ours.off(State::IoWait).count() >= 100, "120 reads: {:?}", ours.off(State::IoWait));
    if throttle.is_some() {
        // What is read in a burst at the start is not held back, nor is the last.
        let least = 0.8 * f64::from(120 * 65_536) / f64::from(RATE);
        assert!(waited >= least, "throttled to take {least} s, waited {waited} s");
    }
    if accounting.0.is_some() {
        // Each wait from its begin to its wake-up, in hundredths of a second.
        assert_near("delay accounting", waited, truth.io_wait, 0.02, 0.02);
    } else {
        println!("the kernel does not account for waits for I/O here: its witness is missing");
    }
}

/// The first whole disk that a load can read directly; with its number.
fn disk() -> Option<(PathBuf, String)> {
    let mut names: Vec<_> = fs::read_dir("/sys/block").ok()?.map(|entry| entry.unwrap().path()).collect();
    // Disks of their own before loop devices, which take a file that is on one.
    names.sort_by_key(|path| (path.join("loop").exists(), path.clone()));
    names.into_iter().find_map(|path| {
        let number = fs::read_to_string(path.join("dev")).ok()?.trim().to_owned();
        let device = Path::new("/dev").join(path.file_name()?);
        let sectors: u64 = fs::read_to_string(path.join("size")).ok()?.trim().parse().ok()?;
        // In memory nobody waits.
        let waits = path.join("device").exists() || path.join("loop/backing_file").exists();
        (waits && sectors > 20_000 && device.exists()).then_some((device, number))
    })
}

/// A limit on reads: of the cgroup itself, or in the older hierarchy.
struct Throttle {
    /// Group of the older hierarchy.
    older: Option<PathBuf>,
}

impl Throttle {
    fn on(cgroup: &Cgroup, number: &str) -> Option<Self> {
        let root = cgroup.path.parent().unwrap();
        drop(fs::write(root.join("cgroup.subtree_control"), "+io"));
        if fs::write(cgroup.path.join("io.max"), format!("{number} rbps={RATE}")).is_ok() {
            return Some(Self { older: None });
        }
        let group = Path::new("/sys/fs/cgroup/blkio").join(&cgroup.name[1..]);
        fs::create_dir(&group).ok()?;
        let throttle = Self { older: Some(group.clone()) };
        let limit = format!("{number} {RATE}");
        fs::write(group.join("blkio.throttle.read_bps_device"), limit).ok().map(|()| throttle)
    }

    fn add(&self, pid: u32) {
        if let Some(group) = &self.older {
            fs::write(group.join("cgroup.procs"), pid.to_string()).unwrap();
        }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        if let Some(group) = &self.older {
            crate::support::until("nobody is throttled", || fs::remove_dir(group).is_ok());
        }
    }
}

/// A memory barrier of the whole machine waits for all CPUs: neither a signal nor I/O ends it.
#[test]
fn what_no_signal_interrupts_is_uninterruptible() {
    live!();
    let cgroup = Cgroup::new();
    let watched = watch(&cgroup, &["barriers", "60"], &["stay"], |_, _| {});
    watched.assert_is_as_the_scheduler_says();
    let (ours, truth) = (&watched.figures, watched.truth);
    let (blocked, slept) = (ours.state(State::Uninterruptible), ours.state(State::Sleeping));
    assert_near("off the CPU", blocked + slept, ours.wall - truth.run - truth.delay, 0.01, ours.slack);
    assert!(ours.state(State::IoWait) < 0.001);
    let waits = ours.off(State::Uninterruptible);
    println!("{} waits, {blocked} s", waits.count());
    assert!(waits.count() >= 60 && waits.count() <= 61 + truth.voluntary - 60, "60 barriers: {waits:?}");
    // Nothing of it is open: what ended is all there was.
    assert_near("sum of what ended", waits.sum, blocked, 0.001, 0.000_1);
}
