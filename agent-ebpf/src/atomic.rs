//! Steps that no other access passes, for words that several CPUs write.
//!
//! The target has no atomics in `core`, but these in its first instruction set: all kernels know them.

use core::arch::asm;

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
