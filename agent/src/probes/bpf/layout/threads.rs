//! Where the programs find what a task waits for when it leaves its CPU.

use super::{Btf, Effect, LayoutCause, LayoutError, Want, offsets};

/// Offsets in bytes for following threads off the CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadsLayout {
    /// What a task waits for.
    pub state: StateLayout,
    /// The byte of `task_struct` that holds the bit `in_iowait`.
    pub in_iowait: u32,
    /// That bit in it.
    pub in_iowait_mask: u32,
    /// How long a task waited for a CPU.
    pub queued: Result<QueuedLayout, LayoutError>,
}

/// Where a task's state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// `task_struct.state`, 8 bytes, or `__state`, 4 bytes (5.14 and later).
    pub task: u32,
    /// Bytes of it.
    pub bytes: u32,
}

/// Offsets in bytes of a task's account of its waits for a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedLayout {
    /// `task_struct.sched_info.run_delay`, 8 bytes, nanoseconds.
    pub run_delay: u32,
    /// `task_struct.sched_info.last_queued`, 8 bytes: since when it waits.
    pub last_queued: u32,
}

pub(super) fn threads(btf: &Btf<'_>) -> Result<ThreadsLayout, LayoutCause> {
    let (in_iowait, in_iowait_mask) = btf.bit("task_struct", "in_iowait")?;
    let queued = queued(btf).map_err(|cause| LayoutError { effect: Effect::NoWaits, cause });
    Ok(ThreadsLayout { state: state(btf)?, in_iowait, in_iowait_mask, queued })
}

pub(super) fn state(btf: &Btf<'_>) -> Result<StateLayout, LayoutCause> {
    offsets(btf, "task_struct", [("__state", Want::Bytes(4))]).map(|[task]| StateLayout { task, bytes: 4 }).or_else(
        // The newer name is the one to miss.
        |error| match offsets(btf, "task_struct", [("state", Want::Bytes(8))]) {
            Ok([task]) => Ok(StateLayout { task, bytes: 8 }),
            Err(_) => Err(error),
        },
    )
}

/// Kernels without `CONFIG_SCHED_INFO` have neither.
fn queued(btf: &Btf<'_>) -> Result<QueuedLayout, LayoutCause> {
    let fields = [("sched_info.run_delay", Want::Bytes(8)), ("sched_info.last_queued", Want::Bytes(8))];
    let [run_delay, last_queued] = offsets(btf, "task_struct", fields)?;
    Ok(QueuedLayout { run_delay, last_queued })
}
