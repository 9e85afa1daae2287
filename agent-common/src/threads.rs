//! Where threads are while they are not on a CPU: states, the per-CPU sums of a workload, and its histograms.
//!
//! Per workload, CPU and state there are a count `n` and a sum `acc`. A thread that enters a state at `t` adds 1 to `n` and
//! takes `t` from `acc`; one that leaves it takes 1 from `n` and adds `t`. Over all CPUs, `acc + n · now` is the time spent in
//! the state up to `now`, open intervals included: a thread may enter on one CPU and leave on another. All of it wraps.
#![expect(clippy::inline_always, reason = "the kernel side has no calls to spare")]

use crate::histogram::{self, Minus};

/// What a thread waits for that is on no CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum State {
    /// A CPU: woken up, preempted, or new.
    Runnable = 0,
    /// Input or output that the kernel counts as such (`in_iowait`).
    IoWait = 1,
    /// An event, and a signal would wake it; also idle kernel threads and parked ones.
    Sleeping = 2,
    /// An event that no signal interrupts.
    Uninterruptible = 3,
    /// To be continued, or its tracer.
    Stopped = 4,
}

/// All states, in the order of their sums.
pub const STATES: [State; 5] =
    [State::Runnable, State::IoWait, State::Sleeping, State::Uninterruptible, State::Stopped];

impl State {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runnable => "runnable",
            Self::IoWait => "io_wait",
            Self::Sleeping => "sleeping",
            Self::Uninterruptible => "uninterruptible",
            Self::Stopped => "stopped",
        }
    }

    /// Why the thread was off its CPU, where durations of it are counted: of stopped threads they are not.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Runnable => Some("preempt"),
            Self::IoWait => Some("io"),
            Self::Sleeping => Some("sleep"),
            Self::Uninterruptible => Some("uninterruptible"),
            Self::Stopped => None,
        }
    }
}

/// States whose durations are counted: all that have a reason, in the order of [`STATES`].
pub const REASONS: usize = 4;

/// A slot without histograms.
pub const NO_HISTOGRAMS: u32 = 0;

/// One workload's threads on one CPU. 128 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ThreadSlot {
    /// By [`State`]: nanoseconds of the run-queue clock, see the module documentation.
    pub acc: [u64; STATES.len()],
    /// By [`State`]: threads that entered it here less those that left it here.
    pub count: [u32; STATES.len()],
    /// Row of [`Histograms`] plus one; [`NO_HISTOGRAMS`]: none.
    pub histograms: u32,
    /// Switches by the thread's own will.
    pub voluntary: u64,
    /// Switches because another was to run.
    pub involuntary: u64,
    /// Nanoseconds of waits for a CPU that ended.
    pub waited: u64,
    /// By [`State`], those with a reason: nanoseconds off the CPU in intervals that ended.
    pub off: [u64; REASONS],
    /// Zero: two rows are four cache lines.
    pub reserved: u64,
}

/// Buckets of waits for a CPU: the one for zero, then scale 2 from 2^-20 s to 2^7 s.
pub const WAIT_BUCKETS: usize = 1 + 108;
/// Buckets of time off the CPU: the one for zero, then scale 1 from 2^-20 s to 2^22 s.
pub const OFF_BUCKETS: usize = 1 + 84;
/// Scale of [`Histograms::waits`].
pub const WAIT_SCALE: i32 = 2;
/// Scale of [`Histograms::off`].
pub const OFF_SCALE: i32 = 1;
/// Longest duration that counts as zero, nanoseconds: 2^-20 s.
pub const ZERO: u64 = 953;
/// Index of the first bucket after the zero one at [`histogram::SCALE`]: it begins at 2^-20 s.
pub const FIRST: i32 = -160;

/// Buckets of one workload, written by some of the CPUs. They wrap; a reader adds up differences. 1,856 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Histograms {
    /// Waits for a CPU that ended.
    pub waits: [u32; WAIT_BUCKETS],
    /// By [`State`], those with a reason: times off the CPU that ended.
    pub off: [[u32; OFF_BUCKETS]; REASONS],
    /// Zero.
    pub reserved: [u32; 15],
}

/// Bucket of a wait: 0 for zero; what is longer than the last one's is in it.
#[inline(always)]
pub fn wait_bucket(nanos: u64, minus: impl Minus) -> usize {
    place(nanos, histogram::index_2(nanos, minus) - i64::from(FIRST >> 1), WAIT_BUCKETS, minus)
}

/// Bucket of time off the CPU, likewise.
#[inline(always)]
pub fn off_bucket(nanos: u64, minus: impl Minus) -> usize {
    place(nanos, histogram::index_1(nanos, minus) - i64::from(FIRST >> 2), OFF_BUCKETS, minus)
}

#[inline(always)]
fn place(nanos: u64, index: i64, buckets: usize, minus: impl Minus) -> usize {
    // Beyond zero no index is below the first.
    let at = (1 + index).cast_unsigned() & histogram::beyond(histogram::capped(nanos), ZERO, minus);
    #[expect(clippy::cast_possible_truncation, reason = "it is below the number of buckets")]
    // Hardly ever: this branch is no guess.
    let at = if at < buckets as u64 { at as usize } else { buckets - 1 };
    at
}

/// A thread that was switched out, by its id. 32 bytes.
///
/// The place stays its own until it dies: only who claims or frees one could be in another's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct OffThread {
    /// Thread id; 0 = free.
    pub pid: u32,
    /// [`State`] plus one; 0: it is on a CPU.
    pub state: u32,
    /// Run-queue clock when it was switched out.
    pub since: u64,
    /// [`crate::sched::WorkKey`] under which it was booked in: it is booked out there, too.
    pub key: u64,
    /// `sched_info.run_delay` then.
    pub delay: u64,
}

/// Two places that share a cache line: where a thread id may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct OffSet {
    /// The places.
    pub ways: [OffThread; 2],
}

const _: () = assert!(size_of::<OffSet>() == 64);
const _: () = assert!(size_of::<ThreadSlot>() == 128);
const _: () = assert!(size_of::<Histograms>() == 1856);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_their_buckets() {
        let wait = |nanos| wait_bucket(nanos, u64::wrapping_sub);
        let off = |nanos| off_bucket(nanos, u64::wrapping_sub);
        assert_eq!((wait(0), wait(ZERO), off(ZERO)), (0, 0, 0));
        assert_eq!((wait(ZERO + 1), off(ZERO + 1)), (1, 1));
        // 1 s ends the bucket before that of index 0: 20 octaves of 4, or 2, buckets come first.
        assert_eq!((wait(1_000_000_000), wait(1_000_000_001)), (80, 81));
        assert_eq!((off(1_000_000_000), off(1_000_000_001)), (40, 41));
        assert_eq!((wait(u64::MAX), off(u64::MAX)), (WAIT_BUCKETS - 1, OFF_BUCKETS - 1));
    }

    #[test]
    fn reasons_are_the_first_states() {
        let with_reason = STATES.map(|state| state.reason().is_some());
        assert_eq!(with_reason, [true, true, true, true, false]);
    }
}
