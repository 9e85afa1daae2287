//! Where the kernel programs find what they read, resolved from the running kernel's BTF.
//!
//! Offsets, sizes and pointer targets only: the loader freezes the offsets into the programs before
//! the kernel verifies them. Nothing here decides by kernel version, since stable and vendor kernels
//! backport; nothing guesses an offset either: what does not resolve turns its probe off, with a
//! reason. Linux before 5.10 is not supported (`start_boottime` had another name before 5.5).

use std::path::Path;

use super::btf::{Arg, Btf};

mod block;
mod error;
mod process;
mod tcp;
#[cfg(test)]
mod tests;
mod threads;

pub use block::{BlockLayout, DiskLayout, ErrorLayout, NumberLayout, OwnerLayout};
pub use error::{LayoutCause, LoadError};
pub use process::{BytesLayout, ProcessLayout};
pub use tcp::{AddressLayout, CarriedLayout, SockOwnerLayout, TcpLayout};
pub use threads::{QueuedLayout, StateLayout, ThreadsLayout};

/// What each probe needs, or why it cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layouts {
    /// On-CPU time.
    pub sched: Result<SchedLayout, LayoutError>,
    /// Births and deaths of cgroups.
    pub cgroup: Result<CgroupLayout, LayoutError>,
    /// Moves of running tasks to other cgroups.
    pub moves: Result<HierarchyLayout, LayoutError>,
    /// Threads while they are off the CPU.
    pub threads: Result<ThreadsLayout, LayoutError>,
    /// Requests of block devices.
    pub block: Result<BlockLayout, LayoutError>,
    /// Processes.
    pub process: Result<ProcessLayout, LayoutError>,
    /// Connections.
    pub tcp: Result<TcpLayout, LayoutError>,
}

/// Offsets in bytes for the `sched_switch` program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedLayout {
    /// Number of arguments: 3, or 4 where the previous task's state is passed (5.18 and backports).
    pub sched_switch_args: u32,
    /// `task_struct.pid`, 4 bytes.
    pub task_pid: u32,
    /// `task_struct.tgid`, 4 bytes.
    pub task_tgid: u32,
    /// `task_struct.flags`, 4 bytes.
    pub task_flags: u32,
    /// `task_struct.comm`, 16 bytes.
    pub task_comm: u32,
    /// `task_struct.start_boottime`, 8 bytes, nanoseconds of boot time.
    pub task_start_boottime: u32,
    /// `task_struct.group_leader`, pointer to `task_struct`.
    pub task_group_leader: u32,
    /// `task_struct.cgroups`, pointer to `css_set`.
    pub task_cgroups: u32,
    /// `css_set.dfl_cgrp`, pointer to `cgroup`.
    pub css_set_dfl_cgrp: u32,
    /// `cgroup.kn`, pointer to `kernfs_node`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`, 8 bytes.
    pub kernfs_id: u32,
    /// `task_struct.sched_info.last_arrival`, 8 bytes; absent without `CONFIG_SCHED_INFO`.
    pub task_last_arrival: Option<u32>,
    /// How long a task ran since it was switched in.
    pub task_stint: Option<StintLayout>,
    /// The run queue's clock; without it the program reads the clock itself.
    pub clock: Result<ClockLayout, LayoutError>,
}

/// Offsets in bytes of a task's account of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StintLayout {
    /// `task_struct.se.sum_exec_runtime`, 8 bytes, nanoseconds.
    pub total: u32,
    /// `task_struct.se.prev_sum_exec_runtime`, 8 bytes: the former, when it was switched in.
    pub before: u32,
    /// `task_struct.prio`, 4 bytes: only tasks of the fair class, from 100 on, have the latter.
    pub prio: u32,
}

/// Offsets in bytes from a task to its run queue's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLayout {
    /// `task_struct.se.cfs_rq`, pointer to `cfs_rq`.
    pub task_cfs_rq: u32,
    /// `cfs_rq.rq`, pointer to `rq`.
    pub cfs_rq_rq: u32,
    /// `rq.clock`, 8 bytes, nanoseconds.
    pub rq_clock: u32,
    /// `rq.nr_switches`, 8 bytes: tells switches that were not reported.
    pub rq_nr_switches: Option<u32>,
}

/// Offsets in bytes for the `cgroup_mkdir` and `cgroup_rmdir` programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupLayout {
    /// `cgroup.kn`, pointer to `kernfs_node`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`, 8 bytes.
    pub kernfs_id: u32,
    /// Which hierarchy a cgroup is of.
    pub hierarchy: HierarchyLayout,
}

/// Offsets in bytes from a cgroup to the number of its hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HierarchyLayout {
    /// `cgroup.root`, pointer to `cgroup_root`.
    pub cgroup_root: u32,
    /// `cgroup_root.hierarchy_id`, 4 bytes; 0 is the unified hierarchy.
    pub root_hierarchy_id: u32,
}

/// Why a layout did not resolve, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}: {effect}")]
pub struct LayoutError {
    /// What the program loses.
    pub effect: Effect,
    /// What did not resolve.
    pub cause: LayoutCause,
}

/// What follows from a layout that did not resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Effect {
    /// No on-CPU time from the kernel.
    #[error("the sched probe is off")]
    SchedOff,
    /// The program calls `bpf_ktime_get_ns`, which costs more.
    #[error("the sched probe reads the clock by itself")]
    OwnClock,
    /// No events about cgroups.
    #[error("the cgroup probe is off")]
    CgroupOff,
    /// Moves are seen at the next switch.
    #[error("a task that is moved while it runs counts for its old cgroup until it is switched out")]
    MovesLate,
    /// Thread states are not counted.
    #[error("threads are not followed off the CPU")]
    OnCpuOnly,
    /// The time from being woken to being on a CPU is part of what was slept.
    #[error("waits for a CPU are counted for preempted threads only")]
    NoWaits,
    /// Requests of block devices are not counted.
    #[error("block I/O is not counted")]
    BlockOff,
    /// Requests of block devices are counted by device alone.
    #[error("block I/O is counted for no workload")]
    NoBlockOwner,
    /// Forks, execs and exits are not counted.
    #[error("processes are not counted")]
    ProcessOff,
    /// Connections are not counted.
    #[error("connections are not counted")]
    TcpOff,
    /// Connections are counted in no workload's name.
    #[error("connections are counted for no workload")]
    NoSockOwner,
    /// No events: what is counted stays.
    #[error("no events are sent")]
    EventsOff,
}

impl Layouts {
    /// Resolves from a file such as `/sys/kernel/btf/vmlinux`. The file (5 to 10 MB) is held only meanwhile.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let at = || path.to_path_buf();
        let bytes = std::fs::read(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => LoadError::Missing { path: at() },
            _ => LoadError::Read { path: at(), source },
        })?;
        let btf = Btf::parse(&bytes).map_err(|source| LoadError::Parse { path: at(), source })?;
        Ok(resolve(&btf))
    }
}

/// Resolves what all probes need; each fails for itself.
pub fn resolve(btf: &Btf<'_>) -> Layouts {
    let off = |effect| move |cause| LayoutError { effect, cause };
    Layouts {
        sched: sched(btf).map_err(off(Effect::SchedOff)),
        cgroup: cgroup(btf).map_err(off(Effect::CgroupOff)),
        moves: moves(btf).map_err(off(Effect::MovesLate)),
        threads: threads::threads(btf).map_err(off(Effect::OnCpuOnly)),
        block: block::block(btf).map_err(off(Effect::BlockOff)),
        tcp: tcp::tcp(btf).map_err(off(Effect::TcpOff)),
        process: process::process(btf).map_err(off(Effect::ProcessOff)),
    }
}

fn sched(btf: &Btf<'_>) -> Result<SchedLayout, LayoutCause> {
    let sched_switch_args = sched_switch_args(btf)?;
    let [task_pid, task_tgid, task_flags, task_comm, task_start_boottime, task_group_leader, task_cgroups] = offsets(
        btf,
        "task_struct",
        [
            ("pid", Want::Bytes(4)),
            ("tgid", Want::Bytes(4)),
            ("flags", Want::Bytes(4)),
            ("comm", Want::Bytes(16)),
            ("start_boottime", Want::Bytes(8)),
            ("group_leader", Want::Pointer("task_struct")),
            ("cgroups", Want::Pointer("css_set")),
        ],
    )?;
    let [css_set_dfl_cgrp] = offsets(btf, "css_set", [("dfl_cgrp", Want::Pointer("cgroup"))])?;
    let [cgroup_kn] = offsets(btf, "cgroup", [("kn", Want::Pointer("kernfs_node"))])?;
    let [kernfs_id] = offsets(btf, "kernfs_node", [("id", Want::Bytes(8))])?;
    Ok(SchedLayout {
        sched_switch_args,
        task_pid,
        task_tgid,
        task_flags,
        task_comm,
        task_start_boottime,
        task_group_leader,
        task_cgroups,
        css_set_dfl_cgrp,
        cgroup_kn,
        kernfs_id,
        task_last_arrival: optional(btf, "task_struct", "sched_info.last_arrival"),
        task_stint: stint(btf),
        clock: clock(btf).map_err(|cause| LayoutError { effect: Effect::OwnClock, cause }),
    })
}

/// Arguments of `sched_switch`: preempt, previous task, next task, and on newer kernels the state.
fn sched_switch_args(btf: &Btf<'_>) -> Result<u32, LayoutCause> {
    const TASK: Arg<'_> = Arg::Pointer("task_struct");
    let args = btf.tracepoint_args("sched_switch")?;
    let count = u32::try_from(args.len()).ok();
    match (args.as_slice(), count) {
        ([Arg::Bool, TASK, TASK, ..], Some(count)) => Ok(count),
        _ => Err(LayoutCause::Arguments {
            name: "sched_switch",
            expected: "a bool and two pointers to task_struct first",
        }),
    }
}

/// Kernels without `CONFIG_FAIR_GROUP_SCHED` have neither `se.cfs_rq` nor `cfs_rq.rq`.
fn clock(btf: &Btf<'_>) -> Result<ClockLayout, LayoutCause> {
    let [task_cfs_rq] = offsets(btf, "task_struct", [("se.cfs_rq", Want::Pointer("cfs_rq"))])?;
    let [cfs_rq_rq] = offsets(btf, "cfs_rq", [("rq", Want::Pointer("rq"))])?;
    let [rq_clock] = offsets(btf, "rq", [("clock", Want::Bytes(8))])?;
    let rq_nr_switches = optional(btf, "rq", "nr_switches");
    Ok(ClockLayout { task_cfs_rq, cfs_rq_rq, rq_clock, rq_nr_switches })
}

fn stint(btf: &Btf<'_>) -> Option<StintLayout> {
    let fields = [
        ("se.sum_exec_runtime", Want::Bytes(8)),
        ("se.prev_sum_exec_runtime", Want::Bytes(8)),
        ("prio", Want::Bytes(4)),
    ];
    offsets(btf, "task_struct", fields).ok().map(|[total, before, prio]| StintLayout { total, before, prio })
}

/// A word that the programs use where it is there, of the size they read it in.
fn optional(btf: &Btf<'_>, name: &'static str, path: &'static str) -> Option<u32> {
    offsets(btf, name, [(path, Want::Bytes(8))]).ok().map(|[offset]| offset)
}

fn cgroup(btf: &Btf<'_>) -> Result<CgroupLayout, LayoutCause> {
    for name in ["cgroup_mkdir", "cgroup_rmdir"] {
        let args = btf.tracepoint_args(name)?;
        if !matches!(args.as_slice(), [Arg::Pointer("cgroup"), Arg::Text, ..]) {
            return Err(LayoutCause::Arguments { name, expected: "a pointer to cgroup and a path first" });
        }
    }
    let [cgroup_kn] = offsets(btf, "cgroup", [("kn", Want::Pointer("kernfs_node"))])?;
    let [kernfs_id] = offsets(btf, "kernfs_node", [("id", Want::Bytes(8))])?;
    Ok(CgroupLayout { cgroup_kn, kernfs_id, hierarchy: hierarchy(btf)? })
}

/// `cgroup_attach_task` passes the cgroup, its path, the task, and whether all threads of its process were moved.
fn moves(btf: &Btf<'_>) -> Result<HierarchyLayout, LayoutCause> {
    const NAME: &str = "cgroup_attach_task";
    let args = btf.tracepoint_args(NAME)?;
    if !matches!(args.as_slice(), [Arg::Pointer("cgroup"), Arg::Text, Arg::Pointer("task_struct"), Arg::Bool, ..]) {
        return Err(LayoutCause::Arguments {
            name: NAME,
            expected: "a pointer to cgroup, a path, a pointer to task_struct and a bool first",
        });
    }
    hierarchy(btf)
}

fn hierarchy(btf: &Btf<'_>) -> Result<HierarchyLayout, LayoutCause> {
    let [cgroup_root] = offsets(btf, "cgroup", [("root", Want::Pointer("cgroup_root"))])?;
    let [root_hierarchy_id] = offsets(btf, "cgroup_root", [("hierarchy_id", Want::Bytes(4))])?;
    Ok(HierarchyLayout { cgroup_root, root_hierarchy_id })
}

/// What a program takes a member to be.
#[derive(Clone, Copy)]
enum Want {
    /// A value of this size, bytes.
    Bytes(u32),
    /// A pointer to the struct of this name.
    Pointer(&'static str),
}

/// Offsets of members of one struct, each checked against what the program takes it to be.
fn offsets<const N: usize>(
    btf: &Btf<'_>,
    name: &'static str,
    fields: [(&'static str, Want); N],
) -> Result<[u32; N], LayoutCause> {
    let members = btf.members(name, fields.map(|(path, _)| path))?;
    for (member, (path, want)) in members.iter().zip(fields) {
        match want {
            Want::Bytes(expected) if member.size != expected => {
                return Err(LayoutCause::Size { name, path, expected, found: member.size });
            }
            Want::Pointer(expected) if member.pointee != Some(expected) => {
                let found = member.pointee.map(str::to_owned);
                return Err(LayoutCause::Pointee { name, path, expected, found });
            }
            Want::Bytes(_) | Want::Pointer(_) => {}
        }
    }
    Ok(members.map(|member| member.offset))
}
