//! Every map, its size and why.
//!
//! Sizes per CPU are given for one CPU; the loader multiplies them by the possible CPUs. What the
//! switch path writes lies in plain arrays, CPU-major and mmap-able: each CPU writes its own part,
//! the agent reads them with loads, without system calls and without rights once mapped.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, PerCpuArray, PerCpuHashMap, RingBuf},
};
use wattrace_common::{
    cgroup::CgroupEvent,
    cost::CpuCost,
    limits::{CGROUP_RING_BYTES, OVERFLOW_KEYS, TIME_SETS},
    loss::COUNTERS_PER_CPU,
    moves::CpuMoves,
    sched::{CpuSlot, OverflowValue, TimeSet},
};

/// State of each CPU: 128 bytes.
#[map]
pub static CPUS: Array<CpuSlot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// On-CPU time by key: 512 sets of two slots, 32 KiB.
#[map]
pub static TIMES: Array<TimeSet> = Array::with_max_entries(TIME_SETS, BPF_F_MMAPABLE);

/// Keys whose set was taken. Allocated up front: the switch path must not allocate.
#[map]
pub static OVERFLOW: PerCpuHashMap<u64, OverflowValue> = PerCpuHashMap::with_max_entries(OVERFLOW_KEYS, 0);

/// Moves of tasks within the open slice: 1 KiB.
#[map]
pub static MOVES: Array<CpuMoves> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Loss counters.
#[map]
pub static LOST: Array<u64> = Array::with_max_entries(COUNTERS_PER_CPU, BPF_F_MMAPABLE);

/// What the programs cost: 128 bytes.
#[map]
pub static COSTS: Array<CpuCost> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Births and deaths of cgroups.
#[map]
pub static CGROUP_EVENTS: RingBuf = RingBuf::with_byte_size(CGROUP_RING_BYTES, 0);

/// One event is built here: it is larger than the 512 bytes of a BPF stack.
#[map]
pub static SCRATCH: PerCpuArray<CgroupEvent> = PerCpuArray::with_max_entries(1, 0);
