//! `cgroup_attach_task`: a task that runs while it is moved is its new cgroup's from the move on.
//!
//! Tasks that do not run need nothing: their cgroup is read when they are switched in. For the others the instant and the new
//! key are left beside the CPU's slot; the CPU shares the slice out when it ends, and the reader does the same with an open one.
//! The kernel has moved the task before it tells, and tells one move at a time, with interrupts off.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    limits::MOVES_PER_SLICE,
    loss::{Program, Reason},
    moves::{CpuMoves, Move, end_of_part, run_queue_clock},
    sched::{WorkKey, shared_part},
};

use crate::{
    atomic::step,
    cost::{self, Timer},
    kernel::*,
    loss,
    maps::{CPUS, MOVES},
    sched::{key_in, publish},
    slices::{Slice, account},
};

#[btf_tracepoint(function = "cgroup_attach_task")]
pub fn cgroup_attach_task(ctx: BtfTracePointContext) -> i32 {
    let timer = Timer::each();
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    cost::count_run(cpu, Program::CgroupAttach);
    let cgroup = Kptr::from_arg(ctx.arg(0));
    // Ids of a version 1 hierarchy are numbered on their own, and nothing is billed by them.
    if cgroup.follow(&CGROUP_ROOT).read::<u32, _>(&CGROUP_ROOT_HIERARCHY_ID) == 0 {
        let task = Kptr::from_arg(ctx.arg(2));
        let is_whole = ctx.arg::<u64>(3) & 0xff != 0;
        let moved = Moved {
            tgid: u64::from(task.read::<u32, _>(&TASK_TGID)),
            pid: if is_whole { 0 } else { u64::from(task.read::<u32, _>(&TASK_PID)) },
            key: key_in(task, cgroup_id(cgroup)).0,
        };
        for of in 0..POSSIBLE_CPUS.load() as u32 {
            moved.tell(of, cpu);
        }
    }
    timer.stop(cpu, Program::CgroupAttach);
    0
}

/// Who was moved, and whose its time is now.
struct Moved {
    tgid: u64,
    /// 0: every thread of the process.
    pid: u64,
    key: u64,
}

impl Moved {
    /// Leaves the move beside the slot of CPU `of`, where the task runs there.
    ///
    /// A CPU that is in the middle of a switch may have read the task's cgroup before the move, so it is told for the slice
    /// that comes. A switch that begins after this look reads the new cgroup.
    #[inline(always)]
    fn tell(&self, of: u32, cpu: u32) {
        let (Some(slot), Some(moves)) = (CPUS.get_ptr_mut(of), MOVES.get_ptr_mut(of)) else { return };
        // SAFETY: valid map values, read and written word by word. Of the slot, `moved` is the movers' to set.
        unsafe {
            let seq = read_volatile(addr_of!((*slot).seq));
            let is_open = seq & 1 == 0;
            let (tgid, pid) = (read_volatile(addr_of!((*slot).tgid)), read_volatile(addr_of!((*slot).pid)));
            if is_open && !is_one_of(tgid, pid, self.tgid, self.pid) {
                return;
            }
            let pid = if is_open { pid } else { self.pid };
            write_volatile(addr_of_mut!((*slot).moved), 1);
            self.note(moves, seq + (seq & 1), pid, cpu);
        }
    }

    /// # Safety
    /// `moves` is a valid map value, and nobody else writes it.
    #[inline(always)]
    unsafe fn note(&self, moves: *mut CpuMoves, slice: u64, pid: u64, cpu: u32) {
        // SAFETY: as the caller says. The clock is read within the turn, see `CpuMoves::turn`.
        unsafe {
            step(addr_of_mut!((*moves).turn));
            let now = bpf_ktime_get_ns();
            if !is_about(moves, slice, self.tgid, pid) {
                write_volatile(addr_of_mut!((*moves).count), 0);
                write_volatile(addr_of_mut!((*moves).slice), slice);
                write_volatile(addr_of_mut!((*moves).tgid), self.tgid);
                write_volatile(addr_of_mut!((*moves).pid), pid);
            }
            let count = read_volatile(addr_of!((*moves).count));
            if count < MOVES_PER_SLICE as u64 {
                let place = addr_of_mut!((*moves).moves).cast::<Move>().add(count as usize);
                write_volatile(addr_of_mut!((*place).at), now);
                write_volatile(addr_of_mut!((*place).key), self.key);
                write_volatile(addr_of_mut!((*moves).count), count + 1);
            } else {
                loss::count(cpu, Program::CgroupAttach, Reason::Full);
            }
            step(addr_of_mut!((*moves).turn));
        }
    }
}

/// Whether a thread is the one, or of the process, that was moved.
#[inline(always)]
fn is_one_of(tgid: u64, pid: u64, moved_tgid: u64, moved_pid: u64) -> bool {
    tgid == moved_tgid && (moved_pid == 0 || moved_pid == pid)
}

/// Whether what is noted is of this slice and thread.
///
/// # Safety
/// `moves` is a valid map value.
#[inline(always)]
unsafe fn is_about(moves: *const CpuMoves, slice: u64, tgid: u64, pid: u64) -> bool {
    // SAFETY: as the caller says.
    let (of, who) = unsafe {
        (
            read_volatile(addr_of!((*moves).slice)),
            (read_volatile(addr_of!((*moves).tgid)), read_volatile(addr_of!((*moves).pid))),
        )
    };
    of == slice && is_one_of(tgid, pid, who.0, who.1)
}

/// Books the parts of a slice that ended with a move, up to `until`; what is open then is the last key's. Returns the key of
/// the root cgroup that was among theirs, of which a task has but one; else 0.
///
/// It takes numbers only, so that the kernel verifies its loop once and by itself, and not for each state of its callers: that
/// took a second at each start.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn share_out(cpu: u32, until: u64) -> u64 {
    let Some(slot) = CPUS.get_ptr_mut(cpu) else { return 0 };
    // SAFETY: this CPU's own slot, as in `sched_switch`.
    let slot = unsafe { &mut *slot };
    publish(&mut slot.moved, 0);
    let Some(moves) = MOVES.get_ptr_mut(cpu) else { return 0 };
    // SAFETY: a valid map value, read word by word.
    let count = unsafe {
        // It was even before this switch.
        if !is_about(moves, slot.seq - 1, slot.tgid, slot.pid) {
            return 0;
        }
        read_volatile(addr_of!((*moves).count))
    };
    let mut of_root = 0;
    for at in 0..MOVES_PER_SLICE {
        if at as u64 >= count {
            break;
        }
        // SAFETY: as above; `at` is inside.
        let (mono, key) = unsafe {
            let part = addr_of!((*moves).moves).cast::<Move>().add(at);
            (read_volatile(addr_of!((*part).at)), read_volatile(addr_of!((*part).key)))
        };
        let end = end_of_part(slot.last, run_queue_clock(slot.pair_mono, slot.pair_rq, mono), until);
        book_part(cpu, slot.key, end - slot.last);
        if slot.key >> 63 == 1 {
            of_root = slot.key;
        }
        publish(&mut slot.last, end);
        publish(&mut slot.key, key);
    }
    of_root
}

/// Verified once and by itself, since it takes numbers only: within the loop above the kernel would go through it for each turn.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn book_part(cpu: u32, key: u64, part: u64) -> u32 {
    let Some(slot) = CPUS.get_ptr_mut(cpu) else { return 0 };
    // SAFETY: this CPU's own slot, as in `sched_switch`.
    let slot = unsafe { &mut *slot };
    let slice = Slice { time: part, shared: shared_part(part, slot.rate) };
    account(slot, cpu, WorkKey(key), slice, None);
    0
}
