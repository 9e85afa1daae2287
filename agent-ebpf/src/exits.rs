//! Processes that end: the last switch of each thread.
//!
//! What a thread ran in all is told exactly when it leaves its CPU for good, and not before: at `sched_process_exit` it still has
//! work to do, and the sums that its process keeps are older still. So a process ends here with the last of those switches. Of
//! a process with one thread that is the only one, and nothing is kept. Else there is a note of the process ([`ThreadGroup`]) from
//! its second thread on, with how many there are: one more with each that wakes for the first time, one less with each
//! that leaves for good.
//!
//! Both are told with the lock of a run queue held. That is why: elsewhere a task may take the CPU from a program, from 7.0 on,
//! and then the kernel leaves out runs of it that others ask for. What the kernel counts itself says less: threads are no more
//! in `nr_threads` long before they leave, and `signal->live` is 0 already when threads are still on their way, and several
//! may see that.
//!
//! Of processes that are older than the programs, `sched_process_exit` makes the note.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    events::{EventKind, ExitEvent, Head, UNKNOWN_BYTES, Who},
    loss::{Program, Reason},
    process::{ActorKey, EXIT_REASONS, ExitReason, ProcessRow, SHORT_LIFE, ThreadGroup},
    sched::WorkKey,
};

use crate::{
    atomic::{raise, raise_in_order, step},
    block::bounded,
    cost::{self, Timer},
    events::{may_send, nudge, send_quietly},
    kernel::*,
    loss,
    maps::THREAD_GROUPS,
    process::{Owner, bytes, is_first},
    sched::{TASK_DEAD, state_of_task},
};

/// `SIGNAL_GROUP_EXIT`
const GROUP_EXIT: u32 = 0x4;
const ONLY_NEW: u64 = 1;
/// One less, where only additions are to be had.
const LESS: u64 = u64::MAX;

#[btf_tracepoint(function = "sched_process_exit")]
pub fn sched_process_exit(ctx: BtfTracePointContext) -> i32 {
    let timer = Timer::each();
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    cost::count_run(cpu, Program::ProcessExit);
    begin(cpu, Kptr::from_arg(ctx.arg(0)));
    if SEND_EXIT.load() == 1 {
        nudge();
    }
    timer.stop(cpu, Program::ProcessExit);
    0
}

/// A thread begins to end, and is still among those that the kernel counts.
#[inline(always)]
fn begin(cpu: u32, task: Kptr) {
    if is_first(task) && is_alone(task) {
        return;
    }
    let leader = task.follow(&TASK_GROUP_LEADER);
    let (tgid, start): (u32, u64) = (task.read(&TASK_TGID), leader.read(&TASK_START_BOOTTIME));
    if noted(tgid, start).is_none() && note(leader, task.follow(&TASK_SIGNAL), tgid, start).is_none() {
        loss::count(cpu, Program::ProcessExit, Reason::Full);
    }
}

/// A thread that is not the first of its process was made.
#[inline(always)]
pub fn born(thread: Kptr) {
    let leader = thread.follow(&TASK_GROUP_LEADER);
    let (tgid, start): (u32, u64) = (thread.read(&TASK_TGID), leader.read(&TASK_START_BOOTTIME));
    let Some(group) = noted(tgid, start) else {
        // Where there is no room, there may be some later.
        note(leader, thread.follow(&TASK_SIGNAL), tgid, start);
        return;
    };
    // SAFETY: a map value.
    unsafe {
        step(addr_of_mut!((*group).there));
        // Another has become the first: it started a program.
        if read_volatile(addr_of!((*group).has_first_left)) == 1 && !has_left(leader) {
            write_volatile(addr_of_mut!((*group).has_first_left), 0);
        }
    }
}

/// Whether a first thread is the only one that the kernel counts.
#[inline(always)]
fn is_alone(task: Kptr) -> bool {
    task.follow(&TASK_SIGNAL).read::<u32, _>(&SIGNAL_NR_THREADS) <= 1
}

/// Whether a first thread, for which somebody still waits, has left its CPU for good.
#[inline(always)]
fn has_left(leader: Kptr) -> bool {
    state_of_task(leader) & TASK_DEAD != 0
}

/// The note of a process. One of an earlier process with the same id is none.
#[inline(always)]
fn noted(tgid: u32, start: u64) -> Option<*mut ThreadGroup> {
    let group = THREAD_GROUPS.get_ptr_mut(tgid)?;
    // SAFETY: a map value.
    if unsafe { read_volatile(addr_of!((*group).start)) } == start { Some(group) } else { None }
}

/// Begins the note of a process, with what its threads used that ended before the programs were there; `None`: there is no room.
#[inline(never)]
fn note(leader: Kptr, signal: Kptr, tgid: u32, start: u64) -> Option<*mut ThreadGroup> {
    let has_bytes = HAVE_IO_BYTES.load() == 1;
    let has_first_left = has_left(leader);
    let fresh = ThreadGroup {
        start,
        there: u64::from(signal.read::<u32, _>(&SIGNAL_NR_THREADS)) - u64::from(has_first_left),
        has_first_left: u64::from(has_first_left),
        cpu: signal.read(&SIGNAL_SUM_RUNTIME),
        read: if has_bytes { signal.read(&SIGNAL_READ_BYTES) } else { 0 },
        written: if has_bytes { signal.read(&SIGNAL_WRITE_BYTES) } else { 0 },
        parent: leader.follow(&TASK_REAL_PARENT).read(&TASK_TGID),
        status: leader.read(&TASK_EXIT_CODE),
        comm: leader.name(),
    };
    if THREAD_GROUPS.insert(tgid, fresh, ONLY_NEW).is_err() && noted(tgid, start).is_none() {
        // There is one of an earlier process, or no room.
        let _ = THREAD_GROUPS.remove(tgid);
        let _ = THREAD_GROUPS.insert(tgid, fresh, ONLY_NEW);
    }
    noted(tgid, start)
}

/// A thread left its CPU for good; `key` is whose its last slice was.
#[inline(never)]
pub fn leave(cpu: u32, task: Kptr, key: WorkKey) {
    let (tgid, is_first): (u32, bool) = (task.read(&TASK_TGID), is_first(task));
    let group = match THREAD_GROUPS.get_ptr_mut(tgid) {
        // SAFETY: a map value.
        Some(group) if is_first && unsafe { (*group).start } != task.read(&TASK_START_BOOTTIME) => None,
        group => group,
    };
    let owner = owner_of(task, key, group);
    let Some(row) = owner.row(cpu, Program::ProcessExit) else { return };
    // SAFETY: a word of a map value.
    unsafe { raise(addr_of_mut!((*row).cpu), task.read(&TASK_SUM_EXEC_RUNTIME)) };
    let mut event = NOTHING;
    let is_end = match group {
        Some(group) => leave_group(task, is_first, group, &mut event) && THREAD_GROUPS.remove(tgid).is_ok(),
        None => is_first && is_alone(task) && leave_alone(task, &mut event),
    };
    if is_end {
        end(cpu, task, owner.key, row, &mut event);
    }
}

/// Whose a thread is that left. Once its first thread has left, too, that may be gone: the name is the one that was noted.
#[inline(always)]
fn owner_of(task: Kptr, key: WorkKey, group: Option<*mut ThreadGroup>) -> Owner {
    match key {
        WorkKey::KERNEL => Owner { key: ActorKey::KERNEL, comm: [0; 2] },
        key if key.is_special() => Owner { key: ActorKey::NOBODY, comm: [0; 2] },
        key if key.0 >> 63 == 0 => Owner { key: ActorKey::cgroup(key.0), comm: [0; 2] },
        _ => match group {
            // SAFETY: a map value.
            Some(group) if !is_first(task) && unsafe { read_volatile(addr_of!((*group).has_first_left)) } == 1 => {
                // SAFETY: likewise.
                Owner::named(unsafe { [(*group).comm[0], (*group).comm[1]] })
            }
            _ => Owner::named(task.follow(&TASK_GROUP_LEADER).name()),
        },
    }
}

const NOTHING: ExitEvent = ExitEvent {
    head: Head { kind: EventKind::Exit as u32, reserved: 0, at: 0, key: 0 },
    who: Who { start: 0, tgid: 0, parent: 0, comm: [0; 16] },
    cpu: 0,
    read: 0,
    written: 0,
    status: 0,
    reason: 0,
};

/// A process that never had more threads, or none since the programs were there.
#[inline(always)]
fn leave_alone(task: Kptr, event: &mut ExitEvent) -> bool {
    event.who.start = task.read(&TASK_START_BOOTTIME);
    event.who.parent = task.follow(&TASK_REAL_PARENT).read(&TASK_TGID);
    event.who.comm = bytes(task.name());
    event.cpu = task.read(&TASK_SUM_EXEC_RUNTIME);
    if HAVE_IO_BYTES.load() == 1 {
        (event.read, event.written) = (task.read(&TASK_READ_BYTES), task.read(&TASK_WRITE_BYTES));
    }
    event.status = task.read(&TASK_EXIT_CODE);
    true
}

/// Adds what a thread used to the note of its process; whether none is left. Several may find that at once.
#[inline(always)]
fn leave_group(task: Kptr, is_first: bool, group: *mut ThreadGroup, event: &mut ExitEvent) -> bool {
    // SAFETY: a map value.
    unsafe {
        raise(addr_of_mut!((*group).cpu), task.read(&TASK_SUM_EXEC_RUNTIME));
        if HAVE_IO_BYTES.load() == 1 {
            raise(addr_of_mut!((*group).read), task.read(&TASK_READ_BYTES));
            raise(addr_of_mut!((*group).written), task.read(&TASK_WRITE_BYTES));
        }
        if is_first {
            note_first(task, group);
        }
        raise_in_order(addr_of_mut!((*group).there), LESS);
        if !is_empty(task, group) {
            return false;
        }
        event.who.start = read_volatile(addr_of!((*group).start));
        event.who.parent = read_volatile(addr_of!((*group).parent));
        event.who.comm = bytes([read_volatile(addr_of!((*group).comm[0])), read_volatile(addr_of!((*group).comm[1]))]);
        event.cpu = read_volatile(addr_of!((*group).cpu));
        event.read = read_volatile(addr_of!((*group).read));
        event.written = read_volatile(addr_of!((*group).written));
        event.status = read_volatile(addr_of!((*group).status));
    }
    true
}

/// Notes what the first thread alone knows, whichever thread is the last.
///
/// # Safety
/// `group` is a map value.
#[inline(always)]
unsafe fn note_first(task: Kptr, group: *mut ThreadGroup) {
    let comm = task.name();
    // SAFETY: as the caller says.
    unsafe {
        write_volatile(addr_of_mut!((*group).comm[0]), comm[0]);
        write_volatile(addr_of_mut!((*group).comm[1]), comm[1]);
        write_volatile(addr_of_mut!((*group).parent), task.follow(&TASK_REAL_PARENT).read(&TASK_TGID));
        write_volatile(addr_of_mut!((*group).status), task.read(&TASK_EXIT_CODE));
        write_volatile(addr_of_mut!((*group).has_first_left), 1);
    }
}

/// Whether no thread of a process is left.
///
/// # Safety
/// `group` is a map value.
#[inline(always)]
unsafe fn is_empty(task: Kptr, group: *mut ThreadGroup) -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let there = addr_of_mut!((*group).there);
        if read_volatile(there) as i64 > 0 {
            return false;
        }
        let live: u32 = task.follow(&TASK_SIGNAL).read(&SIGNAL_LIVE);
        if live != 0 {
            // Some that left had not been counted: they were on their way out when the programs came.
            write_volatile(there, u64::from(live));
        }
        live == 0
    }
}

/// A process ended: it is counted, and told if it may.
#[inline(always)]
fn end(cpu: u32, task: Kptr, key: ActorKey, row: *mut ProcessRow, event: &mut ExitEvent) {
    let signal = task.follow(&TASK_SIGNAL);
    if signal.read::<u32, _>(&SIGNAL_FLAGS) & GROUP_EXIT != 0 {
        event.status = signal.read(&SIGNAL_GROUP_EXIT_CODE);
    }
    let reason = ExitReason::of_status(event.status, signal.follow(&SIGNAL_OOM_MM).word() != 0);
    event.reason = reason as u32;
    let at = bounded::<3>(reason as usize);
    // SAFETY: the helpers have no preconditions; words of a map value.
    let now = unsafe {
        if at < EXIT_REASONS.len() {
            step(addr_of_mut!((*row).exits).cast::<u64>().add(at));
        }
        if bpf_ktime_get_boot_ns().wrapping_sub(event.who.start) < SHORT_LIFE {
            step(addr_of_mut!((*row).short_lived));
        }
        bpf_ktime_get_ns()
    };
    // SAFETY: a part of a map value.
    let limiter = unsafe { addr_of_mut!((*row).exit_limiter) };
    if SEND_EXIT.load() == 0 || !may_send(limiter, now, cpu, Program::ProcessExit) {
        return;
    }
    if HAVE_IO_BYTES.load() == 0 {
        (event.read, event.written) = (UNKNOWN_BYTES, UNKNOWN_BYTES);
    }
    (event.head.at, event.head.key, event.who.tgid) = (now, key.0, task.read(&TASK_TGID));
    // SAFETY: its bytes; it has no gaps.
    let bytes = unsafe {
        core::slice::from_raw_parts(core::ptr::from_mut(event).cast::<u8>().cast_const(), size_of::<ExitEvent>())
    };
    send_quietly(bytes, limiter, cpu, Program::ProcessExit);
}
