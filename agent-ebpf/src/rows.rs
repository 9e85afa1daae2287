//! Rows that all CPUs share: one for each owner, found by its key, taken from a stack, and given back by the agent.

use aya_ebpf::maps::{HashMap, Stack};

/// The owner has no row.
pub const NO_ROW: u32 = u32::MAX;

const ONLY_NEW: u64 = 1;

/// The row of an owner; [`NO_ROW`].
#[inline(always)]
pub fn find(row_of: &HashMap<u64, u32>, key: u64) -> u32 {
    // SAFETY: a row is a number that is only ever written once.
    unsafe { row_of.get(key) }.map_or(NO_ROW, |row| *row)
}

/// A row for an owner that has none, which `mark` makes its own; [`NO_ROW`] where none is left.
#[inline(always)]
pub fn claim(row_of: &HashMap<u64, u32>, free: &Stack<u32>, key: u64, mark: impl FnOnce(u32)) -> u32 {
    let Ok(Some(row)) = free.pop() else { return NO_ROW };
    if row_of.insert(key, row, ONLY_NEW).is_ok() {
        mark(row);
        return row;
    }
    // Another CPU was faster.
    let _ = free.push(row, 0);
    find(row_of, key)
}
