//! Where the programs find what a process is made of, and how it ends.

use super::{Arg, Btf, LayoutCause, StateLayout, Want, offsets, threads};

/// Offsets in bytes for the programs at `sched_wakeup_new` and `sched_process_*`, and for what `sched_switch` does for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessLayout {
    /// What says that a task leaves for good.
    pub state: StateLayout,
    /// `task_struct.se.sum_exec_runtime`, 8 bytes, nanoseconds.
    pub sum_exec_runtime: u32,
    /// `task_struct.signal`, pointer to `signal_struct`.
    pub signal: u32,
    /// `task_struct.real_parent`, pointer to `task_struct`.
    pub real_parent: u32,
    /// `task_struct.mm`, pointer to `mm_struct`.
    pub mm: u32,
    /// `task_struct.exit_code`, 4 bytes.
    pub exit_code: u32,
    /// `signal_struct.live`, 4 bytes.
    pub live: u32,
    /// `signal_struct.nr_threads`, 4 bytes.
    pub nr_threads: u32,
    /// `signal_struct.flags`, 4 bytes.
    pub flags: u32,
    /// `signal_struct.group_exit_code`, 4 bytes.
    pub group_exit_code: u32,
    /// `signal_struct.oom_mm`, a pointer.
    pub oom_mm: u32,
    /// `signal_struct.sum_sched_runtime`, 8 bytes, nanoseconds.
    pub sum_sched_runtime: u32,
    /// `mm_struct.arg_start`, 8 bytes.
    pub arg_start: u32,
    /// `mm_struct.arg_end`, 8 bytes.
    pub arg_end: u32,
    /// `linux_binprm.filename`, a pointer.
    pub filename: u32,
    /// Whether programs may be told the task that runs as what it is: from 5.11 on.
    pub tells_current_task: bool,
    /// Bytes read and written; absent without `CONFIG_TASK_IO_ACCOUNTING`.
    pub bytes: Option<BytesLayout>,
}

/// Offsets in bytes of the account of bytes that a task reads from storage and has written to it, 8 bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesLayout {
    /// `task_struct.ioac.read_bytes`
    pub read: u32,
    /// `task_struct.ioac.write_bytes`
    pub written: u32,
    /// `signal_struct.ioac.read_bytes`
    pub read_before: u32,
    /// `signal_struct.ioac.write_bytes`
    pub written_before: u32,
}

pub(super) fn process(btf: &Btf<'_>) -> Result<ProcessLayout, LayoutCause> {
    arguments(btf)?;
    let [sum_exec_runtime, signal, real_parent, mm, exit_code] = offsets(
        btf,
        "task_struct",
        [
            ("se.sum_exec_runtime", Want::Bytes(8)),
            ("signal", Want::Pointer("signal_struct")),
            ("real_parent", Want::Pointer("task_struct")),
            ("mm", Want::Pointer("mm_struct")),
            ("exit_code", Want::Bytes(4)),
        ],
    )?;
    let [live, nr_threads, flags, group_exit_code, oom_mm, sum_sched_runtime] = offsets(
        btf,
        "signal_struct",
        [
            ("live.counter", Want::Bytes(4)),
            ("nr_threads", Want::Bytes(4)),
            ("flags", Want::Bytes(4)),
            ("group_exit_code", Want::Bytes(4)),
            ("oom_mm", Want::Pointer("mm_struct")),
            ("sum_sched_runtime", Want::Bytes(8)),
        ],
    )?;
    let [arg_start, arg_end] = offsets(btf, "mm_struct", [("arg_start", Want::Bytes(8)), ("arg_end", Want::Bytes(8))])?;
    let [filename] = offsets(btf, "linux_binprm", [("filename", Want::Bytes(8))])?;
    Ok(ProcessLayout {
        state: threads::state(btf)?,
        sum_exec_runtime,
        signal,
        real_parent,
        mm,
        exit_code,
        live,
        nr_threads,
        flags,
        group_exit_code,
        oom_mm,
        sum_sched_runtime,
        arg_start,
        arg_end,
        filename,
        tells_current_task: btf.enumerator("bpf_func_id", "BPF_FUNC_get_current_task_btf").is_some(),
        bytes: bytes(btf),
    })
}

fn bytes(btf: &Btf<'_>) -> Option<BytesLayout> {
    let of = |name| offsets(btf, name, [("ioac.read_bytes", Want::Bytes(8)), ("ioac.write_bytes", Want::Bytes(8))]);
    let ([read, written], [read_before, written_before]) = (of("task_struct").ok()?, of("signal_struct").ok()?);
    Some(BytesLayout { read, written, read_before, written_before })
}

/// A task that is new passes itself, an exec the task, its id before and the program, an exit the task first.
fn arguments(btf: &Btf<'_>) -> Result<(), LayoutCause> {
    const TASK: Arg<'_> = Arg::Pointer("task_struct");
    let wrong = |name, expected| Err(LayoutCause::Arguments { name, expected });
    if !matches!(btf.tracepoint_args("sched_wakeup_new")?.as_slice(), [TASK, ..]) {
        return wrong("sched_wakeup_new", "a pointer to task_struct first");
    }
    let exec = btf.tracepoint_args("sched_process_exec")?;
    if !matches!(exec.as_slice(), [TASK, Arg::Int { size: 4, .. }, Arg::Pointer("linux_binprm"), ..]) {
        return wrong("sched_process_exec", "pointers to task_struct and linux_binprm around a number first");
    }
    match btf.tracepoint_args("sched_process_exit")?.as_slice() {
        [TASK, ..] => Ok(()),
        _ => wrong("sched_process_exit", "a pointer to task_struct first"),
    }
}

#[cfg(test)]
mod tests;
