//! Counting what was lost.

use wattrace_common::loss::{COUNTERS_PER_CPU, Program, Reason, index};

use crate::{atomic::step, maps::LOST};

/// Counts one loss on this CPU.
#[inline(always)]
pub fn count(cpu: u32, program: Program, reason: Reason) {
    if let Some(counter) = LOST.get_ptr_mut(cpu * COUNTERS_PER_CPU + index(program, reason)) {
        // SAFETY: a word of a map value. A program and its spare may both be at it.
        unsafe { step(counter) }
    }
}
