//! `cgroup_mkdir` and `cgroup_rmdir`: births and deaths of cgroups of the unified hierarchy.

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_probe_read_kernel_str_bytes},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    cgroup::{CgroupEvent, Change, HEADER},
    limits::CGROUP_PATH_MAX,
    loss::{Program, Reason},
};

use crate::{
    cost::{self, Timer},
    kernel::*,
    loss,
    maps::{CGROUP_EVENTS, SCRATCH},
};

#[btf_tracepoint(function = "cgroup_mkdir")]
pub fn cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    measured(&ctx, Program::CgroupMkdir, Change::Born);
    0
}

#[btf_tracepoint(function = "cgroup_rmdir")]
pub fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    measured(&ctx, Program::CgroupRmdir, Change::Died);
    0
}

#[inline(always)]
fn measured(ctx: &BtfTracePointContext, program: Program, change: Change) {
    let timer = Timer::each();
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    cost::count_run(cpu, program);
    report(ctx, cpu, program, change);
    timer.stop(cpu, program);
}

#[inline(always)]
fn report(ctx: &BtfTracePointContext, cpu: u32, program: Program, change: Change) {
    let cgroup = Kptr::from_arg(ctx.arg(0));
    // Ids of a version 1 hierarchy are numbered on their own and collide with ours.
    if cgroup.follow(&CGROUP_ROOT).read::<u32, _>(&CGROUP_ROOT_HIERARCHY_ID) != 0 {
        return;
    }
    let Some(event) = SCRATCH.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own scratch value; the kernel holds cgroup_mutex around both tracepoints, so
    // no two of these programs run at once.
    let event = unsafe { &mut *event };
    event.id = cgroup_id(cgroup);
    // SAFETY: the helper has no preconditions.
    event.at = unsafe { bpf_ktime_get_ns() };
    event.change = change as u32;
    let len = copy_path(ctx.arg(1), &mut event.path, cpu, program);
    event.path_len = len as u32;
    if send(event, len).is_err() {
        loss::count(cpu, program, Reason::Full);
    }
}

/// Copies the path, counts it when it had to be cut; returns its length.
#[inline(always)]
fn copy_path(path: *const u8, into: &mut [u8; CGROUP_PATH_MAX], cpu: u32, program: Program) -> usize {
    // SAFETY: the helper checks the address and fails on one that cannot be read.
    let len = match unsafe { bpf_probe_read_kernel_str_bytes(path, into) } {
        Ok(bytes) => bytes.len(),
        Err(_) => 0,
    };
    if len == 0 || len >= CGROUP_PATH_MAX - 1 {
        loss::count(cpu, program, Reason::Partial);
    }
    len & (CGROUP_PATH_MAX - 1)
}

#[inline(always)]
fn send(event: &CgroupEvent, len: usize) -> Result<(), i32> {
    // SAFETY: `event` is CgroupEvent-sized and `len` is below the size of its last field.
    let bytes =
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(event).cast::<u64>().cast::<u8>(), HEADER + len) };
    CGROUP_EVENTS.output::<[u8]>(bytes, 0)
}
