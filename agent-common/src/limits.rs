//! Capacities of the kernel maps. The bound on kernel memory is the sum of these.

/// Slots in one set of the on-CPU time table. Two 32-byte slots are one cache line.
pub const TIME_WAYS: usize = 2;

/// Sets per CPU. 512 sets of two slots: 1,024 workloads of one CPU before the overflow map is used.
pub const TIME_SETS: u32 = 512;

/// Keys that the overflow map takes, over all CPUs.
pub const OVERFLOW_KEYS: u32 = 1_280;

/// Rows of the on-CPU time table per CPU: set by set.
#[expect(clippy::cast_possible_truncation, reason = "two")]
pub const TIME_ROWS: u32 = TIME_SETS * TIME_WAYS as u32;

/// Rows of thread time per CPU: those of the on-CPU time table, then those of the special keys.
pub const THREAD_ROWS: u32 = TIME_ROWS + 4;

/// Sets of two places for threads that are switched out, all CPUs together. Power of two.
pub const OFF_SETS: u32 = 32_768;

/// Threads that are switched out and whose set was taken.
pub const MORE_OFF_THREADS: u32 = 4_096;

/// Workloads with histograms.
pub const HISTOGRAM_ROWS: u32 = 512;

/// CPUs that write to histograms of their own; beyond that, some share one. Power of two.
pub const HISTOGRAM_STRIPES: u32 = 16;

/// Moves of a task within one slice of its CPU that are kept: with the words beside them 1 KiB per CPU.
pub const MOVES_PER_SLICE: usize = 61;

/// Bytes of the ring that carries cgroup births and deaths. Power of two.
pub const CGROUP_RING_BYTES: u32 = 256 * 1024;

/// Longest cgroup path carried by an event, with its terminating NUL.
pub const CGROUP_PATH_MAX: usize = 512;

/// Owners of block I/O with histograms: with their sums 800 KiB, however many CPUs there are.
pub const BLOCK_ROWS: u32 = 512;

/// Owners of block I/O beyond those: they have sums only.
pub const BLOCK_MORE: u32 = 1_024;

/// Block devices with a row of their own, and the row of all others: 168 KiB.
pub const BLOCK_DEVICES: u32 = 64;

/// Block devices whose row is known, those that are with the others included.
pub const BLOCK_NUMBERS: u32 = 1_024;

/// Requests that drivers have at once, where they are timed from there: at most; the machine's queues say how many there
/// can be.
pub const BLOCK_REQUESTS: u32 = 8_192;

/// Owners of connections with histograms: with their sums 1.2 MiB, however many CPUs there are.
pub const TCP_ROWS: u32 = 512;

/// Owners of connections beyond those: they have sums only.
pub const TCP_MORE: u32 = 1_024;

/// Connections that are open at once and were seen to begin: some 3.5 MiB. Beyond that one counts at its end, as older than the
/// programs.
pub const TCP_OPEN: u32 = 32_768;

/// Owners of processes: 384 KiB.
pub const PROCESS_ROWS: u32 = 2_048;

/// Processes that have, or had, more than one thread: 1 MiB.
pub const THREAD_GROUPS: u32 = 8_192;

/// Threads at once between a program at their exec and its spare: 80 KiB.
pub const EXEC_SEEN: u32 = 1_024;

/// Bytes of the ring that carries events, where any are asked for. Power of two.
pub const EVENT_RING_BYTES: u32 = 512 * 1024;
