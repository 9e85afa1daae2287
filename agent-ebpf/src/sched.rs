//! `sched_switch`: on-CPU time per workload and CPU.
//!
//! The clock is the run queue's, refreshed just before the tracepoint, so no clock is read. A slice
//! belongs to the key stored at switch-in, for its sum and for its open part alike; `moves.rs` tells where that changed
//! within it. Only the CPU
//! itself writes its slot and its part of the table, with interrupts off.

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use core::ptr::{addr_of_mut, read_volatile, write_volatile};
use wattrace_common::{
    limits::{TIME_SETS, TIME_WAYS},
    loss::{Program, Reason},
    sched::{CpuSlot, OverflowValue, TimeSlot, WorkKey},
};

use crate::{
    cost::Timer,
    kernel::*,
    loss,
    maps::{CPUS, OVERFLOW, TIMES},
    moves,
};

const PF_KTHREAD: u32 = 0x0020_0000;
/// Least `prio` of a task of the fair class.
const FAIR: i32 = 100;
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
    publish(&mut slot.seq, seq + 1);
    close_slice(slot, cpu, &run_queue, prev);
    open_slice(slot, cpu, run_queue.now, next);
    publish(&mut slot.seq, seq + 2);
    timer.stop(cpu, Program::Sched);
    0
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

#[inline(always)]
fn close_slice(slot: &mut CpuSlot, cpu: u32, run_queue: &RunQueue, prev: Kptr) {
    let now = run_queue.now;
    let is_unreported = unreported_switch(slot, run_queue, prev);
    if slot.last == 0 {
        return;
    }
    if now < slot.last {
        loss::count(cpu, Program::Sched, Reason::ClockBack);
        return;
    }
    if is_unreported {
        split_slice(slot, cpu, now, prev);
    } else if HAVE_MOVES.load() == 1 && slot.moved != 0 {
        let process = moves::share_out(cpu, now);
        name_new(cpu, process, prev);
    }
    let (key, last) = rest_of(slot);
    account(slot, cpu, key, now - last, Some(prev));
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
        return slot.pid != u64::from(prev.read::<u32>(&TASK_PID));
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
    account(slot, cpu, key, left - last, None);
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
    if task.read::<u32>(&TASK_PID) == 0 {
        return if HAVE_STINTS.load() == 1 { now } else { UNTOLD };
    }
    let stamp = if HAVE_LAST_ARRIVAL.load() == 1 { task.read(&TASK_LAST_ARRIVAL) } else { 0 };
    if stamp >= last && stamp <= now {
        return stamp;
    }
    if HAVE_STINTS.load() == 0 || task.read::<i32>(&TASK_PRIO) < FAIR {
        return UNTOLD;
    }
    let (total, before): (u64, u64) = (task.read(&TASK_SUM_EXEC_RUNTIME), task.read(&TASK_PREV_SUM_EXEC_RUNTIME));
    let stint = total.wrapping_sub(before);
    if stint <= now - last { now - stint } else { UNTOLD }
}

/// Adds a finished slice to whom it belongs. `task` is the one that ran, where it is at hand.
#[inline(always)]
pub fn account(slot: &mut CpuSlot, cpu: u32, key: WorkKey, slice: u64, task: Option<Kptr>) {
    if key == WorkKey::IDLE {
        add(addr_of_mut!(slot.idle), slice);
        return;
    }
    add(addr_of_mut!(slot.busy), slice);
    if !key.is_special() {
        return book(slot, cpu, key, slice, task);
    }
    match key {
        WorkKey::KERNEL => add(addr_of_mut!(slot.kernel), slice),
        WorkKey::NOBODY => add(addr_of_mut!(slot.nobody), slice),
        _ => add(addr_of_mut!(slot.rest), slice),
    }
}

#[inline(always)]
fn add(word: *mut u64, slice: u64) {
    // SAFETY: callers pass a field of this CPU's own slot. Volatile keeps it inside the sequence.
    unsafe { write_volatile(word, read_volatile(word) + slice) }
}

/// Adds a slice to the key's place: one of its set's slots, else the overflow map.
#[inline(always)]
fn book(slot: &mut CpuSlot, cpu: u32, key: WorkKey, slice: u64, task: Option<Kptr>) {
    let Some(set) = TIMES.get_ptr_mut(cpu * TIME_SETS + key.set()) else { return };
    for way in 0..TIME_WAYS {
        // SAFETY: `set` is a valid map value of this CPU's part, `way` is inside it.
        let time = unsafe { &mut (*set).ways[way] };
        if time.key == key.0 {
            add(addr_of_mut!(time.time), slice);
            name(time, key, task);
            return;
        }
    }
    book_new(slot, cpu, set, key, slice, task);
}

#[inline(always)]
fn book_new(
    slot: &mut CpuSlot,
    cpu: u32,
    set: *mut wattrace_common::sched::TimeSet,
    key: WorkKey,
    slice: u64,
    task: Option<Kptr>,
) {
    if let Some(value) = OVERFLOW.get_ptr_mut(key.0) {
        // SAFETY: this CPU's own value of a per-CPU map.
        add(unsafe { addr_of_mut!((*value).time) }, slice);
        return;
    }
    for way in 0..TIME_WAYS {
        // SAFETY: as in `book`.
        let time = unsafe { &mut (*set).ways[way] };
        if time.key == 0 {
            // The key last: the agent takes a slot without a key for free.
            publish(&mut time.time, slice);
            time.comm = comm_of(key, task);
            publish(&mut time.key, key.0);
            return;
        }
    }
    loss::count(cpu, Program::Sched, Reason::Busy);
    let value = OverflowValue { time: slice, comm: comm_of(key, task) };
    if OVERFLOW.insert(key.0, value, 0).is_err() {
        loss::count(cpu, Program::Sched, Reason::Full);
        if is_process(key) {
            add(addr_of_mut!(slot.rest), slice);
        }
    }
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
fn name_new(cpu: u32, process: u64, task: Kptr) {
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
    task.read::<u32>(&TASK_PID) == task.read::<u32>(&TASK_TGID)
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

#[inline(always)]
fn open_slice(slot: &mut CpuSlot, cpu: u32, now: u64, next: Kptr) {
    let pid: u32 = next.read(&TASK_PID);
    let key = key_of(next, pid);
    if key == WorkKey::NOBODY {
        loss::count(cpu, Program::Sched, Reason::NoCgroup);
    }
    publish(&mut slot.key, key.0);
    publish(&mut slot.pid, u64::from(pid));
    if HAVE_MOVES.load() == 1 {
        publish(&mut slot.tgid, u64::from(next.read::<u32>(&TASK_TGID)));
    }
    if HAVE_STINTS.load() == 1 {
        publish(&mut slot.task, next.word());
    }
    publish(&mut slot.last, now);
    if slot.want != 0 {
        // SAFETY: the helper has no preconditions.
        publish(&mut slot.pair_mono, unsafe { bpf_ktime_get_ns() });
        publish(&mut slot.pair_rq, now);
        publish(&mut slot.want, 0);
    }
}

/// Whose time it is while a task with thread id `pid` runs.
#[inline(always)]
fn key_of(task: Kptr, pid: u32) -> WorkKey {
    if pid == 0 {
        return WorkKey::IDLE;
    }
    key_in(task, cgroup_id(task.follow(&TASK_CGROUPS).follow(&CSS_SET_DFL_CGRP)))
}

/// Whose time it is while a task runs in the cgroup `id`.
#[inline(always)]
pub fn key_in(task: Kptr, id: u64) -> WorkKey {
    if id != ROOT_CGROUP.load() {
        return WorkKey::cgroup(id);
    }
    if task.read::<u32>(&TASK_FLAGS) & PF_KTHREAD != 0 {
        return WorkKey::KERNEL;
    }
    let leader = task.follow(&TASK_GROUP_LEADER);
    WorkKey::process(task.read(&TASK_TGID), leader.read(&TASK_START_BOOTTIME))
}
