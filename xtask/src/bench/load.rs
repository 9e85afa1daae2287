//! The load: `perf bench sched pipe`, two processes that wake each other, and where it runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::shell;

/// Where the two processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Place {
    /// On CPU 0, in a cgroup of their own: each switch is from one to the other
    Pinned,
    /// The same in the root cgroup, where each process is a workload of its own
    Root,
    /// In a cgroup of their own, on any CPU: most switches are from or to idle
    Unpinned,
}

impl Place {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Pinned, Self::Root, Self::Unpinned];

    /// For a heading.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Pinned => "Pinned to one CPU, in a cgroup of its own",
            Self::Root => "Pinned to one CPU, in the root cgroup (a workload per process)",
            Self::Unpinned => "On any CPU, in a cgroup of its own",
        }
    }
}

/// How fast the benchmark was, in microseconds per operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speed {
    /// By its own clock: whoever else runs on that CPU is in it.
    pub(super) wall: f64,
    /// CPU time of its processes.
    pub(super) cpu: f64,
}

/// The load in a place.
pub(super) struct Load {
    place: Place,
    cgroup: Cgroup,
}

/// A cgroup that is removed when dropped. One left behind by a run that was interrupted is taken over.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new() -> Result<Self> {
        let path = mount()?.join("wattrace-bench");
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Nothing depends on it: the next run takes it over.
        fs::remove_dir(&self.0).ok();
    }
}

/// Where the unified hierarchy is mounted.
pub(super) fn mount() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    mount_of(&mounts).map(Path::to_path_buf).context("there is no cgroup2 mount")
}

/// The first mount of the unified hierarchy.
fn mount_of(mounts: &str) -> Option<&Path> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| Path::new(path))
    })
}

impl Load {
    /// Nothing runs yet.
    pub(super) fn new(place: Place) -> Result<Self> {
        Ok(Self { place, cgroup: Cgroup::new()? })
    }

    /// Runs `operations` of the benchmark: each is two switches, there and back.
    pub(super) fn run(&self, operations: u64) -> Result<Speed> {
        let text = shell::output(&mut self.command(operations))?;
        let wall = usecs_per_op(&text).with_context(|| format!("`perf bench sched pipe` gave no usecs/op: {text}"))?;
        let cpu = cpu_seconds(&text).with_context(|| format!("bash gave no CPU time: {text}"))?;
        Ok(Speed { wall, cpu: cpu * 1e6 / operations as f64 })
    }

    fn command(&self, operations: u64) -> Command {
        // A shell moves itself, so that nothing of the load runs elsewhere first.
        const MOVE: &str = "echo $$ > \"$1/cgroup.procs\" && shift && { TIMEFORMAT='cpu %3U %3S'; time \"$@\"; } 2>&1";
        let mut command = shell::command("bash");
        command.env("LC_ALL", "C").args(["-c", MOVE, "bash"]);
        let home = if self.place == Place::Root { self.cgroup.0.parent() } else { None };
        command.arg(home.unwrap_or(&self.cgroup.0));
        if self.place != Place::Unpinned {
            command.args(["taskset", "-c", "0"]);
        }
        command.args(["perf", "bench", "sched", "pipe", "-l", &operations.to_string()]);
        command
    }
}

fn usecs_per_op(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.trim().strip_suffix("usecs/op"))?;
    line.trim().parse().ok().filter(|usecs: &f64| *usecs > 0.0)
}

/// User and system time, as bash was asked to print them.
fn cpu_seconds(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    line.split(' ').map(str::parse::<f64>).sum::<Result<f64, _>>().ok().filter(|seconds| *seconds > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system() {
        assert_eq!(cpu_seconds("x\ncpu 0.250 1.500\n"), Some(1.75));
        assert_eq!(cpu_seconds("cpu 0.000 0.000\n"), None);
        assert_eq!(cpu_seconds("cpu x\n"), None);
    }

    #[test]
    fn the_figure_is_read_from_what_perf_prints() {
        let text = "# Running 'sched/pipe' benchmark:\n\n     Total time: 1.100 [sec]\n\n       5.500785 usecs/op\n         181792 ops/sec\n";
        assert_eq!(usecs_per_op(text), Some(5.500_785));
        assert_eq!(usecs_per_op("0 usecs/op"), None);
        assert_eq!(usecs_per_op(""), None);
    }

    #[test]
    fn the_unified_hierarchy_is_found_among_the_others() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_of(mounts), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of("tmpfs /cgroup2 tmpfs rw 0 0"), None);
    }
}
