//! Moves of running tasks to other cgroups: what the program that hears of them leaves for the CPU and for the reader.

use crate::limits::MOVES_PER_SLICE;

/// From one instant on, a running task's time is another key's. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Move {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub at: u64,
    /// [`crate::sched::WorkKey`] from then on.
    pub key: u64,
}

/// Moves within the open slice of one CPU. Written by movers alone, of whom the kernel lets one in at a time; 1 KiB.
///
/// It counts only for the slice, and the task, that it names: what is left of an earlier one is stale. `count` is written
/// after the moves it counts, so whoever reads it may use as many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(1024))]
pub struct CpuMoves {
    /// Odd while a mover writes. It is so before the clock is read: a reader that saw it even before it read the clock, and
    /// unchanged after, has reached no instant of a move that it does not know.
    pub turn: u64,
    /// [`crate::sched::CpuSlot::seq`] of the slice.
    pub slice: u64,
    /// Process of the task.
    pub tgid: u64,
    /// Thread id of the task; 0: any thread of the process.
    pub pid: u64,
    /// Moves within the slice, oldest first.
    pub count: u64,
    /// Reserved, zero.
    pub reserved: u64,
    /// What they were.
    pub moves: [Move; MOVES_PER_SLICE],
}

const _: () = assert!(size_of::<Move>() == 16);
const _: () = assert!(size_of::<CpuMoves>() == 1024);

/// A CPU's run-queue clock at `mono` of `CLOCK_MONOTONIC`, from a pair of both read at one instant. Nanoseconds.
#[inline]
pub const fn run_queue_clock(pair_mono: u64, pair_rq: u64, mono: u64) -> u64 {
    pair_rq.saturating_add(mono.saturating_sub(pair_mono))
}

/// Where a part of a slice ends that began at `from`: at a move, which may have been seen before the slice began or after it
/// ended, since another CPU's clock tells its instant.
#[inline]
pub const fn end_of_part(from: u64, moved: u64, until: u64) -> u64 {
    let end = if moved < until { moved } else { until };
    if end > from { end } else { from }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_pair_leads_from_one_clock_to_the_other() {
        assert_eq!(run_queue_clock(1_000, 50, 1_000), 50);
        assert_eq!(run_queue_clock(1_000, 50, 1_700), 750);
        assert_eq!(run_queue_clock(1_000, 50, 900), 50, "an instant before the pair");
        assert_eq!(run_queue_clock(0, u64::MAX, 5), u64::MAX);
    }

    #[test]
    fn parts_lie_within_their_slice_and_add_up() {
        const SLICE: (u64, u64) = (100, 200);
        for moves in [[120, 150, 190], [100, 100, 200], [90, 95, 99], [150, 201, 300], [u64::MAX; 3], [150, 140, 160]] {
            let mut from = SLICE.0;
            let mut sum = 0;
            for moved in moves {
                let end = end_of_part(from, moved, SLICE.1);
                assert!(from <= end && end <= SLICE.1, "{moves:?}");
                sum += end - from;
                from = end;
            }
            assert_eq!(sum + (SLICE.1 - from), SLICE.1 - SLICE.0, "{moves:?}");
        }
    }
}
