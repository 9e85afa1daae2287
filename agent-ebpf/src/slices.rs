//! The table of on-CPU time: which row a key has on a CPU, and booking a finished slice there.
//!
//! A key stands in one of two places of its set, else in the overflow map; both are this CPU's own.

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

use wattrace_common::{
    limits::{TIME_ROWS, TIME_SETS, TIME_WAYS},
    loss::{Program, Reason},
    sched::{CpuSlot, OverflowValue, TimeSet, TimeSlot, WorkKey},
};

use crate::{
    histograms,
    kernel::*,
    loss,
    maps::{OVERFLOW, SHARED, TIMES},
    sched::publish,
};

/// The key stands in the overflow map, or nowhere.
pub const NO_ROW: u32 = u32::MAX;

/// A stretch on a CPU.
#[derive(Clone, Copy)]
pub struct Slice {
    /// Nanoseconds.
    pub time: u64,
    /// Of them, with the sibling busy.
    pub shared: u64,
}

/// Adds a finished slice to whom it belongs; returns their row. `task` is the one that ran, where it is at hand.
#[inline(always)]
pub fn account(slot: &mut CpuSlot, cpu: u32, key: WorkKey, slice: Slice, task: Option<Kptr>) -> u32 {
    if key == WorkKey::IDLE {
        add(addr_of_mut!(slot.idle), slice.time);
        return NO_ROW;
    }
    add(addr_of_mut!(slot.busy), slice.time);
    add_shared(addr_of_mut!(slot.shared), slice);
    if !key.is_special() {
        return book(slot, cpu, key, slice, task);
    }
    let (time, shared) = match key {
        WorkKey::KERNEL => (addr_of_mut!(slot.kernel), addr_of_mut!(slot.shared_kernel)),
        WorkKey::NOBODY => (addr_of_mut!(slot.nobody), addr_of_mut!(slot.shared_nobody)),
        _ => (addr_of_mut!(slot.rest), addr_of_mut!(slot.shared_rest)),
    };
    add(time, slice.time);
    add_shared(shared, slice);
    special_row(key)
}

/// Sums wrap: some are of instants, see `wattrace_common::threads`.
#[inline(always)]
pub fn add(word: *mut u64, by: u64) {
    // SAFETY: callers pass a word of a map value that is this CPU's own. Volatile keeps it inside the sequence.
    unsafe { write_volatile(word, read_volatile(word).wrapping_add(by)) }
}

#[inline(always)]
fn add_shared(word: *mut u64, slice: Slice) {
    if HAVE_SMT.load() == 1 {
        add(word, slice.shared);
    }
}

/// The row of a key that has words of its own in the slot.
#[inline(always)]
fn special_row(key: WorkKey) -> u32 {
    TIME_ROWS + (key.0 as u32 & 3)
}

/// The row of a key on this CPU, claimed where it has none.
#[inline(never)]
pub fn row_of(slot: &mut CpuSlot, cpu: u32, key: WorkKey) -> u32 {
    if key.is_special() { special_row(key) } else { book(slot, cpu, key, Slice { time: 0, shared: 0 }, None) }
}

/// Adds a slice to the key's place: one of its set's slots, else the overflow map.
#[inline(always)]
fn book(slot: &mut CpuSlot, cpu: u32, key: WorkKey, slice: Slice, task: Option<Kptr>) -> u32 {
    let Some(set) = TIMES.get_ptr_mut(cpu * TIME_SETS + key.set()) else { return NO_ROW };
    for way in 0..TIME_WAYS {
        // SAFETY: `set` is a valid map value of this CPU's part, `way` is inside it.
        let time = unsafe { &mut (*set).ways[way] };
        if time.key == key.0 {
            add(addr_of_mut!(time.time), slice.time);
            let row = key.set() * TIME_WAYS as u32 + way as u32;
            book_shared(cpu, row, slice);
            name(time, key, task);
            return row;
        }
    }
    book_new(slot, cpu, set, key, slice, task)
}

#[inline(always)]
fn book_shared(cpu: u32, row: u32, slice: Slice) {
    if HAVE_SMT.load() == 1
        && let Some(word) = SHARED.get_ptr_mut(cpu * TIME_ROWS + row)
    {
        add(word, slice.shared);
    }
}

#[inline(always)]
fn book_new(slot: &mut CpuSlot, cpu: u32, set: *mut TimeSet, key: WorkKey, slice: Slice, task: Option<Kptr>) -> u32 {
    if let Some(value) = OVERFLOW.get_ptr_mut(key.0) {
        // SAFETY: this CPU's own value of a per-CPU map.
        let (time, shared) = unsafe { (addr_of_mut!((*value).time), addr_of_mut!((*value).shared)) };
        add(time, slice.time);
        add_shared(shared, slice);
        return NO_ROW;
    }
    for way in 0..TIME_WAYS {
        // SAFETY: as in `book`.
        let time = unsafe { &mut (*set).ways[way] };
        if time.key == 0 {
            // The key last: the agent takes a slot without a key for free.
            publish(&mut time.time, slice.time);
            time.comm = comm_of(key, task);
            let row = key.set() * TIME_WAYS as u32 + way as u32;
            book_shared(cpu, row, slice);
            if HAVE_THREADS.load() == 1 {
                histograms::claim_row(cpu, row, key.0);
            }
            publish(&mut time.key, key.0);
            return row;
        }
    }
    loss::count(cpu, Program::Sched, Reason::Busy);
    let value = OverflowValue { time: slice.time, comm: comm_of(key, task), shared: slice.shared };
    if OVERFLOW.insert(key.0, value, 0).is_err() {
        loss::count(cpu, Program::Sched, Reason::Full);
        if is_process(key) {
            add(addr_of_mut!(slot.rest), slice.time);
            add_shared(addr_of_mut!(slot.shared_rest), slice);
            return special_row(WorkKey::REST);
        }
    }
    NO_ROW
}

#[inline(always)]
fn is_process(key: WorkKey) -> bool {
    key.0 >> 63 == 1
}

/// A process is renamed by exec: its leader's name is kept fresh while it runs. A slot that was claimed
/// without a task at hand gets its name here.
#[inline(always)]
fn name(time: &mut TimeSlot, key: WorkKey, task: Option<Kptr>) {
    if is_process(key) && (time.comm[0] == 0 || task.is_some_and(is_leader)) {
        time.comm = comm_of(key, task);
    }
}

/// Names the process of a task whose time was booked without a task at hand; where that is in the overflow map, the agent
/// has to look for the name.
#[inline(never)]
pub fn name_new(cpu: u32, process: u64, task: Kptr) {
    let key = WorkKey(process);
    if !is_process(key) || key.is_special() {
        return;
    }
    let Some(set) = TIMES.get_ptr_mut(cpu * TIME_SETS + key.set()) else { return };
    for way in 0..TIME_WAYS {
        // SAFETY: as in `book`.
        let time = unsafe { &mut (*set).ways[way] };
        if time.key == key.0 {
            name(time, key, Some(task));
        }
    }
}

#[inline(always)]
fn is_leader(task: Kptr) -> bool {
    task.read::<u32, _>(&TASK_PID) == task.read::<u32, _>(&TASK_TGID)
}

#[inline(always)]
fn comm_of(key: WorkKey, task: Option<Kptr>) -> [u8; 16] {
    match task {
        Some(task) if is_process(key) => comm(task.follow(&TASK_GROUP_LEADER)),
        _ => [0; 16],
    }
}

#[inline(always)]
fn comm(task: Kptr) -> [u8; 16] {
    let [a, b] = task.comm();
    let mut comm = [0; 16];
    comm[..8].copy_from_slice(&a.to_ne_bytes());
    comm[8..].copy_from_slice(&b.to_ne_bytes());
    comm
}
