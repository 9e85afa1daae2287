//! `sched_wakeup_new` and `sched_process_exec`: processes that are made and programs that are started, by owner.
//!
//! Whose they are, and where an owner's figures stand, is here for `exits.rs`, too. An owner is a cgroup; processes of the root
//! cgroup are told apart by their name, and kernel threads there are the kernel's.
//!
//! The kernel does not run a program inside itself, and from 7.0 on another task may take the CPU from one at
//! `sched_process_exec`: until it has it back, no other exec on that CPU is told. So there are two there, one after the other. That
//! both are held up at once is counted.

use core::ptr::addr_of_mut;

use aya_ebpf::{
    helpers::{
        bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_probe_read_kernel_str_bytes,
        generated::{bpf_get_current_task_btf, bpf_probe_read_user},
    },
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    events::{ARGS_MAX, EventKind, ExecEvent, FILE_MAX, Head, Who},
    loss::{Program, Reason},
    process::{ActorKey, ProcessRow},
};

use crate::{
    atomic::step,
    cost::{self, Timer},
    events::{may_send, send},
    exits,
    kernel::*,
    loss,
    maps::{EVENT_SCRATCH, EXEC_SEEN, PROC_FREE_ROWS, PROCESS_ROW, PROCESS_WORK},
    rows::{self, NO_ROW},
    sched::PF_KTHREAD,
};

/// A task that was made wakes for the first time, and who made it is still at that.
///
/// Not at `sched_process_fork`: from 7.0 on another task may take the CPU there, and runs are left out. Here the lock of a run
/// queue is held.
#[btf_tracepoint(function = "sched_wakeup_new")]
pub fn sched_wakeup_new(ctx: BtfTracePointContext) -> i32 {
    let timer = Timer::each();
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    cost::count_run(cpu, Program::ProcessFork);
    let child = Kptr::from_arg(ctx.arg(0));
    if !is_first(child) {
        exits::born(child);
    } else if let Some(row) = Owner::of(maker_of(child)).row(cpu, Program::ProcessFork) {
        // SAFETY: a word of a map value.
        unsafe { step(addr_of_mut!((*row).forks)) };
    }
    timer.stop(cpu, Program::ProcessFork);
    0
}

/// Who made a process. Its parent may be another, which only its maker tells, and 5.10 does not know.
#[inline(always)]
fn maker_of(child: Kptr) -> Kptr {
    if HAVE_CURRENT_TASK.load() == 0 {
        return child.follow(&TASK_REAL_PARENT);
    }
    // SAFETY: the helper has no preconditions.
    Kptr::from_arg(unsafe { bpf_get_current_task_btf() }.cast::<u8>().cast_const())
}

#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec(ctx: BtfTracePointContext) -> i32 {
    let exec = Exec { task: Kptr::from_arg(ctx.arg(0)), is_spare: false };
    exec.run(&ctx);
    0
}

/// Runs after the other, and counts what that was not run for.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn sched_process_exec_spare(ctx: BtfTracePointContext) -> i32 {
    let exec = Exec { task: Kptr::from_arg(ctx.arg(0)), is_spare: true };
    exec.run(&ctx);
    0
}

/// A process starts a program.
struct Exec {
    task: Kptr,
    /// Which of both programs this is.
    is_spare: bool,
}

impl Exec {
    #[inline(always)]
    fn run(&self, ctx: &BtfTracePointContext) {
        let timer = Timer::each();
        // SAFETY: the helper has no preconditions.
        let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
        cost::count_run(cpu, Program::ProcessExec);
        if !self.is_others() {
            self.count(ctx, cpu);
        }
        timer.stop(cpu, Program::ProcessExec);
    }

    /// Whether it is the other's to count. The first of both leaves a mark for the spare, which takes it; where it cannot, the spare
    /// finds none and counts.
    #[inline(always)]
    fn is_others(&self) -> bool {
        let pid: u32 = self.task.read(&TASK_PID);
        if self.is_spare {
            return EXEC_SEEN.remove(pid).is_ok();
        }
        HAVE_SPARES.load() == 1 && EXEC_SEEN.insert(pid, 1, 0).is_err()
    }

    #[inline(always)]
    fn count(&self, ctx: &BtfTracePointContext, cpu: u32) {
        let owner = Owner::of(self.task);
        let Some(row) = owner.row(cpu, Program::ProcessExec) else { return };
        // SAFETY: a word of a map value.
        unsafe { step(addr_of_mut!((*row).execs)) };
        if SEND_EXEC.load() == 1
            && let Some(event) = EVENT_SCRATCH.get_ptr_mut(u32::from(self.is_spare))
        {
            // SAFETY: of this CPU and this program alone, which does not run inside itself.
            tell(ctx, cpu, self.task, owner.key, row, unsafe { &mut *event });
        }
    }
}

/// Whether a thread is the first of its process.
#[inline(always)]
pub fn is_first(task: Kptr) -> bool {
    task.read::<u32, _>(&TASK_PID) == task.read::<u32, _>(&TASK_TGID)
}

/// Whose a process is.
#[derive(Clone, Copy)]
pub struct Owner {
    pub key: ActorKey,
    /// The name, where that is the owner.
    pub comm: [u64; 2],
}

impl Owner {
    /// Of a task that is not released yet: it holds its first thread.
    #[inline(always)]
    pub fn of(task: Kptr) -> Self {
        let id = cgroup_id(task.follow(&TASK_CGROUPS).follow(&CSS_SET_DFL_CGRP));
        if id != root_cgroup() {
            return Self { key: ActorKey::cgroup(id), comm: [0; 2] };
        }
        if task.read::<u32, _>(&TASK_FLAGS) & PF_KTHREAD != 0 {
            return Self { key: ActorKey::KERNEL, comm: [0; 2] };
        }
        Self::named(task.follow(&TASK_GROUP_LEADER).name())
    }

    #[inline(always)]
    pub fn named(comm: [u64; 2]) -> Self {
        Self { key: ActorKey::named(comm), comm }
    }

    /// The row of an owner; that of nobody where there is no room.
    #[inline(always)]
    pub fn row(&self, cpu: u32, program: Program) -> Option<*mut ProcessRow> {
        let row = match rows::find(&PROCESS_ROW, self.key.0) {
            NO_ROW => claim_actor(self.key.0, self.comm[0], self.comm[1]),
            row => row,
        };
        if row == NO_ROW {
            loss::count(cpu, program, Reason::Full);
            // The first of the rows that are never given away.
            return PROCESS_WORK.get_ptr_mut(0);
        }
        PROCESS_WORK.get_ptr_mut(row)
    }
}

/// The row of an owner that is new; [`NO_ROW`] where none is left.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn claim_actor(key: u64, comm: u64, comm_rest: u64) -> u32 {
    rows::claim(&PROCESS_ROW, &PROC_FREE_ROWS, key, |row| {
        if let Some(work) = PROCESS_WORK.get_ptr_mut(row) {
            // SAFETY: this program's own row now. The key last: the agent takes a row without one for free.
            unsafe {
                let words = addr_of_mut!((*work).comm).cast::<u64>();
                words.write_volatile(comm);
                words.add(1).write_volatile(comm_rest);
                addr_of_mut!((*work).key).write_volatile(key);
            }
        }
    })
}

/// Sends the event of a program that was started, if it may.
#[inline(always)]
fn tell(ctx: &BtfTracePointContext, cpu: u32, task: Kptr, key: ActorKey, row: *mut ProcessRow, event: &mut ExecEvent) {
    // SAFETY: the helper has no preconditions; a part of a map value.
    let (now, limiter) = unsafe { (bpf_ktime_get_ns(), addr_of_mut!((*row).exec_limiter)) };
    if !may_send(limiter, now, cpu, Program::ProcessExec) {
        return;
    }
    event.head = Head { kind: EventKind::Exec as u32, reserved: 0, at: now, key: key.0 };
    event.who = Who {
        start: task.read(&TASK_START_BOOTTIME),
        tgid: task.read(&TASK_TGID),
        parent: task.follow(&TASK_REAL_PARENT).read(&TASK_TGID),
        comm: bytes(task.name()),
    };
    event.reserved = 0;
    event.file_len = if HAVE_FILE.load() == 1 { copy_file(ctx, &mut event.file) } else { 0 };
    let len = if SEND_ARGS.load() == 1 {
        copy_args(task, event)
    } else {
        (event.args_len, event.args_total) = (0, 0);
        0
    };
    const FIXED: usize = size_of::<ExecEvent>() - ARGS_MAX;
    // SAFETY: the event has that many bytes: the arguments are its last.
    let bytes = unsafe { core::slice::from_raw_parts(core::ptr::from_ref(event).cast::<u8>(), FIXED + len) };
    send(bytes, limiter, cpu, Program::ProcessExec);
}

/// Copies the path of the program; returns its length.
#[inline(always)]
fn copy_file(ctx: &BtfTracePointContext, into: &mut [u8; FILE_MAX]) -> u32 {
    let path: u64 = Kptr::from_arg(ctx.arg(2)).read(&BPRM_FILENAME);
    // SAFETY: the helper checks the address and fails on one that cannot be read.
    unsafe { bpf_probe_read_kernel_str_bytes(path as *const u8, into) }.map_or(0, |path| path.len() as u32)
}

/// Copies as much of the arguments as there is room for; returns their length.
#[inline(always)]
fn copy_args(task: Kptr, event: &mut ExecEvent) -> usize {
    let mm = task.follow(&TASK_MM);
    let (start, end): (u64, u64) = (mm.read(&MM_ARG_START), mm.read(&MM_ARG_END));
    let total = if end > start { end - start } else { 0 };
    let mut len = if total < ARGS_MAX as u64 { total } else { ARGS_MAX as u64 };
    // SAFETY: of registers only. The compiler forgets the bound that it knows, and the kernel does not.
    unsafe { core::arch::asm!("{0} &= 2047", inout(reg) len) };
    if len > ARGS_MAX as u64 {
        len = ARGS_MAX as u64;
    }
    // SAFETY: the helper checks the address and fails on one that cannot be read, or is not in memory.
    let error = unsafe { bpf_probe_read_user(event.args.as_mut_ptr().cast(), len as u32, start as *const _) };
    if error != 0 {
        len = 0;
    }
    (event.args_len, event.args_total) = (len as u32, if total >> 32 == 0 { total as u32 } else { u32::MAX });
    len as usize
}

/// A name as it travels.
#[inline(always)]
pub fn bytes([first, rest]: [u64; 2]) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..8].copy_from_slice(&first.to_ne_bytes());
    comm[8..].copy_from_slice(&rest.to_ne_bytes());
    comm
}
