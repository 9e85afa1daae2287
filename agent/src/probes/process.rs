//! Processes: what the kernel must call this one (the self-test's expectation), and whether another is gone.

use std::{fmt::Display, fs, os::unix::fs::MetadataExt, path::Path};

use super::bpf::Me;
use crate::{
    identity::unified_path,
    units::{Bytes, Nanos},
};

/// The root of a kernfs tree is its first node.
pub const ROOT_CGROUP: u64 = 1;

/// Inode of the initial pid namespace: a constant of the kernel (`PROC_PID_INIT_INO`).
const INIT_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Cgroup id of the root of the hierarchy mounted at `mount`; from inside a container it may be the
/// container's own, so it counts only when it is a root.
pub fn root_cgroup(mount: &Path) -> Option<u64> {
    // Only cgroups below the root have a type.
    let is_root = !mount.join("cgroup.type").exists();
    fs::metadata(mount).ok().filter(|_| is_root).map(|found| found.ino())
}

/// What the kernel program must report while this process runs.
pub fn expected(root: &Path, mount: Option<&Path>, root_cgroup: u64) -> Me {
    Me { cgroup: own_cgroup(root, mount).filter(|id| *id != root_cgroup), tgid: own_tgid(root) }
}

fn own_cgroup(root: &Path, mount: Option<&Path>) -> Option<u64> {
    // From a private cgroup namespace the path leads elsewhere: then any cgroup will do.
    cgroup_id_below(mount?, &unified_cgroup(root, "self")?)
}

/// The path of a process in the unified hierarchy, as this process sees it; `None`: it is gone, or there is none.
pub fn unified_cgroup(root: &Path, pid: impl Display) -> Option<String> {
    let bytes = fs::read(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    unified_path(&String::from_utf8_lossy(&bytes)).map(str::to_owned)
}

/// The id of the cgroup with this path below a mount; `None`: it is not there, or above what is mounted.
pub fn cgroup_id_below(mount: &Path, path: &str) -> Option<u64> {
    let inside = path.strip_prefix('/').filter(|inside| !inside.split('/').any(|part| part == ".."))?;
    fs::metadata(mount.join(inside)).ok().map(|found| found.ino())
}

/// Our pid, where it is the one the kernel uses.
fn own_tgid(root: &Path) -> Option<u32> {
    in_initial_pid_namespace(root).then(std::process::id)
}

/// Whether pids seen here are the kernel's.
pub fn in_initial_pid_namespace(root: &Path) -> bool {
    fs::read_link(root.join("proc/self/ns/pid")).is_ok_and(|link| link.as_os_str() == INIT_PID_NAMESPACE)
}

/// Whether there is a process of this id, one that nobody has waited for yet included.
pub fn is_there(root: &Path, tgid: u32) -> bool {
    root.join(format!("proc/{tgid}")).exists()
}

/// Whether a process, given by pid and start as in its key, is certainly gone.
pub fn is_gone(root: &Path, tgid: u32, start: u64) -> bool {
    match fs::read_to_string(root.join(format!("proc/{tgid}/stat"))) {
        Ok(line) => started(&line).is_some_and(|ticks| !is_same_start(ticks, start)),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The name of a process, given by pid and start as in its key.
pub fn comm(root: &Path, tgid: u32, start: u64) -> Option<[u8; 16]> {
    let line = fs::read_to_string(root.join(format!("proc/{tgid}/stat"))).ok()?;
    let same = in_initial_pid_namespace(root) && is_same_start(started(&line)?, start);
    let (head, _) = line.rsplit_once(')').filter(|_| same)?;
    let (_, name) = head.split_once('(')?;
    let mut comm = [0; 16];
    comm.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    Some(comm)
}

/// Whether a thread is certainly not running now. `false` where that cannot be told.
pub fn is_off_cpu(root: &Path, tid: u32) -> bool {
    let stat = fs::read_to_string(root.join(format!("proc/{tid}/stat")));
    let state = stat.ok().and_then(|line| line.rsplit_once(") ")?.1.chars().next());
    in_initial_pid_namespace(root) && state.is_some_and(|state| state != 'R')
}

/// Field 22 of `/proc/PID/stat`: start since boot in clock ticks. The name, field 2, may hold anything.
fn started(line: &str) -> Option<u64> {
    line.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Ticks are 10 ms, the key counts about milliseconds: the same process if they can be the same moment.
fn is_same_start(ticks: u64, start: u64) -> bool {
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    is_same_moment(Nanos(start << wattrace_common::sched::START_SHIFT), Nanos(ticks.saturating_mul(tick)))
}

/// Whether a start as a key knows it, and one in whole clock ticks, can be the same.
pub fn is_same_moment(from_key: Nanos, from_ticks: Nanos) -> bool {
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    from_ticks.0.abs_diff(from_key.0) <= tick + (1 << wattrace_common::sched::START_SHIFT)
}

/// What this process itself used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnUsage {
    /// CPU time in its own code.
    pub user: Nanos,
    /// CPU time in the kernel.
    pub system: Nanos,
    /// Resident memory.
    pub resident: Bytes,
}

/// Reads `/proc/self/stat`; resolution of the times is one clock tick.
pub fn own_usage(root: &Path) -> Option<OwnUsage> {
    let line = fs::read_to_string(root.join("proc/self/stat")).ok()?;
    let fields: Vec<u64> =
        line.rsplit_once(')')?.1.split_ascii_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    let page = u64::try_from(rustix::param::page_size()).ok()?;
    Some(OwnUsage {
        user: Nanos(fields.get(10)?.saturating_mul(tick)),
        system: Nanos(fields.get(11)?.saturating_mul(tick)),
        resident: Bytes(fields.get(20)?.saturating_mul(page)),
    })
}

/// The name of this host as the kernel has it.
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty() && name != "(none)").then_some(name)
}

/// Number of the network namespace of this process; 0: it cannot be told.
pub fn network(root: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    let namespace = fs::metadata(root.join("proc/self/ns/net"));
    namespace.ok().and_then(|namespace| u32::try_from(namespace.ino()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_start() {
        let line = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 100 200";
        assert_eq!(started(line), Some(4242));
        assert_eq!(started("7 (a"), None);
        assert_eq!(started("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_not_gone_and_has_a_name() {
        let root = Path::new("/");
        if !in_initial_pid_namespace(root) {
            println!("SKIPPED: not in the initial pid namespace");
            return;
        }
        let me = std::process::id();
        let ticks = started(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        let start = (ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second())) >> 20;
        assert!(!is_gone(root, me, start));
        assert!(is_gone(root, me, start + 1_000));
        assert!(comm(root, me, start).is_some_and(|name| name[0] != 0));
        assert_eq!(comm(root, me, start + 1_000), None);
    }
}
