//! What the kernel programs themselves cost: which runs are timed, and what is kept of them.

use crate::loss::{PROGRAMS, Program};

/// Of so many runs of `sched_switch` one is timed, on average.
pub const ONE_OF: u64 = 1 << ONE_OF_BITS;
const ONE_OF_BITS: u32 = 10;

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Nanoseconds from which on a sample says nothing of the program: only a hypervisor, the firmware, an interrupt or
/// another task takes that long, and one such sample would weigh as much as a thousand runs.
pub const LONGEST_SAMPLE: u64 = 1 << 16;

/// Whether the run at `now`, nanoseconds of the run queue's clock, is timed.
///
/// The clock and not the sequence number: that lies in the memory that a run has to fetch first, which is half of what
/// a run costs on a CPU that was idle. Multiples of the golden ratio fill the circle evenly, whichever of them are
/// taken: no regular pattern of switches keeps step with the samples.
#[inline]
pub const fn is_sampled(now: u64) -> bool {
    now.wrapping_mul(GOLDEN) >> (u64::BITS - ONE_OF_BITS) == 0
}

/// What one program did on one CPU. 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Cost {
    /// Runs; unused for `sched_switch`, whose sequence number counts them.
    pub runs: u64,
    /// Runs that were timed.
    pub timed: u64,
    /// Nanoseconds of the timed runs without the clock's own: a sum of signed numbers, which wraps below zero.
    pub time: u64,
    /// Reserved, zero.
    pub reserved: u64,
}

/// What all programs did on one CPU: cache lines that are written by that CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(128))]
pub struct CpuCost {
    /// By program.
    pub programs: [Cost; PROGRAMS.len()],
}

const _: () = assert!(size_of::<Cost>() == 32);
const _: () = assert!(size_of::<CpuCost>() == 384);

impl Program {
    /// Whether each run is timed, or some.
    pub const fn is_sampled(self) -> bool {
        matches!(self, Self::Sched | Self::BlockComplete | Self::BlockIssue | Self::TcpState)
    }
}

/// What a program did on all CPUs since it was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunCost {
    /// Which.
    pub program: Program,
    /// Times it ran.
    pub runs: u64,
    /// Sums over the CPUs; [`Cost::runs`] is not used.
    pub sums: Cost,
}

impl RunCost {
    /// Nanoseconds of all runs: the mean of those timed times their number. `None`: none was timed.
    pub fn time(&self) -> Option<u64> {
        let net = u128::from(u64::try_from(self.sums.time.cast_signed()).unwrap_or(0));
        let all = (net * u128::from(self.runs)).checked_div(u128::from(self.sums.timed))?;
        Some(u64::try_from(all).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that are timed, of those `step` nanoseconds apart.
    fn sampled(runs: u64, step: u64) -> impl Iterator<Item = u64> {
        (0..runs).filter(move |run| is_sampled(1_700_000_000_000 + step * run))
    }

    #[test]
    fn one_of_so_many_runs_is_timed() {
        const RUNS: u64 = 200_000;
        for step in [1, 2, 16, 40, 333, 1_024, 2_717, 10_000, 1_000_000, 4_000_000] {
            let count = sampled(RUNS, step).count() as u64;
            assert!((count * ONE_OF).abs_diff(RUNS) < RUNS / 5, "every {step} ns: {count}");
        }
    }

    #[test]
    fn no_pattern_keeps_step() {
        const RUNS: u64 = 500_000;
        for period in [2, 3, 4, 5, 8, 16, 34] {
            let hits = |phase| sampled(RUNS, 2_717).filter(|run| run % period == phase).count() as u64;
            let even = RUNS / ONE_OF / period;
            for phase in 0..period {
                let count = hits(phase);
                assert!(count.abs_diff(even) < even / 5 + 8, "{period}: {count} at {phase}, not {even}");
            }
        }
    }

    #[test]
    fn the_mean_of_some_stands_for_all() {
        let cost = |runs, timed, time: i64| RunCost {
            program: Program::Sched,
            runs,
            sums: Cost { timed, time: time.cast_unsigned(), ..Cost::default() },
        };
        assert_eq!(cost(1_000, 10, 250).time(), Some(25_000));
        assert_eq!(cost(1_000, 0, 0).time(), None);
        assert_eq!(cost(1_000, 10, -3).time(), Some(0), "the clock took longer when it was timed alone");
        assert_eq!(cost(u64::MAX, 1, i64::MAX).time(), Some(u64::MAX));
    }
}
