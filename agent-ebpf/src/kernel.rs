//! Typed access to kernel structures through offsets that are frozen before load.
//!
//! The only raw pointer reads of the kernel side. Offsets come from the running kernel's BTF; the
//! verifier sees constants and checks each access against the same BTF, so an offset that does not
//! lead to a member of that size is refused at load.

use aya_ebpf::{Global, helpers::bpf_probe_read_kernel};

/// Declares offsets that the loader overrides by name.
macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub static $name: Global<u32> = Global::new(0);
    )* };
}

offsets! {
    TASK_PID,
    TASK_TGID,
    TASK_FLAGS,
    TASK_COMM,
    TASK_START_BOOTTIME,
    TASK_GROUP_LEADER,
    TASK_CGROUPS,
    /// `se.cfs_rq` of `task_struct`.
    TASK_CFS_RQ,
    CFS_RQ_RQ,
    RQ_CLOCK,
    /// `sched_info.last_arrival` of `task_struct`.
    TASK_LAST_ARRIVAL,
    /// `se.sum_exec_runtime` of `task_struct`.
    TASK_SUM_EXEC_RUNTIME,
    /// `se.prev_sum_exec_runtime` of `task_struct`: the former, when the task was last switched in.
    TASK_PREV_SUM_EXEC_RUNTIME,
    /// `prio` of `task_struct`: below 100 the task is not of the fair class.
    TASK_PRIO,
    RQ_NR_SWITCHES,
    TASK_STATE,
    /// Byte of `task_struct` that holds `in_iowait`.
    TASK_IN_IOWAIT,
    /// `sched_info.run_delay` of `task_struct`.
    TASK_RUN_DELAY,
    /// `sched_info.last_queued` of `task_struct`.
    TASK_LAST_QUEUED,
    CSS_SET_DFL_CGRP,
    CGROUP_KN,
    CGROUP_ROOT,
    CGROUP_ROOT_HIERARCHY_ID,
    KERNFS_NODE_ID,
}

/// 1 where the run-queue clock can be reached; else the programs read the monotonic clock.
#[unsafe(no_mangle)]
pub static HAVE_RQ_CLOCK: Global<u32> = Global::new(0);

/// 1 where `sched_info.last_arrival` exists.
#[unsafe(no_mangle)]
pub static HAVE_LAST_ARRIVAL: Global<u32> = Global::new(0);

/// 1 where a task that left can be asked for its last stint: the fields exist and kernel memory may be copied.
#[unsafe(no_mangle)]
pub static HAVE_STINTS: Global<u32> = Global::new(0);

/// 1 where `rq.nr_switches` exists (and the run queue can be reached).
#[unsafe(no_mangle)]
pub static HAVE_NR_SWITCHES: Global<u32> = Global::new(0);

/// 1 where moves of running tasks are told.
#[unsafe(no_mangle)]
pub static HAVE_MOVES: Global<u32> = Global::new(0);

/// 1 where a core has two threads.
#[unsafe(no_mangle)]
pub static HAVE_SMT: Global<u32> = Global::new(0);

/// 1 where threads are followed off the CPU.
#[unsafe(no_mangle)]
pub static HAVE_THREADS: Global<u32> = Global::new(0);

/// 1 where the scheduler says when a task began to wait for a CPU.
#[unsafe(no_mangle)]
pub static HAVE_QUEUED: Global<u32> = Global::new(0);

/// Arguments of `sched_switch`: the fourth is the state of the task that leaves.
#[unsafe(no_mangle)]
pub static SWITCH_ARGS: Global<u32> = Global::new(3);

/// Bytes of a task's state.
#[unsafe(no_mangle)]
pub static STATE_BYTES: Global<u32> = Global::new(4);

/// Bit of [`TASK_IN_IOWAIT`].
#[unsafe(no_mangle)]
pub static IN_IOWAIT_MASK: Global<u32> = Global::new(0);

/// CPUs that write to histograms of their own. A power of two.
#[unsafe(no_mangle)]
pub static STRIPES: Global<u32> = Global::new(1);

/// CPUs that may ever be there.
#[unsafe(no_mangle)]
pub static POSSIBLE_CPUS: Global<u32> = Global::new(0);

/// Cgroup id of the root of the unified hierarchy.
#[unsafe(no_mangle)]
pub static ROOT_CGROUP: Global<u64> = Global::new(1);

/// A pointer to a kernel object of the BTF type that the path to it implies.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Kptr(*const u8);

impl Kptr {
    /// Wraps a typed tracepoint argument.
    #[inline(always)]
    pub fn from_arg(arg: *const u8) -> Self {
        Self(arg)
    }

    /// Reads the field at a frozen offset.
    #[inline(always)]
    pub fn read<T: Copy>(self, offset: &Global<u32>) -> T {
        self.read_at(offset.load())
    }

    #[inline(always)]
    fn read_at<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the verifier has proven `self.0` to be a BTF pointer and `offset` a member of its
        // type; a fault in the read is caught by the kernel and yields zero.
        unsafe { core::ptr::read_volatile(self.0.add(offset as usize).cast::<T>()) }
    }

    /// Follows a pointer field.
    #[inline(always)]
    pub fn follow(self, offset: &Global<u32>) -> Self {
        Self(self.read(offset))
    }

    /// The address as a number, to be kept until [`Kptr::from_word`].
    #[inline(always)]
    pub fn word(self) -> u64 {
        self.0 as u64
    }

    /// An address that was kept. What it points to may be gone: only [`Kptr::copy`] may be used on it.
    #[inline(always)]
    pub fn from_word(word: u64) -> Self {
        Self(word as *const u8)
    }

    /// Copies a field of an object that may be gone.
    #[inline(always)]
    pub fn copy<T: Copy>(self, offset: &Global<u32>) -> Option<T> {
        // SAFETY: the helper checks the address and fails on one that cannot be read.
        unsafe { bpf_probe_read_kernel(self.0.wrapping_add(offset.load() as usize).cast::<T>()) }.ok()
    }

    /// Reads a 16-byte `comm`, as two words.
    #[inline(always)]
    pub fn comm(self) -> [u64; 2] {
        let offset = TASK_COMM.load();
        [self.read_at(offset), self.read_at(offset + 8)]
    }
}

/// Id of the kernfs node of a cgroup.
#[inline(always)]
pub fn cgroup_id(cgroup: Kptr) -> u64 {
    cgroup.follow(&CGROUP_KN).read(&KERNFS_NODE_ID)
}
