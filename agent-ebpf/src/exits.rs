//! Processes that end: `sched_process_exit`, and the last switch of each thread.
//!
//! What a thread ran in all is told exactly when it leaves its CPU for good, and not before: at `sched_process_exit` it still has
//! work to do, and the sums that its process keeps are older still. So a process ends here with the last of those switches. Of
//! a process with one thread that is the only one, and nothing is kept. Else each thread that begins to end is noted
//! ([`Dying`]), and the last is the one that finds none left:
//!
//! * those that live, or have not come to `sched_process_exit` yet, are among the threads that the kernel counts
//!   (`nr_threads`); so are some that left, but those were counted when they did;
//! * those that came there and did not leave yet are the difference of two counts.
//!
//! A thread may be stopped anywhere in between, for as long as it likes. `signal->live` says less: it is 0 already when
//! threads are still on their way, and several may see that.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    events::{EventKind, ExitEvent, Head, UNKNOWN_BYTES, Who},
    loss::{Program, Reason},
    process::{ActorKey, Dying, EXIT_REASONS, ExitReason, ProcessRow, SHORT_LIFE},
    sched::WorkKey,
};

use crate::{
    atomic::{fence, raise, step, step_in_order},
    block::bounded,
    cost::{self, Timer},
    events::{may_send, nudge, send_quietly},
    kernel::*,
    loss,
    maps::PROCESS_DYING,
    process::{Owner, bytes, is_first},
};

/// `SIGNAL_GROUP_EXIT`
const GROUP_EXIT: u32 = 0x4;
const ONLY_NEW: u64 = 1;

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

/// A thread begins to end. Until it is released, the first thread of its process is not either.
#[inline(always)]
fn begin(cpu: u32, task: Kptr) {
    let leader = task.follow(&TASK_GROUP_LEADER);
    let (tgid, start): (u32, u64) = (task.read(&TASK_TGID), leader.read(&TASK_START_BOOTTIME));
    let is_first = is_first(task);
    let Some(dying) = (match noted(tgid, start) {
        Some(dying) => Some(dying),
        None if is_first && is_alone(task) => None,
        None => note(cpu, task, tgid, start),
    }) else {
        return;
    };
    let comm = leader.name();
    // SAFETY: a map value. Others may write the same at the same time.
    unsafe {
        write_volatile(addr_of_mut!((*dying).comm[0]), comm[0]);
        write_volatile(addr_of_mut!((*dying).comm[1]), comm[1]);
        write_volatile(addr_of_mut!((*dying).parent), leader.follow(&TASK_REAL_PARENT).read(&TASK_TGID));
        if is_first {
            write_volatile(addr_of_mut!((*dying).status), task.read(&TASK_EXIT_CODE));
        }
        step_in_order(addr_of_mut!((*dying).entered));
    }
}

/// Whether a first thread is the only one that the kernel counts.
#[inline(always)]
fn is_alone(task: Kptr) -> bool {
    task.follow(&TASK_SIGNAL).read::<u32, _>(&SIGNAL_NR_THREADS) <= 1
}

/// The note of a process. One of an earlier process with the same id is none.
#[inline(always)]
fn noted(tgid: u32, start: u64) -> Option<*mut Dying> {
    let dying = PROCESS_DYING.get_ptr_mut(tgid)?;
    // SAFETY: a map value.
    if unsafe { read_volatile(addr_of!((*dying).start)) } == start { Some(dying) } else { None }
}

/// Begins the note of a process, with what its threads used that ended before the programs were there.
#[inline(always)]
fn note(cpu: u32, task: Kptr, tgid: u32, start: u64) -> Option<*mut Dying> {
    let signal = task.follow(&TASK_SIGNAL);
    let has_bytes = HAVE_IO_BYTES.load() == 1;
    let fresh = Dying {
        start,
        entered: 0,
        left: 0,
        unreaped: 0,
        cpu: signal.read(&SIGNAL_SUM_RUNTIME),
        read: if has_bytes { signal.read(&SIGNAL_READ_BYTES) } else { 0 },
        written: if has_bytes { signal.read(&SIGNAL_WRITE_BYTES) } else { 0 },
        parent: 0,
        status: 0,
        comm: [0; 2],
    };
    if PROCESS_DYING.insert(tgid, fresh, ONLY_NEW).is_err() && noted(tgid, start).is_none() {
        // There is one of an earlier process, or no room.
        let _ = PROCESS_DYING.remove(tgid);
        if PROCESS_DYING.insert(tgid, fresh, ONLY_NEW).is_err() {
            loss::count(cpu, Program::ProcessExit, Reason::Full);
        }
    }
    noted(tgid, start)
}

/// A thread that was not the first started a program and is the first now: nobody waits for an earlier one any more.
#[inline(always)]
pub fn replaced(task: Kptr) {
    if let Some(dying) = noted(task.read(&TASK_TGID), task.read(&TASK_START_BOOTTIME)) {
        // SAFETY: a map value; this is the only thread.
        unsafe { write_volatile(addr_of_mut!((*dying).unreaped), 0) };
    }
}

/// A thread left its CPU for good; `key` is whose its last slice was.
#[inline(never)]
pub fn leave(cpu: u32, task: Kptr, key: WorkKey) {
    let (tgid, is_first): (u32, bool) = (task.read(&TASK_TGID), is_first(task));
    let dying = match PROCESS_DYING.get_ptr_mut(tgid) {
        // SAFETY: a map value.
        Some(dying) if is_first && unsafe { (*dying).start } != task.read(&TASK_START_BOOTTIME) => None,
        dying => dying,
    };
    let owner = owner_of(task, key, dying);
    let Some(row) = owner.row(cpu, Program::ProcessExit) else { return };
    // SAFETY: a word of a map value.
    unsafe { raise(addr_of_mut!((*row).cpu), task.read(&TASK_SUM_EXEC_RUNTIME)) };
    let mut event = NOTHING;
    let is_end = match dying {
        Some(dying) => leave_process(task, dying, &mut event) && PROCESS_DYING.remove(tgid).is_ok(),
        None => is_first && is_alone(task) && leave_alone(task, &mut event),
    };
    if is_end {
        end(cpu, task, owner.key, row, &mut event);
    }
}

/// Whose a thread is that left. Its first thread may be gone: the name is the one that was noted, where it was.
#[inline(always)]
fn owner_of(task: Kptr, key: WorkKey, dying: Option<*mut Dying>) -> Owner {
    match key {
        WorkKey::KERNEL => Owner { key: ActorKey::KERNEL, comm: [0; 2] },
        key if key.is_special() => Owner { key: ActorKey::NOBODY, comm: [0; 2] },
        key if key.0 >> 63 == 0 => Owner { key: ActorKey::cgroup(key.0), comm: [0; 2] },
        _ => match dying {
            // SAFETY: a map value.
            Some(dying) => Owner::named(unsafe { [(*dying).comm[0], (*dying).comm[1]] }),
            None => Owner::named(task.follow(&TASK_GROUP_LEADER).name()),
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
fn leave_process(task: Kptr, dying: *mut Dying, event: &mut ExitEvent) -> bool {
    // SAFETY: a map value.
    unsafe {
        raise(addr_of_mut!((*dying).cpu), task.read(&TASK_SUM_EXEC_RUNTIME));
        if HAVE_IO_BYTES.load() == 1 {
            raise(addr_of_mut!((*dying).read), task.read(&TASK_READ_BYTES));
            raise(addr_of_mut!((*dying).written), task.read(&TASK_WRITE_BYTES));
        }
        if task.follow(&TASK_SIGHAND).word() != 0 {
            step(addr_of_mut!((*dying).unreaped));
        }
        step_in_order(addr_of_mut!((*dying).left));
        if !is_empty(task, dying) {
            return false;
        }
        event.who.start = read_volatile(addr_of!((*dying).start));
        event.who.parent = read_volatile(addr_of!((*dying).parent));
        event.who.comm = bytes([read_volatile(addr_of!((*dying).comm[0])), read_volatile(addr_of!((*dying).comm[1]))]);
        event.cpu = read_volatile(addr_of!((*dying).cpu));
        event.read = read_volatile(addr_of!((*dying).read));
        event.written = read_volatile(addr_of!((*dying).written));
        event.status = read_volatile(addr_of!((*dying).status));
    }
    true
}

/// Whether no thread of a process is left. In this order: one that came to `sched_process_exit` after the first look is in
/// the first figure, one that came before it in the last.
///
/// # Safety
/// `dying` is a map value.
#[inline(always)]
unsafe fn is_empty(task: Kptr, dying: *mut Dying) -> bool {
    let signal = task.follow(&TASK_SIGNAL);
    // SAFETY: as the caller says.
    unsafe {
        let left = addr_of_mut!((*dying).left);
        let counted = u64::from(signal.read::<u32, _>(&SIGNAL_NR_THREADS));
        fence(left);
        // The former alone would do, were it not for threads that a tracer has waited for since they left.
        if counted > read_volatile(addr_of!((*dying).unreaped)) || signal.read::<u32, _>(&SIGNAL_LIVE) != 0 {
            return false;
        }
        let gone = read_volatile(left);
        fence(left);
        // More left than came: the first of them came before the programs were there.
        let is_empty = gone >= read_volatile(addr_of!((*dying).entered));
        fence(left);
        is_empty
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
