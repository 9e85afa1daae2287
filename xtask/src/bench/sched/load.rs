//! The loads: `perf bench sched pipe`, two processes that wake each other, and those of the workspace's own `switches`.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{bench::cgroup::Cgroup, shell};

/// Operations of perf's benchmark that tell how many fill a window.
const TRIAL: u64 = 50_000;
/// Cgroups with sleepers.
const CGROUPS: u32 = 8;
/// Sleepers in each, and for how many microseconds they sleep in the mean.
const SLEEPERS: [&str; 2] = ["8", "16000"];

/// What switches tasks, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Place {
    /// perf's pipe on CPU 0, in a cgroup of its own: each switch is from one process to the other
    Pinned,
    /// The same in the root cgroup, where each process is a workload of its own
    Root,
    /// perf's pipe in a cgroup of its own, on any CPU: most switches are from or to idle
    Unpinned,
    /// Many sleepers in several cgroups on mostly idle CPUs, with cold caches
    Mixed,
    /// Pairs on all CPUs at once, in one cgroup
    Contended,
    /// The same pairs, held at 10,000 switches a second in all
    #[value(name = "10k")]
    At10k,
    /// The same at 100,000
    #[value(name = "100k")]
    At100k,
    /// The same at 300,000
    #[value(name = "300k")]
    At300k,
}

impl Place {
    /// All of them.
    pub(super) const ALL: [Self; 8] = [
        Self::Pinned,
        Self::Root,
        Self::Unpinned,
        Self::Mixed,
        Self::Contended,
        Self::At10k,
        Self::At100k,
        Self::At300k,
    ];

    /// For a heading.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Pinned => "Hot: pinned to one CPU, in a cgroup of its own",
            Self::Root => "Hot: pinned to one CPU, in the root cgroup (a workload per process)",
            Self::Unpinned => "On any CPU, in a cgroup of its own",
            Self::Mixed => "Mixed: sleepers in several cgroups on mostly idle CPUs, cold caches",
            Self::Contended => "Contention: all CPUs switch in one cgroup",
            Self::At10k => "10,000 switches a second",
            Self::At100k => "100,000 switches a second",
            Self::At300k => "300,000 switches a second",
        }
    }

    /// Switches a second that it is held at.
    pub(super) fn rate(self) -> Option<u64> {
        match self {
            Self::At10k => Some(10_000),
            Self::At100k => Some(100_000),
            Self::At300k => Some(300_000),
            _ => None,
        }
    }

    /// Whether the tools of others are measured there too.
    pub(super) fn is_for_all(self) -> bool {
        matches!(self, Self::Pinned | Self::Mixed)
    }

    /// Whether perf makes the load.
    pub(super) fn is_pipe(self) -> bool {
        matches!(self, Self::Pinned | Self::Root | Self::Unpinned)
    }
}

/// How fast a load was, in microseconds per operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speed {
    /// By its own clock: whoever else runs on that CPU is in it. `None` for a load that waits.
    pub(super) wall: Option<f64>,
    /// CPU time of its processes.
    pub(super) cpu: f64,
}

/// A load that can be run again and again, for about the same time.
pub(super) struct Load {
    place: Place,
    seconds: u32,
    /// Of perf's benchmark, in a window.
    operations: u64,
    // Before the one that they are in: they are dropped in this order.
    inner: Vec<Cgroup>,
    cgroup: Cgroup,
}

impl Load {
    /// Nothing runs yet when this returns.
    pub(super) fn new(place: Place, seconds: u32) -> Result<Self> {
        let cgroup = Cgroup::new("wattrace-bench")?;
        let names = (0..if place == Place::Mixed { CGROUPS } else { 0 }).map(|number| format!("sleepers-{number}"));
        let inner = names.map(|name| cgroup.child(&name)).collect::<Result<_>>()?;
        let mut load = Self { place, seconds, operations: TRIAL, inner, cgroup };
        if place.is_pipe() {
            let trial = load.run()?.wall.context("perf has a clock")?;
            load.operations = operations(trial, seconds);
        }
        Ok(load)
    }

    /// Runs it for a window.
    pub(super) fn run(&self) -> Result<Speed> {
        if !self.place.is_pipe() {
            let text = shell::output(&mut self.switches())?;
            return speed(&text, self.seconds, self.place == Place::Contended)
                .with_context(|| format!("`switches` gave no operations: {text}"));
        }
        let text = shell::output(&mut self.pipe())?;
        let wall = usecs_per_op(&text).with_context(|| format!("`perf bench sched pipe` gave no usecs/op: {text}"))?;
        let cpu = cpu_seconds(&text).with_context(|| format!("bash gave no CPU time: {text}"))?;
        Ok(Speed { wall: Some(wall), cpu: cpu * 1e6 / self.operations as f64 })
    }

    fn pipe(&self) -> Command {
        // A shell moves itself, so that nothing of the load runs elsewhere first.
        const MOVE: &str = "echo $$ > \"$1/cgroup.procs\" && shift && { TIMEFORMAT='cpu %3U %3S'; time \"$@\"; } 2>&1";
        let mut command = shell::command("bash");
        command.env("LC_ALL", "C").args(["-c", MOVE, "bash"]);
        let own = self.cgroup.path();
        let home = if self.place == Place::Root { own.parent() } else { None };
        command.arg(home.unwrap_or(own));
        if self.place != Place::Unpinned {
            command.args(["taskset", "-c", "0"]);
        }
        command.args(["perf", "bench", "sched", "pipe", "-l", &self.operations.to_string()]);
        command
    }

    fn switches(&self) -> Command {
        let mut command = shell::command(shell::built("release", "switches"));
        let seconds = self.seconds.to_string();
        if self.place == Place::Mixed {
            command.args(["sleepers", &seconds]).args(SLEEPERS).args(self.inner.iter().map(Cgroup::path));
        } else {
            let rate = self.place.rate().unwrap_or(0).to_string();
            command.args(["pairs", &seconds, &rate]).arg(self.cgroup.path());
        }
        command
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and a saturated count is long enough"
)]
fn operations(usecs: f64, seconds: u32) -> u64 {
    (f64::from(seconds) * 1e6 / usecs).ceil() as u64
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

/// What `switches` says. Only one that never waits is slower by the clock when a switch is.
fn speed(text: &str, seconds: u32, is_flat_out: bool) -> Option<Speed> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["operations", operations, "cpu_ns", nanos] = words.as_slice() else { return None };
    let operations = operations.parse().ok().filter(|count: &f64| *count > 0.0)?;
    let nanos: f64 = nanos.parse().ok()?;
    let wall = is_flat_out.then(|| f64::from(seconds) * 1e6 / operations);
    Some(Speed { wall, cpu: nanos / 1e3 / operations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_filled_with_operations() {
        assert_eq!(operations(5.0, 2), 400_000);
        assert_eq!(operations(3.0, 1), 333_334);
    }

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
    fn a_load_that_waits_has_no_speed_by_the_clock() {
        let text = "operations 1000 cpu_ns 5000000\n";
        assert_eq!(speed(text, 2, true), Some(Speed { wall: Some(2_000.0), cpu: 5.0 }));
        assert_eq!(speed(text, 2, false), Some(Speed { wall: None, cpu: 5.0 }));
        assert_eq!(speed("operations 0 cpu_ns 5\n", 2, true), None);
        assert_eq!(speed("", 2, true), None);
    }
}
