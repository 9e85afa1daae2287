//! Moving this thread over the CPUs, so that no CPU starts blind and each can test itself.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Runs `on_cpu` on every CPU of `cpus` that this thread may run on, then restores the affinity.
///
/// CPUs outside the allowed set (a cpuset, isolation) are left out: they are seen at their first switch.
pub(super) fn each_cpu<E>(cpus: &[u32], mut on_cpu: impl FnMut(u32) -> Result<(), E>) -> Result<(), E> {
    let Ok(home) = sched_getaffinity(None) else { return Ok(()) };
    let result = cpus.iter().filter(|cpu| moved_to(**cpu)).try_for_each(|cpu| on_cpu(*cpu));
    if let Err(error) = sched_setaffinity(None, &home) {
        debug_assert!(false, "restoring our own affinity: {error}");
    }
    result
}

fn moved_to(cpu: u32) -> bool {
    let Ok(cpu) = usize::try_from(cpu) else { return false };
    if cpu >= CpuSet::MAX_CPU {
        return false;
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).is_ok()
}

/// Sleeps so briefly that the effect is one switch away from this thread and one back.
pub(super) fn switch_once() {
    let blink = rustix::thread::Timespec { tv_sec: 0, tv_nsec: 20_000 };
    // An interrupted sleep has switched too.
    drop(rustix::thread::nanosleep(&blink));
}
