//! `sched_switch`: on-CPU time per workload and CPU.
//!
//! The clock is the run queue's, refreshed just before the tracepoint, so no clock is read. A slice
//! belongs to the key stored at switch-in, for its sum and for its open part alike; `moves.rs` tells where that changed
//! within it. Only the CPU
//! itself writes its slot and its part of the table, with interrupts off.
//!
//! Where time is booked, `slices.rs` knows; where threads are meanwhile, `threads.rs`.

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};
use wattrace_common::{
    loss::{Program, Reason},
    sched::{CpuSlot, WorkKey, busy_at, busy_between, busy_word, shared_part},
};

use crate::{
    atomic::store_in_order,
    cost::Timer,
    exits,
    kernel::*,
    loss,
    maps::CPUS,
    moves,
    slices::{NO_ROW, Slice, account, add, name_new},
    threads,
};

pub const PF_KTHREAD: u32 = 0x0020_0000;
/// Least `prio` of a task of the fair class.
const FAIR: i32 = 100;
/// State of a task that leaves its CPU for good.
pub const TASK_DEAD: u32 = 0x80;
/// No instant.
const UNTOLD: u64 = u64::MAX;

#[btf_tracepoint(function = "sched_switch")]
pub fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let prev = Kptr::from_arg(ctx.arg(1));
    let next = Kptr::from_arg(ctx.arg(2));
    let run_queue = RunQueue::of(next);
    let timer = Timer::sampled(run_queue.now);
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    let Some(slot) = CPUS.get_ptr_mut(cpu) else { return 0 };
    // SAFETY: `slot` is this CPU's own; see the module documentation.
    let slot = unsafe { &mut *slot };
    let seq = slot.seq;
    // SAFETY: a word of the slot, as below.
    unsafe { store_in_order(addr_of_mut!(slot.seq), seq + 1) };
    let sibling = sibling_busy(slot, run_queue.now);
    let left = close_slice(slot, cpu, &run_queue, sibling, prev);
    let state = if HAVE_THREADS.load() == 1 || HAVE_PROCESS.load() == 1 { state_of(&ctx, prev) } else { 0 };
    if HAVE_THREADS.load() == 1 {
        threads::switch_out(&ctx, slot, cpu, &left, run_queue.now, prev, state);
    }
    open_slice(slot, cpu, run_queue.now, sibling, next);
    // SAFETY: as above.
    unsafe { store_in_order(addr_of_mut!(slot.seq), seq + 2) };
    if HAVE_PROCESS.load() == 1 && state & TASK_DEAD != 0 {
        exits::leave(cpu, prev, left.key);
    }
    timer.stop(cpu, Program::Sched);
    0
}

/// The state of the task that leaves.
#[inline(always)]
fn state_of(ctx: &BtfTracePointContext, prev: Kptr) -> u32 {
    if SWITCH_ARGS.load() >= 4 {
        return ctx.arg::<u64>(3) as u32;
    }
    state_of_task(prev)
}

/// The state of a task.
#[inline(always)]
pub fn state_of_task(task: Kptr) -> u32 {
    if STATE_BYTES.load() == 8 { task.read::<u64, _>(&TASK_STATE) as u32 } else { task.read(&TASK_STATE) }
}

/// A write that stays where it is in program order.
#[inline(always)]
pub fn publish(word: &mut u64, value: u64) {
    // SAFETY: a valid reference.
    unsafe { write_volatile(word, value) }
}

/// What the run queue says at a switch.
struct RunQueue {
    /// Its clock, or the monotonic one where it has none to read.
    now: u64,
    /// Its count of switches, where there is one.
    switches: u64,
}

impl RunQueue {
    /// The queue of the task that comes. It is followed to once: each step waits for the one before.
    #[inline(always)]
    fn of(next: Kptr) -> Self {
        if HAVE_RQ_CLOCK.load() == 0 {
            // SAFETY: the helper has no preconditions.
            return Self { now: unsafe { bpf_ktime_get_ns() }, switches: 0 };
        }
        let queue = next.follow(&TASK_CFS_RQ).follow(&CFS_RQ_RQ);
        let switches = if HAVE_NR_SWITCHES.load() == 1 { queue.read(&RQ_NR_SWITCHES) } else { 0 };
        Self { now: queue.read(&RQ_CLOCK), switches }
    }
}

/// Whose slice ended, and how.
pub struct Left {
    /// Whose it was at its end.
    pub key: WorkKey,
    /// Its row on this CPU.
    pub row: u32,
    /// Whether the task came in by a switch that was not reported.
    pub is_unreported: bool,
}

#[inline(always)]
fn close_slice(slot: &mut CpuSlot, cpu: u32, run_queue: &RunQueue, sibling: u64, prev: Kptr) -> Left {
    let now = run_queue.now;
    let is_unreported = unreported_switch(slot, run_queue, prev);
    if slot.last == 0 || now < slot.last {
        if slot.last != 0 {
            loss::count(cpu, Program::Sched, Reason::ClockBack);
        }
        return Left { key: key_of(prev, prev.read(&TASK_PID)), row: NO_ROW, is_unreported };
    }
    let overlap = overlap(slot, cpu, now, sibling);
    let is_moved = HAVE_MOVES.load() == 1 && slot.moved != 0;
    if is_unreported || is_moved {
        slot.rate = rate(overlap, now - slot.last);
    }
    if is_unreported {
        split_slice(slot, cpu, now, prev);
    } else if is_moved {
        let process = moves::share_out(cpu, now);
        name_new(cpu, process, prev);
    }
    let (key, last) = rest_of(slot);
    let time = now - last;
    let shared = if is_unreported || is_moved { shared_part(time, slot.rate) } else { overlap };
    let row = account(slot, cpu, key, Slice { time, shared }, Some(prev));
    Left { key, row, is_unreported }
}

/// How much of the open slice the other thread of the core was busy, too; 0 where it has not been seen when the slice began.
#[inline(always)]
fn overlap(slot: &CpuSlot, cpu: u32, now: u64, sibling: u64) -> u64 {
    if HAVE_SMT.load() == 0 || slot.key == WorkKey::IDLE.0 || slot.sibling_busy == 0 {
        return 0;
    }
    let (busy, slice) = (busy_between(slot.sibling_busy, sibling), now - slot.last);
    if busy <= slice {
        return busy;
    }
    loss::count(cpu, Program::Sched, Reason::Overlap);
    slice
}

/// What the sibling's word says of `now`, for the slice that ends and the one that begins; 0 without a sibling.
#[inline(always)]
fn sibling_busy(slot: &CpuSlot, now: u64) -> u64 {
    if HAVE_SMT.load() == 0 || slot.sibling == 0 {
        return 0;
    }
    let Some(sibling) = CPUS.get_ptr_mut(slot.sibling as u32 - 1) else { return 0 };
    // SAFETY: a valid map value; one word, which the sibling writes as one.
    busy_at(unsafe { read_volatile(addr_of!((*sibling).busy_word)) }, now)
}

/// 2^-16 of a slice.
#[inline(always)]
fn rate(overlap: u64, slice: u64) -> u64 {
    if slice == 0 || overlap >> 47 != 0 { 0 } else { (overlap << 16) / slice }
}

/// Whose the slice is, and since when, after parts of it were shared out behind this reference: the compiler would not look
/// again.
#[inline(always)]
fn rest_of(slot: &CpuSlot) -> (WorkKey, u64) {
    // SAFETY: valid references.
    unsafe { (WorkKey(read_volatile(&slot.key)), read_volatile(&slot.last)) }
}

/// Whether the task that leaves came in by a switch that this program did not see. Some kernels keep
/// some of their tasks from tracing.
#[inline(always)]
fn unreported_switch(slot: &mut CpuSlot, run_queue: &RunQueue, prev: Kptr) -> bool {
    if HAVE_NR_SWITCHES.load() == 0 {
        return slot.pid != u64::from(prev.read::<u32, _>(&TASK_PID));
    }
    let expected = slot.switches + 1;
    publish(&mut slot.switches, run_queue.switches);
    run_queue.switches != expected
}

/// Shares out a stretch in which switches were not reported: the task seen last has what the scheduler
/// says it ran, the task that leaves has the time since its arrival, and what lies between was idle.
#[inline(never)]
fn split_slice(slot: &mut CpuSlot, cpu: u32, now: u64, prev: Kptr) {
    let (left, arrival) = (departure(slot, now), arrival(prev, slot.last, now));
    let is_told = arrival != UNTOLD;
    loss::count(cpu, Program::Sched, if is_told { Reason::Missed } else { Reason::NoStart });
    // Untold, the whole stretch is the earlier task's.
    let arrival = if is_told { arrival } else { now };
    let left = if is_told && left < arrival { left } else { arrival };
    if HAVE_MOVES.load() == 1 && slot.moved != 0 {
        moves::share_out(cpu, left);
    }
    let (key, last) = rest_of(slot);
    let time = left - last;
    account(slot, cpu, key, Slice { time, shared: shared_part(time, slot.rate) }, None);
    add(addr_of_mut!(slot.idle), arrival - left);
    publish(&mut slot.key, key_of(prev, prev.read(&TASK_PID)).0);
    publish(&mut slot.last, arrival);
}

/// When the task seen last stopped running: its stint, by the scheduler's own account, after it came in.
/// `now` where that cannot be read.
#[inline(always)]
fn departure(slot: &CpuSlot, now: u64) -> u64 {
    if HAVE_STINTS.load() == 0 {
        return now;
    }
    let task = Kptr::from_word(slot.task);
    let pid: u32 = task.copy(&TASK_PID).unwrap_or(0);
    let total: u64 = task.copy(&TASK_SUM_EXEC_RUNTIME).unwrap_or(0);
    let before: u64 = task.copy(&TASK_PREV_SUM_EXEC_RUNTIME).unwrap_or(0);
    if u64::from(pid) != slot.pid || total < before {
        return now;
    }
    if task.copy(&TASK_PRIO).unwrap_or(FAIR) >= FAIR {
        return slot.last + (total - before);
    }
    // Other classes keep no such account. A kernel thread of theirs that leaves untold is the one that takes its CPU
    // offline, in microseconds: what follows is not its time.
    if slot.key == WorkKey::KERNEL.0 { slot.last } else { now }
}

/// When a task was switched in, by the run-queue clock, or [`UNTOLD`]. The idle task has no stamp: it came when the one
/// before it left.
///
/// A task that was preempted on its way to sleep is not stamped when it comes back: the stamp is of an earlier stint, and
/// the scheduler's account of this one tells.
#[inline(always)]
fn arrival(task: Kptr, last: u64, now: u64) -> u64 {
    if task.read::<u32, _>(&TASK_PID) == 0 {
        return if HAVE_STINTS.load() == 1 { now } else { UNTOLD };
    }
    let stamp = if HAVE_LAST_ARRIVAL.load() == 1 { task.read(&TASK_LAST_ARRIVAL) } else { 0 };
    if stamp >= last && stamp <= now {
        return stamp;
    }
    if HAVE_STINTS.load() == 0 || task.read::<i32, _>(&TASK_PRIO) < FAIR {
        return UNTOLD;
    }
    let (total, before): (u64, u64) = (task.read(&TASK_SUM_EXEC_RUNTIME), task.read(&TASK_PREV_SUM_EXEC_RUNTIME));
    let stint = total.wrapping_sub(before);
    if stint <= now - last { now - stint } else { UNTOLD }
}

#[inline(always)]
fn open_slice(slot: &mut CpuSlot, cpu: u32, now: u64, sibling: u64, next: Kptr) {
    let pid: u32 = next.read(&TASK_PID);
    let key = key_of(next, pid);
    if key == WorkKey::NOBODY {
        loss::count(cpu, Program::Sched, Reason::NoCgroup);
    }
    publish(&mut slot.key, key.0);
    publish(&mut slot.pid, u64::from(pid));
    if HAVE_MOVES.load() == 1 {
        publish(&mut slot.tgid, u64::from(next.read::<u32, _>(&TASK_TGID)));
    }
    if HAVE_STINTS.load() == 1 {
        publish(&mut slot.task, next.word());
    }
    publish(&mut slot.last, now);
    if HAVE_SMT.load() == 1 {
        let is_busy = key != WorkKey::IDLE;
        let word = slot.busy_word;
        if word & 1 != u64::from(is_busy) {
            publish(&mut slot.busy_word, busy_word(word, now, is_busy));
        }
        publish(&mut slot.sibling_busy, sibling);
    }
    if HAVE_THREADS.load() == 1 {
        threads::switch_in(slot, cpu, now, next, pid, key);
    }
    if slot.want != 0 {
        // SAFETY: the helper has no preconditions.
        publish(&mut slot.pair_mono, unsafe { bpf_ktime_get_ns() });
        publish(&mut slot.pair_rq, now);
        publish(&mut slot.want, 0);
    }
}

/// Whose time it is while a task with thread id `pid` runs.
#[inline(always)]
pub fn key_of(task: Kptr, pid: u32) -> WorkKey {
    if pid == 0 {
        return WorkKey::IDLE;
    }
    key_in(task, cgroup_id(task.follow(&TASK_CGROUPS).follow(&CSS_SET_DFL_CGRP)))
}

/// Whose time it is while a task runs in the cgroup `id`.
#[inline(always)]
pub fn key_in(task: Kptr, id: u64) -> WorkKey {
    if id != root_cgroup() {
        return WorkKey::cgroup(id);
    }
    if task.read::<u32, _>(&TASK_FLAGS) & PF_KTHREAD != 0 {
        return WorkKey::KERNEL;
    }
    let leader = task.follow(&TASK_GROUP_LEADER);
    WorkKey::process(task.read(&TASK_TGID), leader.read(&TASK_START_BOOTTIME))
}
