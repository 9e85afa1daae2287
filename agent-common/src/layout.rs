//! Names by which the agent finds maps, programs and globals in the built object.

/// Per-CPU state of `sched_switch`: array of [`crate::sched::CpuSlot`], mmap-able.
pub const MAP_CPUS: &str = "CPUS";
/// On-CPU time: array of [`crate::sched::TimeSet`], CPU-major, mmap-able.
pub const MAP_TIMES: &str = "TIMES";
/// Keys whose set was taken: per-CPU hash of [`crate::sched::OverflowValue`].
pub const MAP_OVERFLOW: &str = "OVERFLOW";
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
