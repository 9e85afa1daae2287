//! Names by which the agent finds maps, programs and globals in the built object.

/// Per-CPU state of `sched_switch`: array of [`crate::sched::CpuSlot`], mmap-able.
pub const MAP_CPUS: &str = "CPUS";
/// On-CPU time: array of [`crate::sched::TimeSet`], CPU-major, mmap-able.
pub const MAP_TIMES: &str = "TIMES";
/// Keys whose set was taken: per-CPU hash of [`crate::sched::OverflowValue`].
pub const MAP_OVERFLOW: &str = "OVERFLOW";
/// Of the time in [`MAP_TIMES`], what was shared with a sibling: array of `u64` in the same order, mmap-able.
pub const MAP_SHARED: &str = "SHARED";
/// Thread time: array of [`crate::threads::ThreadSlot`], CPU-major, mmap-able.
pub const MAP_THREADS: &str = "THREADS";
/// The same of keys in [`MAP_OVERFLOW`]: per-CPU hash of [`crate::threads::ThreadSlot`].
pub const MAP_OVERFLOW_THREADS: &str = "OVER_THREADS";
/// Threads that are switched out: array of [`crate::threads::OffSet`], mmap-able.
pub const MAP_OFF_THREADS: &str = "OFF_THREADS";
/// Those whose set was taken: hash of [`crate::threads::OffThread`] by thread id.
pub const MAP_MORE_OFF_THREADS: &str = "MORE_OFF";
/// Histograms: array of [`crate::threads::Histograms`], row by row, a stripe of CPUs after the other, mmap-able.
pub const MAP_HISTOGRAMS: &str = "HISTOGRAMS";
/// Row of histograms by key: hash of `u32`.
pub const MAP_HISTOGRAM_ROW: &str = "HISTOGRAM_ROW";
/// Rows of histograms that are free: stack of `u32`.
pub const MAP_FREE_ROWS: &str = "FREE_ROWS";
/// Loss counters: array of `u64`, CPU-major, mmap-able.
pub const MAP_LOST: &str = "LOST";
/// Moves of running tasks: array of [`crate::moves::CpuMoves`], one per CPU, mmap-able.
pub const MAP_MOVES: &str = "MOVES";
/// What the programs cost: array of [`crate::cost::CpuCost`], one per CPU, mmap-able.
pub const MAP_COSTS: &str = "COSTS";
/// Births and deaths of cgroups: ring buffer.
pub const MAP_CGROUP_EVENTS: &str = "CGROUP_EVENTS";
/// Scratch for one event: per-CPU array.
pub const MAP_SCRATCH: &str = "SCRATCH";
/// Block I/O by owner: array of [`crate::block::WorkRow`], mmap-able.
pub const MAP_BLOCK_WORK: &str = "BLOCK_WORK";
/// Row of [`MAP_BLOCK_WORK`] by owner: hash of `u32`.
pub const MAP_BLOCK_ROW: &str = "BLOCK_ROW";
/// Rows of [`MAP_BLOCK_WORK`] that are free: stack of `u32`.
pub const MAP_BLOCK_FREE_ROWS: &str = "BLOCK_FREE_ROWS";
/// Block I/O of owners without a row: hash of [`crate::block::WorkSums`].
pub const MAP_BLOCK_MORE: &str = "BLOCK_MORE_WORK";
/// Block I/O by device: array of [`crate::block::DeviceRow`], mmap-able.
pub const MAP_BLOCK_DEVICES: &str = "BLOCK_DEVICE";
/// Row of [`MAP_BLOCK_DEVICES`] by device number: hash of `u32`.
pub const MAP_BLOCK_SLOT: &str = "BLOCK_SLOT";
/// Rows of [`MAP_BLOCK_DEVICES`] that are free: stack of `u32`.
pub const MAP_BLOCK_FREE_SLOTS: &str = "BLOCK_FREE_SLOTS";
/// When drivers got the requests they have: hash of [`crate::block::Issued`] by the request's address.
pub const MAP_BLOCK_ISSUED: &str = "BLOCK_ISSUED";
/// Connections by owner: array of [`crate::tcp::TcpRow`], mmap-able.
pub const MAP_TCP_WORK: &str = "TCP_WORK";
/// Row of [`MAP_TCP_WORK`] by owner: hash of `u32`.
pub const MAP_TCP_ROW: &str = "TCP_ROW";
/// Rows of [`MAP_TCP_WORK`] that are free: stack of `u32`.
pub const MAP_TCP_FREE_ROWS: &str = "TCP_FREE_ROWS";
/// Connections of owners without a row: hash of [`crate::tcp::TcpSums`].
pub const MAP_TCP_MORE: &str = "TCP_MORE_WORK";
/// Connections that are open: hash of [`crate::tcp::Birth`] by the socket's address.
pub const MAP_TCP_SOCKETS: &str = "TCP_SOCKETS";
/// Processes by owner: array of [`crate::process::ProcessRow`], mmap-able.
pub const MAP_PROCESS_WORK: &str = "PROCESS_WORK";
/// Row of [`MAP_PROCESS_WORK`] by owner: hash of `u32`.
pub const MAP_PROCESS_ROW: &str = "PROCESS_ROW";
/// Rows of [`MAP_PROCESS_WORK`] that are free: stack of `u32`.
pub const MAP_PROCESS_FREE_ROWS: &str = "PROC_FREE_ROWS";
/// Processes that have, or had, more than one thread: hash of [`crate::process::ThreadGroup`] by their id.
pub const MAP_THREAD_GROUPS: &str = "THREAD_GROUPS";
/// Events: ring buffer of what [`crate::events`] describes.
pub const MAP_EVENTS: &str = "EVENTS";
/// Threads whose exec was seen: hash by their id.
pub const MAP_EXEC_SEEN: &str = "EXEC_SEEN";
/// Scratch for one of them, and one of a spare: per-CPU array.
pub const MAP_EVENT_SCRATCH: &str = "EVENT_SCRATCH";
