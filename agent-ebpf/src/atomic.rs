//! Steps that no other access passes, for words that several CPUs write, and stores that stay in order.
//!
//! The target has no atomics in `core`, but these in its first instruction set: all kernels know them.

use core::arch::asm;

use wattrace_common::frozen::{Frozen, OFFSET};

/// One more.
///
/// # Safety
/// `word` is of a map value.
#[inline(always)]
pub unsafe fn step(word: *mut u64) {
    // SAFETY: as the caller says.
    unsafe { raise(word, 1) };
}

/// So many more.
///
/// # Safety
/// `word` is of a map value.
#[inline(always)]
pub unsafe fn raise(word: *mut u64, by: u64) {
    // SAFETY: as the caller says.
    unsafe { asm!("lock *(u64 *)({} + 0) += {}", in(reg) word, in(reg) by) };
}

/// One more, of half a word.
///
/// # Safety
/// `word` is of a map value.
#[inline(always)]
pub unsafe fn step32(word: *mut u32) {
    // SAFETY: as the caller says.
    unsafe { asm!("lock *(u32 *)({} + 0) += {}", in(reg) word, in(reg) 1_u64) };
}

/// A store that comes after all before it and before all after it, for other CPUs too. On those that keep stores in order it is a
/// plain one.
///
/// # Safety
/// `word` is of a map value.
#[inline(always)]
pub unsafe fn store_in_order(word: *mut u64, value: u64) {
    // SAFETY: as the caller says. As an exchange it leaves the old value behind.
    unsafe {
        asm!(
            "*(u64 *)({0} + {2}) = {1}",
            in(reg) word,
            inout(reg) value => _,
            const OFFSET + Frozen::InOrder as i16,
            options(nostack)
        );
    }
}

/// One more, as one instruction that no other access passes.
///
/// # Safety
/// `word` is of a map value.
#[inline(always)]
pub unsafe fn step_in_order(word: *mut u64) {
    // SAFETY: as the caller says.
    unsafe { raise_in_order(word, 1) };
}

/// So many more, likewise.
///
/// # Safety
/// `word` is of a map value.
#[inline(always)]
pub unsafe fn raise_in_order(word: *mut u64, by: u64) {
    // SAFETY: as the caller says. The target has no atomics in `core`, but this one in its first instruction set: all kernels
    // know it. Where it fetches, it leaves the old value behind.
    unsafe {
        asm!(
            "lock *(u64 *)({0} + {2}) += {1}",
            in(reg) word,
            inout(reg) by => _,
            const OFFSET + Frozen::InOrder as i16,
            options(nostack)
        );
    }
}
