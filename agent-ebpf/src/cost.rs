//! Timing the programs by themselves.

use core::ptr::addr_of_mut;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use wattrace_common::{
    cost::{Cost, LONGEST_SAMPLE, is_sampled},
    loss::Program,
};

use crate::{
    atomic::{raise, step},
    kernel::TIME_RUNS,
    maps::COSTS,
};

/// Since when a run is timed; 0: it is not.
///
/// The clock is read twice in a row. One read lies between the two, and one lies in the pair around the run, beside
/// the run itself: the instant kept is later by the former, and so the latter is not in the time.
#[derive(Clone, Copy)]
pub struct Timer(u64);

impl Timer {
    const OFF: Self = Self(0);

    /// For a program that runs too often to time each run, at `now`.
    #[inline(always)]
    pub fn sampled(now: u64) -> Self {
        if TIME_RUNS.load() == 1 && is_sampled(now) { Self::start() } else { Self::OFF }
    }

    /// For a program that runs rarely.
    #[inline(always)]
    pub fn each() -> Self {
        if TIME_RUNS.load() == 1 { Self::start() } else { Self::OFF }
    }

    #[inline(always)]
    fn start() -> Self {
        // SAFETY: the helper has no preconditions.
        let (before, start) = unsafe { (bpf_ktime_get_ns(), bpf_ktime_get_ns()) };
        Self(start + (start - before))
    }

    /// The run ends here.
    #[inline(always)]
    pub fn stop(self, cpu: u32, program: Program) {
        if self.0 != 0 {
            self.note(cpu, program);
        }
    }

    #[inline(always)]
    fn note(self, cpu: u32, program: Program) {
        // SAFETY: the helper has no preconditions.
        let time = unsafe { bpf_ktime_get_ns() }.wrapping_sub(self.0);
        // Signed: the first of the two reads may have been the slower.
        if time as i64 >= LONGEST_SAMPLE as i64 {
            return;
        }
        let Some(cost) = of(cpu, program) else { return };
        // SAFETY: words of a map value.
        unsafe {
            step(addr_of_mut!((*cost).timed));
            raise(addr_of_mut!((*cost).time), time);
        }
    }
}

/// Counts a run of a program without a sequence number.
#[inline(always)]
pub fn count_run(cpu: u32, program: Program) {
    if TIME_RUNS.load() == 1
        && let Some(cost) = of(cpu, program)
    {
        // SAFETY: a word of a map value.
        unsafe { step(addr_of_mut!((*cost).runs)) };
    }
}

/// Of one CPU, which a program and its spare share.
#[inline(always)]
fn of(cpu: u32, program: Program) -> Option<*mut Cost> {
    let costs = COSTS.get_ptr_mut(cpu)?;
    // SAFETY: inside a map value.
    Some(unsafe { addr_of_mut!((*costs).programs).cast::<Cost>().add(program as usize) })
}
