//! Capacities of the kernel maps. The bound on kernel memory is the sum of these.

/// Slots in one set of the on-CPU time table. Two 32-byte slots are one cache line.
pub const TIME_WAYS: usize = 2;

/// Sets per CPU. 512 sets of two slots: 1,024 workloads of one CPU before the overflow map is used.
pub const TIME_SETS: u32 = 512;

/// Keys that the overflow map takes, over all CPUs.
pub const OVERFLOW_KEYS: u32 = 2_048;

/// Moves of a task within one slice of its CPU that are kept: with the words beside them 1 KiB per CPU.
pub const MOVES_PER_SLICE: usize = 61;

/// Bytes of the ring that carries cgroup births and deaths. Power of two.
pub const CGROUP_RING_BYTES: u32 = 256 * 1024;

/// Longest cgroup path carried by an event, with its terminating NUL.
pub const CGROUP_PATH_MAX: usize = 512;
