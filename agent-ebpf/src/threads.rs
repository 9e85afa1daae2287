//! Where threads are while they are not on a CPU, at level full: off-CPU time by state, waits for a CPU, switches.
//!
//! A thread that leaves is noted by its id, with its state and the key under which that is booked. When it comes back the wait
//! is only noted in the CPU's slot; it is booked when the thread leaves again, together with its slice: so each switch looks
//! one workload up, not two. The reader books what is noted by itself.
//!
//! When a sleeper was woken, nobody needs to tell: the scheduler keeps how long a task has waited for a CPU in all
//! (`run_delay`, which also has waits on queues it was pulled from), and since when it does now (`last_queued`).
//!
//! A thread's place is `places.rs`'s to find, and durations are `histograms.rs`'s to count.

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::programs::BtfTracePointContext;
use wattrace_common::{
    limits::THREAD_ROWS,
    loss::{Program, Reason},
    sched::{CpuSlot, WAIT_NEW, WorkKey},
    threads::{NO_HISTOGRAMS, REASONS, STATES, State, ThreadSlot},
};

use crate::{
    histograms::{count_durations, rows_of},
    kernel::*,
    loss,
    maps::{CPUS, OVER_THREADS, THREADS},
    places::{find, forget, place_of},
    sched::{Left, TASK_DEAD, publish},
    slices::{NO_ROW, add, row_of},
};

const TASK_UNINTERRUPTIBLE: u32 = 0x2;
const STOPPED_OR_TRACED: u32 = 0x4 | 0x8;
const TASK_NOLOAD: u32 = 0x400;
const TASK_RTLOCK_WAIT: u32 = 0x1000;

/// The task that ran leaves: what it waited for before is booked, and where it goes to begins.
#[inline(always)]
pub fn switch_out(
    ctx: &BtfTracePointContext,
    slot: &mut CpuSlot,
    cpu: u32,
    left: &Left,
    now: u64,
    prev: Kptr,
    state: u32,
) {
    let pid: u32 = prev.read(&TASK_PID);
    if slot.wait_state != 0 && (pid == 0 || slot.wait_key != left.key.0) {
        settle(cpu);
    }
    if pid == 0 {
        return;
    }
    if left.is_unreported {
        came_unreported(slot, cpu, left, prev, pid);
    }
    let is_preempted = ctx.arg::<u64>(0) & 0xff != 0;
    // What is preempted on its way to sleep, or to its end, is still to run.
    let state = if is_preempted { 0 } else { state };
    if state & TASK_DEAD != 0 {
        forget(pid);
    }
    let Some(threads) = thread_slot(slot, cpu, left.row, left.key) else { return };
    if slot.wait_state != 0 {
        settle_into(slot, cpu, threads);
    }
    // SAFETY: this CPU's own row.
    add(
        unsafe { if state == 0 { addr_of_mut!((*threads).involuntary) } else { addr_of_mut!((*threads).voluntary) } },
        1,
    );
    if state & TASK_DEAD != 0 {
        return;
    }
    let to = if state == 0 { State::Runnable } else { blocked(state, prev) };
    let Some(off) = place_of(pid) else {
        loss::count(cpu, Program::Sched, Reason::NoThread);
        return;
    };
    // SAFETY: the place is this thread's own, and who lets it on another CPU comes after this; the row is this CPU's.
    unsafe {
        write_volatile(addr_of_mut!((*off).since), now);
        write_volatile(addr_of_mut!((*off).key), left.key.0);
        if HAVE_QUEUED.load() == 1 {
            write_volatile(addr_of_mut!((*off).delay), prev.read(&TASK_RUN_DELAY));
        }
        write_volatile(addr_of_mut!((*off).state), to as u32 + 1);
        enter(threads, to as usize, now);
    }
}

/// What a task waits for that is not to run.
#[inline(always)]
fn blocked(state: u32, task: Kptr) -> State {
    if u32::from(task.read::<u8, _>(&TASK_IN_IOWAIT)) & IN_IOWAIT_MASK.load() as u32 != 0 {
        return State::IoWait;
    }
    if state & STOPPED_OR_TRACED != 0 {
        return State::Stopped;
    }
    // Without load it is an idle kernel thread. What is neither is parked or frozen: it sleeps, too.
    let is_uninterruptible = state & (TASK_UNINTERRUPTIBLE | TASK_RTLOCK_WAIT) != 0 && state & TASK_NOLOAD == 0;
    if is_uninterruptible { State::Uninterruptible } else { State::Sleeping }
}

/// # Safety
/// `threads` is this CPU's own row, and `state` one of its states.
#[inline(always)]
unsafe fn enter(threads: *mut ThreadSlot, state: usize, now: u64) {
    // SAFETY: as the caller says.
    unsafe {
        add(addr_of_mut!((*threads).acc).cast::<u64>().add(state), now.wrapping_neg());
        let count = addr_of_mut!((*threads).count).cast::<u32>().add(state);
        write_volatile(count, read_volatile(count).wrapping_add(1));
    }
}

/// A task came in by a switch that was not reported: its wait ended when its slice began.
#[inline(never)]
fn came_unreported(slot: &mut CpuSlot, cpu: u32, left: &Left, prev: Kptr, pid: u32) {
    if slot.last == 0 {
        return;
    }
    switch_in(slot, cpu, slot.last, prev, pid, left.key);
    if slot.wait_state == WAIT_NEW {
        // It was noted as being on a CPU: when it left meanwhile is not known.
        publish(&mut slot.wait_state, 0);
    } else {
        settle(cpu);
    }
}

/// A task comes in: its wait is noted.
#[inline(always)]
pub fn switch_in(slot: &mut CpuSlot, cpu: u32, now: u64, next: Kptr, pid: u32, key: WorkKey) {
    if pid == 0 {
        return;
    }
    let queued: u64 = if HAVE_QUEUED.load() == 1 { next.read(&TASK_LAST_QUEUED) } else { 0 };
    let is_queued = queued != 0 && queued <= now;
    let waits = if is_queued { now - queued } else { 0 };
    let Some(off) = find(pid) else { return note(slot, key.0, WAIT_NEW, now - waits, now - waits, now) };
    // SAFETY: the place is this thread's own.
    let (state, since, of, delay) = unsafe {
        let state = read_volatile(addr_of_mut!((*off).state));
        write_volatile(addr_of_mut!((*off).state), 0);
        (state, (*off).since, (*off).key, (*off).delay)
    };
    if state == 0 {
        return note(slot, key.0, WAIT_NEW, now - waits, now - waits, now);
    }
    if since > now {
        loss::count(cpu, Program::Sched, Reason::ClockBack);
        return note(slot, of, u64::from(state), now, now, now);
    }
    let mut waited = 0;
    if HAVE_QUEUED.load() == 1 && state != State::Runnable as u32 + 1 {
        waited = waits + next.read::<u64, _>(&TASK_RUN_DELAY).wrapping_sub(delay);
        if waited > now - since {
            waited = now - since;
        }
    }
    note(slot, of, u64::from(state), since, now - waited, now);
}

#[inline(always)]
fn note(slot: &mut CpuSlot, key: u64, state: u64, since: u64, until: u64, end: u64) {
    publish(&mut slot.wait_key, key);
    publish(&mut slot.wait_since, since);
    publish(&mut slot.wait_until, until);
    publish(&mut slot.wait_end, end);
    publish(&mut slot.wait_state, state);
}

/// Books the wait that is noted in the slot, whoever it is of.
///
/// It takes numbers only, so that the kernel verifies it once and by itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn settle(cpu: u32) -> u32 {
    let Some(slot) = CPUS.get_ptr_mut(cpu) else { return 0 };
    // SAFETY: this CPU's own slot, as in `sched_switch`.
    let slot = unsafe { &mut *slot };
    let Some(threads) = over_slot(slot, cpu, WorkKey(slot.wait_key)) else {
        publish(&mut slot.wait_state, 0);
        return 0;
    };
    settle_into(slot, cpu, threads);
    0
}

/// Books the wait that is noted in the slot in the row of its key.
#[inline(always)]
fn settle_into(slot: &mut CpuSlot, cpu: u32, threads: *mut ThreadSlot) {
    // Masked, so that the bound is known of the index itself: the verifier of 5.10 does not see through the subtraction.
    let at = slot.wait_state.wrapping_sub(1) & 7;
    let (since, until, end) = (slot.wait_since, slot.wait_until, slot.wait_end);
    publish(&mut slot.wait_state, 0);
    let (off, queued) = (until - since, end - until);
    let waited = if at == State::Runnable as u64 { off } else { queued };
    // SAFETY: this CPU's own row; states are checked to be some.
    unsafe {
        add(addr_of_mut!((*threads).acc).cast::<u64>(), queued);
        add(addr_of_mut!((*threads).waited), waited);
        if at < STATES.len() as u64 {
            add(addr_of_mut!((*threads).acc).cast::<u64>().add(at as usize), until);
            let count = addr_of_mut!((*threads).count).cast::<u32>().add(at as usize);
            write_volatile(count, read_volatile(count).wrapping_sub(1));
            if at < REASONS as u64 {
                add(addr_of_mut!((*threads).off).cast::<u64>().add(at as usize), off);
            }
        }
        let rows = read_volatile(addr_of_mut!((*threads).histograms));
        if rows != NO_HISTOGRAMS {
            count_durations(u64::from(cpu), u64::from(rows), at, off, waited);
        }
    }
}

/// The sums of a key on this CPU: `row` of the array, or those beside its overflow.
#[inline(always)]
fn thread_slot(slot: &mut CpuSlot, cpu: u32, row: u32, key: WorkKey) -> Option<*mut ThreadSlot> {
    if row != NO_ROW {
        return THREADS.get_ptr_mut(cpu * THREAD_ROWS + row);
    }
    over_slot(slot, cpu, key)
}

#[inline(never)]
fn over_slot(slot: &mut CpuSlot, cpu: u32, key: WorkKey) -> Option<*mut ThreadSlot> {
    // Where the slice was not booked, the row was not looked up either.
    let row = row_of(slot, cpu, key);
    if row != NO_ROW {
        return THREADS.get_ptr_mut(cpu * THREAD_ROWS + row);
    }
    if let Some(threads) = OVER_THREADS.get_ptr_mut(key.0) {
        return Some(threads);
    }
    let fresh = ThreadSlot { histograms: rows_of(cpu, key.0), ..NOTHING };
    if OVER_THREADS.insert(key.0, fresh, 0).is_err() {
        loss::count(cpu, Program::Sched, Reason::NoThread);
    }
    OVER_THREADS.get_ptr_mut(key.0)
}

const NOTHING: ThreadSlot = ThreadSlot {
    acc: [0; STATES.len()],
    count: [0; STATES.len()],
    histograms: NO_HISTOGRAMS,
    voluntary: 0,
    involuntary: 0,
    waited: 0,
    off: [0; REASONS],
    reserved: 0,
};
