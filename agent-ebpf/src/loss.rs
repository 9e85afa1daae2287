//! Counting what was lost.

use wattrace_common::loss::{COUNTERS_PER_CPU, Program, Reason, index};

use crate::maps::LOST;

/// Counts one loss on this CPU.
#[inline(always)]
pub fn count(cpu: u32, program: Program, reason: Reason) {
    if let Some(counter) = LOST.get_ptr_mut(cpu * COUNTERS_PER_CPU + index(program, reason)) {
        // SAFETY: the map lookup returned a valid slot that only this CPU writes, with preemption off.
        unsafe { *counter += 1 }
    }
}
