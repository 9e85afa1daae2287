//! Histograms of how long threads were off the CPU: which row a workload has, and counting in it.

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

use wattrace_common::{
    limits::THREAD_ROWS,
    loss::{Program, Reason},
    threads::{Histograms, NO_HISTOGRAMS, OFF_BUCKETS, REASONS, WAIT_BUCKETS, off_bucket, wait_bucket},
};

use crate::{
    atomic::step32,
    kernel::*,
    loss,
    maps::{FREE_ROWS, HISTOGRAM_ROW, HISTOGRAMS, THREADS},
};

/// Counts a time off the CPU in a state, and a wait for it, in a row of histograms.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_durations(cpu: u64, rows: u64, state: u64, off: u64, waited: u64) -> u32 {
    let stripes = STRIPES.load();
    let row = rows.wrapping_sub(1).wrapping_mul(stripes) + (cpu & (stripes - 1));
    let Some(histograms) = HISTOGRAMS.get_ptr_mut(row as u32) else { return 0 };
    count(histograms, wait_bucket(waited, minus));
    if state < REASONS as u64 {
        count(histograms, WAIT_BUCKETS + state as usize * OFF_BUCKETS + off_bucket(off, minus));
    }
    0
}

/// See [`wattrace_common::histogram::Minus`].
#[inline(always)]
pub fn minus(from: u64, less: u64) -> u64 {
    let mut value = from;
    // SAFETY: of registers only.
    unsafe { core::arch::asm!("{0} -= {1}", inout(reg) value, in(reg) less, options(pure, nomem, nostack)) };
    value
}

#[inline(always)]
fn count(histograms: *mut Histograms, at: usize) {
    let mut at = at;
    // SAFETY: of registers only. The compiler forgets the bound that it knows, and the kernel does not, and keeps the check.
    unsafe { core::arch::asm!("{0} &= 1023", inout(reg) at) };
    if at >= size_of::<Histograms>() / 4 {
        return;
    }
    // SAFETY: inside the row.
    let word = unsafe { histograms.cast::<u32>().add(at) };
    if STRIPES.load() < POSSIBLE_CPUS.load() {
        // SAFETY: a word of a map value.
        unsafe { step32(word) };
    } else {
        // SAFETY: this CPU's own.
        unsafe { write_volatile(word, read_volatile(word).wrapping_add(1)) };
    }
}

/// A row of the table was claimed, whose sums are zero: it gets its histograms.
#[inline(always)]
pub fn claim_row(cpu: u32, row: u32, key: u64) {
    if let Some(threads) = THREADS.get_ptr_mut(cpu * THREAD_ROWS + row) {
        let rows = rows_of(cpu, key);
        // SAFETY: this CPU's own row.
        unsafe { write_volatile(addr_of_mut!((*threads).histograms), rows) };
    }
}

/// The row of histograms of a key plus one, taken from the stack where it has none; [`NO_HISTOGRAMS`] where none is left.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rows_of(cpu: u32, key: u64) -> u32 {
    // SAFETY: a row is a number that is only ever written once.
    if let Some(row) = unsafe { HISTOGRAM_ROW.get(key) } {
        return *row + 1;
    }
    let Ok(Some(row)) = FREE_ROWS.pop() else {
        loss::count(cpu, Program::Sched, Reason::NoHistograms);
        return NO_HISTOGRAMS;
    };
    const ONLY_NEW: u64 = 1;
    if HISTOGRAM_ROW.insert(key, row, ONLY_NEW).is_ok() {
        return row + 1;
    }
    // Another CPU was faster.
    let _ = FREE_ROWS.push(row, 0);
    // SAFETY: as above.
    unsafe { HISTOGRAM_ROW.get(key) }.map_or(NO_HISTOGRAMS, |row| *row + 1)
}
