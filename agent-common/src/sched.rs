//! On-CPU time: the keys, the table slot and the per-CPU state of `sched_switch`.
#![expect(clippy::inline_always, reason = "the kernel side has no calls to spare")]

use crate::limits::{TIME_SETS, TIME_WAYS};

/// Whose time it is, packed in 64 bits so that the table compares one word.
///
/// Cgroup ids are kernfs ids; the kernel never sets bit 63 of them. A process of the root cgroup is
/// `1 << 63 | tgid << 41 | start`, start in units of 2^20 ns of boot time (41 bits: 73 years).
/// A pid is handed out again only after the whole pid space went round, so two processes never
/// share a tgid and a start millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct WorkKey(pub u64);

const PROCESS: u64 = 1 << 63;
const TGID_SHIFT: u32 = 41;
const START_MASK: u64 = (1 << TGID_SHIFT) - 1;
/// Boot-time nanoseconds per unit of [`WorkKey`]'s start, as a shift.
pub const START_SHIFT: u32 = 20;

impl WorkKey {
    /// The idle task. Also "nobody yet": a CPU that has not switched.
    pub const IDLE: Self = Self(0);
    /// Kernel threads of the root cgroup.
    pub const KERNEL: Self = Self(PROCESS | 1);
    /// A task whose cgroup could not be read.
    pub const NOBODY: Self = Self(PROCESS | 2);
    /// Processes of the root cgroup that no map had room for, together.
    pub const REST: Self = Self(PROCESS | 3);

    /// The key of a cgroup id, or [`WorkKey::NOBODY`] for an id no kernel gives.
    pub const fn cgroup(id: u64) -> Self {
        if id == 0 || id & PROCESS != 0 { Self::NOBODY } else { Self(id) }
    }

    /// The key of a process in the root cgroup, from its tgid and its start in boot-time nanoseconds.
    pub const fn process(tgid: u32, start_ns: u64) -> Self {
        Self(PROCESS | (tgid as u64) << TGID_SHIFT | (start_ns >> START_SHIFT) & START_MASK)
    }

    /// Whether the key is one of those with a word of its own in [`CpuSlot`]: of a process without a tgid.
    #[inline]
    pub const fn is_special(self) -> bool {
        self.0 >> TGID_SHIFT == PROCESS >> TGID_SHIFT
    }

    /// What the key stands for.
    pub const fn decode(self) -> Work {
        match self {
            Self::IDLE => Work::Idle,
            Self::KERNEL => Work::Kernel,
            Self::NOBODY => Work::Nobody,
            Self::REST => Work::Rest,
            Self(raw) if raw & PROCESS == 0 => Work::Cgroup(raw),
            Self(raw) => Work::Process { tgid: ((raw & !PROCESS) >> TGID_SHIFT) as u32, start: raw & START_MASK },
        }
    }

    /// Set of the table in which this key may stand: neighbours in id spread over all sets.
    #[expect(clippy::cast_possible_truncation, reason = "the mask keeps the low bits only")]
    pub const fn set(self) -> u32 {
        (self.0 ^ (self.0 >> TGID_SHIFT)) as u32 & (TIME_SETS - 1)
    }
}

/// [`WorkKey`], taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// The idle task.
    Idle,
    /// Kernel threads outside any workload.
    Kernel,
    /// Busy time that cannot be given to anybody.
    Nobody,
    /// Processes of the root cgroup that no map had room for.
    Rest,
    /// Tasks of a cgroup other than the root.
    Cgroup(u64),
    /// A user process in the root cgroup.
    Process {
        /// Thread group id in the initial pid namespace.
        tgid: u32,
        /// Start of the process, boot-time nanoseconds >> [`START_SHIFT`].
        start: u64,
    },
}

/// One workload's time on one CPU. 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TimeSlot {
    /// [`WorkKey`]; 0 = free.
    pub key: u64,
    /// Nanoseconds on this CPU in finished slices since the slot was claimed.
    pub time: u64,
    /// `comm` of the process' leader, for keys of processes; zero for cgroups.
    pub comm: [u8; 16],
}

/// Two slots that share a cache line: where a key may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct TimeSet {
    /// The slots.
    pub ways: [TimeSlot; TIME_WAYS],
}

/// What the overflow map keeps per key and CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct OverflowValue {
    /// Nanoseconds on this CPU in finished slices.
    pub time: u64,
    /// As in [`TimeSlot`].
    pub comm: [u8; 16],
    /// Of `time`, while the other thread of the core was busy, too.
    pub shared: u64,
}

/// State of one CPU. Written by that CPU's `sched_switch` alone, except `want`, `moved` and `sibling`. 256 bytes: the first
/// half is all that is used where there are no siblings and threads are not followed.
///
/// `seq` is odd while the CPU writes: a reader that saw it odd, or changed, reads again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(128))]
pub struct CpuSlot {
    /// Sequence number: two steps per switch.
    pub seq: u64,
    /// Run-queue clock at the last switch, nanoseconds; 0 = none seen.
    pub last: u64,
    /// [`WorkKey`] of the running task.
    pub key: u64,
    /// Nanoseconds of the idle task, finished slices.
    pub idle: u64,
    /// Nanoseconds of all other tasks, finished slices: the denominator.
    pub busy: u64,
    /// Set by the reader to ask for a clock pair at the next switch.
    pub want: u64,
    /// `CLOCK_MONOTONIC` of the clock pair, nanoseconds; 0 = none yet.
    pub pair_mono: u64,
    /// Run-queue clock of the clock pair, nanoseconds.
    pub pair_rq: u64,
    /// Nanoseconds of kernel threads in the root cgroup: they are switched to too often to look up.
    pub kernel: u64,
    /// Nanoseconds of tasks without a cgroup id.
    pub nobody: u64,
    /// Nanoseconds of root-cgroup processes that no map had room for.
    pub rest: u64,
    /// Thread id of the running task: tells a switch that was not reported.
    pub pid: u64,
    /// `rq->nr_switches` at the last switch: tells the same, also where the task is the same again.
    pub switches: u64,
    /// Address of the running task: asked for its last stint after a switch that was not reported.
    pub task: u64,
    /// Process of the running task, as `pid`: tells a move of all its threads.
    pub tgid: u64,
    /// Set by movers of tasks: the open slice may be shared, see [`crate::moves::CpuMoves`].
    pub moved: u64,

    /// What [`busy_at`] said of the sibling when the open slice began.
    pub sibling_busy: u64,
    /// Of `busy`, while the sibling was busy, too.
    pub shared: u64,
    /// How the wait of the running task, which ended when it came in, is still to be booked: [`WorkKey`] that it is of.
    pub wait_key: u64,
    /// [`crate::threads::State`] plus one that the task left; [`WAIT_NEW`] where it was in none; 0: nothing is to be booked.
    pub wait_state: u64,
    /// Run-queue clock when it entered that state.
    pub wait_since: u64,
    /// When it became runnable; for one that was preempted, when it came in.
    pub wait_until: u64,
    /// When it came in.
    pub wait_end: u64,
    /// Of the slice that is being shared out: 2^-16 of it were shared with the sibling.
    pub rate: u64,

    /// Busy time for the sibling to read, in one word: see [`busy_at`].
    pub busy_word: u64,
    /// The other thread of the core, plus one; 0: there is none. Written by the agent.
    pub sibling: u64,
    /// Of `kernel`, while the sibling was busy, too.
    pub shared_kernel: u64,
    /// Of `nobody`, likewise.
    pub shared_nobody: u64,
    /// Of `rest`, likewise.
    pub shared_rest: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

/// [`CpuSlot::wait_state`] of a task that was in no state before: it is new, or older than the programs.
pub const WAIT_NEW: u64 = 1 + crate::threads::STATES.len() as u64;

/// A CPU's busy time at `now`, nanoseconds modulo 2^63, from [`CpuSlot::busy_word`]: twice a sum, plus one while it is busy.
/// Who begins to be busy takes the instant from the sum, who ends adds it.
#[inline(always)]
pub const fn busy_at(word: u64, now: u64) -> u64 {
    let sum = if word & 1 == 1 { (word >> 1).wrapping_add(now) } else { word >> 1 };
    sum & (u64::MAX >> 1)
}

/// [`CpuSlot::busy_word`] after a switch at `now`.
#[inline(always)]
pub const fn busy_word(word: u64, now: u64, is_busy: bool) -> u64 {
    let sum = busy_at(word, now);
    if is_busy { (sum.wrapping_sub(now) << 1) | 1 } else { sum << 1 }
}

/// How long a CPU was busy between two values of [`busy_at`]; 0 where it seems to have gone back.
#[inline(always)]
pub const fn busy_between(from: u64, to: u64) -> u64 {
    let span = to.wrapping_sub(from) & (u64::MAX >> 1);
    if span >> 62 == 0 { span } else { 0 }
}

/// The part of a slice that is shared at a [`CpuSlot::rate`].
#[inline(always)]
pub const fn shared_part(slice: u64, rate: u64) -> u64 {
    // 2^47 ns are 39 hours.
    let slice = if slice >> 47 == 0 { slice } else { (1 << 47) - 1 };
    (slice * rate) >> 16
}

const _: () = assert!(size_of::<TimeSlot>() == 32);
const _: () = assert!(size_of::<TimeSet>() == 64);
const _: () = assert!(size_of::<CpuSlot>() == 256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_went_in() {
        assert_eq!(WorkKey::cgroup(4711).decode(), Work::Cgroup(4711));
        assert_eq!(WorkKey::cgroup(0), WorkKey::NOBODY);
        assert_eq!(WorkKey::cgroup(u64::MAX), WorkKey::NOBODY);
        let start = 123_456_789_012_345;
        assert_eq!(
            WorkKey::process(4_194_303, start).decode(),
            Work::Process { tgid: 4_194_303, start: start >> START_SHIFT }
        );
        for key in [WorkKey::IDLE, WorkKey::KERNEL, WorkKey::NOBODY, WorkKey::REST] {
            assert!(!matches!(key.decode(), Work::Process { .. } | Work::Cgroup(_)));
            assert_eq!(key.is_special(), key != WorkKey::IDLE);
        }
        for key in [WorkKey::cgroup(1), WorkKey::cgroup(u64::MAX >> 1), WorkKey::process(1, 0)] {
            assert!(!key.is_special());
        }
    }

    #[test]
    fn no_process_has_the_key_of_a_special_one() {
        for start_ms in 0..4 {
            let key = WorkKey::process(1, start_ms << START_SHIFT);
            assert!(![WorkKey::KERNEL, WorkKey::NOBODY, WorkKey::REST].contains(&key));
        }
    }

    #[test]
    fn busy_time_of_a_sibling_is_in_one_word() {
        let begun = busy_word(0, 1_000, true);
        assert_eq!(busy_between(busy_at(0, 1_000), busy_at(begun, 1_250)), 250);
        assert_eq!(busy_word(begun, 1_100, true), begun, "a switch from task to task changes nothing");
        let ended = busy_word(begun, 1_300, false);
        assert_eq!((busy_at(ended, 1_300), busy_at(ended, 9_000)), (300, 300));
        let again = busy_word(ended, 5_000, true);
        assert_eq!(busy_between(busy_at(ended, 2_000), busy_at(again, 5_010)), 10);
        assert_eq!(busy_between(busy_at(again, 5_010), busy_at(again, 5_000)), 0, "another CPU's clock is behind");
    }

    #[test]
    fn a_part_is_never_more_than_its_slice() {
        for slice in [0, 1, 999, 1 << 40, 1 << 47, u64::MAX] {
            assert!(shared_part(slice, 1 << 16) <= slice);
            assert_eq!(shared_part(slice, 0), 0);
        }
        assert_eq!(shared_part(1_000, 1 << 15), 500);
    }

    #[test]
    fn neighbouring_ids_do_not_share_a_set() {
        let sets: [u32; 512] = core::array::from_fn(|i| WorkKey::cgroup(1000 + i as u64).set());
        for (i, a) in sets.iter().enumerate() {
            assert!(sets.iter().skip(i + 1).all(|b| a != b));
        }
    }
}
