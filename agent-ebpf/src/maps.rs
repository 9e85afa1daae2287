//! Every map, its size and why.
//!
//! Sizes per CPU are given for one CPU; the loader multiplies them by the possible CPUs. What the
//! switch path writes lies in plain arrays, CPU-major and mmap-able: each CPU writes its own part,
//! the agent reads them with loads, without system calls and without rights once mapped.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf, Stack},
};
use wattrace_common::{
    block::{DeviceRow, Issued, WorkRow, WorkSums},
    cgroup::CgroupEvent,
    cost::CpuCost,
    events::ExecEvent,
    limits::{
        BLOCK_DEVICES, BLOCK_MORE, BLOCK_NUMBERS, BLOCK_REQUESTS, BLOCK_ROWS, CGROUP_RING_BYTES, EVENT_RING_BYTES,
        EXEC_SEEN as EXECS, HISTOGRAM_ROWS, MORE_OFF_THREADS, OFF_SETS, OVERFLOW_KEYS, PROCESS_ROWS, TCP_MORE,
        TCP_OPEN, TCP_ROWS, THREAD_GROUPS as GROUPS, THREAD_ROWS, TIME_ROWS, TIME_SETS,
    },
    loss::COUNTERS_PER_CPU,
    moves::CpuMoves,
    process::{ProcessRow, ThreadGroup},
    sched::{CpuSlot, OverflowValue, TimeSet},
    tcp::{Birth, TcpRow, TcpSums},
    threads::{Histograms, OffSet, OffThread, ThreadSlot},
};

/// State of each CPU: 256 bytes.
#[map]
pub static CPUS: Array<CpuSlot> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// On-CPU time by key: 512 sets of two slots, 32 KiB.
#[map]
pub static TIMES: Array<TimeSet> = Array::with_max_entries(TIME_SETS, BPF_F_MMAPABLE);

/// Keys whose set was taken. Allocated up front: the switch path must not allocate.
#[map]
pub static OVERFLOW: PerCpuHashMap<u64, OverflowValue> = PerCpuHashMap::with_max_entries(OVERFLOW_KEYS, 0);

/// Of the time in [`TIMES`], what was shared with a sibling: 8 KiB, or one word where there are none.
#[map]
pub static SHARED: Array<u64> = Array::with_max_entries(TIME_ROWS, BPF_F_MMAPABLE);

// What follows has one entry where threads are not followed off the CPU.

/// Thread time by key, row by row beside [`TIMES`]: 128.5 KiB.
#[map]
pub static THREADS: Array<ThreadSlot> = Array::with_max_entries(THREAD_ROWS, BPF_F_MMAPABLE);

/// The same of keys in [`OVERFLOW`].
#[map]
pub static OVER_THREADS: PerCpuHashMap<u64, ThreadSlot> = PerCpuHashMap::with_max_entries(OVERFLOW_KEYS, 0);

/// Threads that are switched out, by thread id: 2 MiB for all CPUs together.
#[map]
pub static OFF_THREADS: Array<OffSet> = Array::with_max_entries(OFF_SETS, BPF_F_MMAPABLE);

/// Those whose set was taken.
#[map]
pub static MORE_OFF: HashMap<u32, OffThread> = HashMap::with_max_entries(MORE_OFF_THREADS, 0);

/// Histograms: 928 KiB per stripe of CPUs.
#[map]
pub static HISTOGRAMS: Array<Histograms> = Array::with_max_entries(HISTOGRAM_ROWS, BPF_F_MMAPABLE);

/// Row of histograms by key. The kernel takes rows from the stack, the agent gives them back.
#[map]
pub static HISTOGRAM_ROW: HashMap<u64, u32> = HashMap::with_max_entries(HISTOGRAM_ROWS, 0);

/// Rows that are free.
#[map]
pub static FREE_ROWS: Stack<u32> = Stack::with_max_entries(HISTOGRAM_ROWS, 0);

/// Moves of tasks within the open slice: 1 KiB.
#[map]
pub static MOVES: Array<CpuMoves> = Array::with_max_entries(1, BPF_F_MMAPABLE);

// What follows has one entry where block I/O is not counted.
//
// All CPUs share the rows, and count in them with atomic steps: a row per CPU and owner would take 50 MiB on 64 CPUs. One
// request counts in four cache lines: two of its owner, two of its device.

/// Block I/O by owner: 800 KiB.
#[map]
pub static BLOCK_WORK: Array<WorkRow> = Array::with_max_entries(BLOCK_ROWS, BPF_F_MMAPABLE);

/// Row of block I/O by owner. The kernel takes rows from the stack, the agent gives them back.
#[map]
pub static BLOCK_ROW: HashMap<u64, u32> = HashMap::with_max_entries(BLOCK_ROWS, 0);

/// Rows that are free.
#[map]
pub static BLOCK_FREE_ROWS: Stack<u32> = Stack::with_max_entries(BLOCK_ROWS, 0);

/// Block I/O of owners that there was no row for: 320 KiB.
#[map]
pub static BLOCK_MORE_WORK: HashMap<u64, WorkSums> = HashMap::with_max_entries(BLOCK_MORE, 0);

/// Block I/O by device: 168 KiB.
#[map]
pub static BLOCK_DEVICE: Array<DeviceRow> = Array::with_max_entries(BLOCK_DEVICES, BPF_F_MMAPABLE);

/// Row of a device by its number.
#[map]
pub static BLOCK_SLOT: HashMap<u32, u32> = HashMap::with_max_entries(BLOCK_NUMBERS, 0);

/// Rows that are free.
#[map]
pub static BLOCK_FREE_SLOTS: Stack<u32> = Stack::with_max_entries(BLOCK_DEVICES, 0);

/// Requests that drivers have: 72 bytes each, one entry where they are not timed from there.
#[map]
pub static BLOCK_ISSUED: HashMap<u64, Issued> = HashMap::with_max_entries(BLOCK_REQUESTS, 0);

// What follows has one entry where processes are not counted.

/// Processes by owner, as those of block I/O: 384 KiB.
#[map]
pub static PROCESS_WORK: Array<ProcessRow> = Array::with_max_entries(PROCESS_ROWS, BPF_F_MMAPABLE);

/// Row of processes by owner. The kernel takes rows from the stack, the agent gives them back.
#[map]
pub static PROCESS_ROW: HashMap<u64, u32> = HashMap::with_max_entries(PROCESS_ROWS, 0);

/// Rows that are free.
#[map]
pub static PROC_FREE_ROWS: Stack<u32> = Stack::with_max_entries(PROCESS_ROWS, 0);

/// Processes that have, or had, more than one thread, by their ids: 128 bytes each.
#[map]
pub static THREAD_GROUPS: HashMap<u32, ThreadGroup> = HashMap::with_max_entries(GROUPS, 0);

/// Events: one page where none are asked for.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENT_RING_BYTES, 0);

/// An event with arguments is built here, 1.1 KiB per CPU, that of a spare in the second.
#[map]
pub static EVENT_SCRATCH: PerCpuArray<ExecEvent> = PerCpuArray::with_max_entries(2, 0);

/// Threads whose exec was seen, for the spare to know. The least recent goes where there is no room: it stayed because a spare was
/// held up.
#[map]
pub static EXEC_SEEN: LruHashMap<u32, u8> = LruHashMap::with_max_entries(EXECS, 0);

// What follows has one entry where connections are not counted.

/// Connections by owner: 1.2 MiB.
#[map]
pub static TCP_WORK: Array<TcpRow> = Array::with_max_entries(TCP_ROWS, BPF_F_MMAPABLE);

/// Row of connections by owner. The kernel takes rows from the stack, the agent gives them back.
#[map]
pub static TCP_ROW: HashMap<u64, u32> = HashMap::with_max_entries(TCP_ROWS, 0);

/// Rows that are free.
#[map]
pub static TCP_FREE_ROWS: Stack<u32> = Stack::with_max_entries(TCP_ROWS, 0);

/// Connections of owners that there was no row for: 512 KiB.
#[map]
pub static TCP_MORE_WORK: HashMap<u64, TcpSums> = HashMap::with_max_entries(TCP_MORE, 0);

/// What such an owner begins with, which the stack has no room for.
#[map]
pub static TCP_EMPTY: Array<TcpSums> = Array::with_max_entries(1, 0);

/// Connections that are open, or on their way to be, by the socket's address. Allocated up front: a connection must not wait for
/// memory, and what the maps take does not change.
#[map]
pub static TCP_SOCKETS: HashMap<u64, Birth> = HashMap::with_max_entries(TCP_OPEN, 0);

/// Loss counters.
#[map]
pub static LOST: Array<u64> = Array::with_max_entries(COUNTERS_PER_CPU, BPF_F_MMAPABLE);

/// What the programs cost: 384 bytes.
#[map]
pub static COSTS: Array<CpuCost> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Births and deaths of cgroups.
#[map]
pub static CGROUP_EVENTS: RingBuf = RingBuf::with_byte_size(CGROUP_RING_BYTES, 0);

/// One event is built here: it is larger than the 512 bytes of a BPF stack.
#[map]
pub static SCRATCH: PerCpuArray<CgroupEvent> = PerCpuArray::with_max_entries(1, 0);
