//! Attaches single programs to their tracepoints: with a spare, where one is needed. Which there are to attach, and when, `load.rs` knows.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use aya::{Btf, Ebpf, programs::BtfTracePoint};

use super::{
    refusal::{LoadError, refused},
    wanted::Spares,
};

/// The program of a tracepoint, and its spare.
pub(super) const EXEC: (&str, &str) = ("sched_process_exec", "sched_process_exec_spare");
/// Likewise.
pub(super) const TCP_STATE: (&str, &str) = ("inet_sock_set_state", "inet_sock_set_state_spare");
const BLOCK: [&str; 3] = ["block_rq_complete", "block_rq_issue", "block_rq_requeue"];

/// Attaches the program of a tracepoint, which has its name.
pub(super) fn attach(ebpf: &mut Ebpf, name: &'static str, btf: &Btf) -> Result<(), LoadError> {
    attach_at(ebpf, name, name, btf)
}

/// A program and its spare. The spare comes last, and so the kernel runs it after the other.
pub(super) fn attach_both(
    ebpf: &mut Ebpf,
    (name, spare): (&'static str, &'static str),
    spares: Spares,
    btf: &Btf,
) -> Result<(), LoadError> {
    if spares != Spares::Alone {
        attach(ebpf, name, btf)?;
    }
    if spares == Spares::None { Ok(()) } else { attach_at(ebpf, spare, name, btf) }
}

fn attach_at(ebpf: &mut Ebpf, name: &'static str, tracepoint: &str, btf: &Btf) -> Result<(), LoadError> {
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    let program: &mut BtfTracePoint = program.try_into().map_err(|_| LoadError::Missing(name))?;
    program.load(tracepoint, btf).map_err(|error| refused(name, &error))?;
    program.attach().map_err(|error| refused(name, &error))?;
    Ok(())
}

/// Of those that run with interrupts on, the last that could count what the others were not run for. Not `sched_process_exit`, which
/// counts nothing by itself.
pub(super) fn interruptible(ebpf: &Ebpf, spares: Spares) -> Vec<(&'static str, RawFd)> {
    let last = |(name, spare)| (name, if spares == Spares::None { name } else { spare });
    let all = BLOCK.map(|name| (name, name)).into_iter().chain([EXEC, TCP_STATE].map(last));
    all.filter_map(|(name, last)| Some((name, program_descriptor(ebpf, last)?))).collect()
}

/// `None` for a program that is not loaded.
fn program_descriptor(ebpf: &Ebpf, name: &str) -> Option<RawFd> {
    Some(ebpf.program(name)?.fd().ok()?.as_fd().as_raw_fd())
}
