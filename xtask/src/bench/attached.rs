//! What is attached to the kernel during a window, and what the kernel says it ran.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, loaded_programs},
    sys::{Stats, enable_stats},
};

use crate::shell::{self, Background};

/// How long a tool may take to attach.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// After attaching: what a tool does once is over.
const SETTLE: Duration = Duration::from_millis(300);

/// A contender that is attached until it is dropped.
pub(super) struct Attached {
    programs: BTreeSet<u32>,
    _by: By,
}

/// Who holds the programs.
enum By {
    Nobody,
    Us { _ebpf: Vec<Ebpf> },
    Tools { _processes: Vec<Background> },
}

/// Runs of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs {
    /// As the kernel knows it.
    pub(super) id: u32,
    /// Name, cut to 15 characters by the kernel.
    pub(super) name: String,
    /// How often it ran.
    pub(super) count: u64,
    /// Nanoseconds in all.
    pub(super) time: u64,
}

/// Nothing at all.
pub(super) fn nothing() -> Attached {
    Attached { programs: BTreeSet::new(), _by: By::Nobody }
}

/// The program that does nothing, of the object `object`, on each of some tracepoints.
pub(super) fn empty(object: &[u8], tracepoints: &[&str]) -> Result<Attached> {
    let btf = Btf::from_sys_fs().context("cannot read the kernel's types")?;
    let (mut programs, mut held) = (BTreeSet::new(), Vec::new());
    for tracepoint in tracepoints {
        let mut ebpf = Ebpf::load(object).context("cannot load the empty program")?;
        let program: &mut BtfTracePoint =
            ebpf.program_mut("empty").context("there is no program `empty`")?.try_into()?;
        program.load(tracepoint, &btf).with_context(|| format!("cannot load the empty program for {tracepoint}"))?;
        program.attach().with_context(|| format!("cannot attach the empty program to {tracepoint}"))?;
        programs.insert(program.info()?.id());
        held.push(ebpf);
    }
    shell::pause(SETTLE);
    Ok(Attached { programs, _by: By::Us { _ebpf: held } })
}

/// Those that other processes attach.
pub(super) fn tools(commands: Vec<Command>) -> Result<Attached> {
    let mut processes = Vec::new();
    for mut command in commands {
        let mut process = Background::start(&mut command)?;
        until_it_attaches(&mut process, &command)?;
        processes.push((process, command));
    }
    shell::pause(SETTLE);
    let mut programs = BTreeSet::new();
    for (process, command) in &mut processes {
        // The first link may have been seen before the last was made.
        programs.extend(linked_programs(process.pid()));
        ensure!(process.is_running(), "`{}` ended by itself", shell::shown(command));
    }
    Ok(Attached {
        programs,
        _by: By::Tools { _processes: processes.into_iter().map(|(process, _)| process).collect() },
    })
}

/// Waits for the first.
fn until_it_attaches(process: &mut Background, command: &Command) -> Result<()> {
    let tries = PATIENCE.as_millis() / LOOK_AGAIN.as_millis();
    for _ in 0..tries {
        if !linked_programs(process.pid()).is_empty() {
            return Ok(());
        }
        ensure!(process.is_running(), "`{}` ended by itself before it attached anything", shell::shown(command));
        shell::pause(LOOK_AGAIN);
    }
    bail!("`{}` attached nothing within {PATIENCE:?}", shell::shown(command))
}

/// Ids of the programs that a process holds links to.
fn linked_programs(pid: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    entries.filter_map(|entry| linked_program(&fs::read_to_string(entry.path()).ok()?)).collect()
}

fn linked_program(fdinfo: &str) -> Option<u32> {
    let field = |name: &str| fdinfo.lines().find_map(|line| line.strip_prefix(name));
    field("link_type:")?;
    field("prog_id:")?.trim().parse().ok()
}

impl Attached {
    /// Does some work with the kernel's run-time statistics on; what its programs did meanwhile.
    pub(super) fn measured<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Runs>)> {
        // On for as long as the descriptor lives: the kernel ends them even if this process is killed.
        let _statistics = enable_stats(Stats::RunTime).context("cannot switch run-time statistics on")?;
        let before = self.runs()?;
        let done = work()?;
        Ok((done, between(&before, &self.runs()?)))
    }

    /// What its programs did since they were loaded, as far as statistics were on.
    fn runs(&self) -> Result<Vec<Runs>> {
        let mut found = Vec::new();
        for program in loaded_programs() {
            // Others' programs may go away while the list is read.
            let Ok(program) = program else { continue };
            if self.programs.contains(&program.id()) {
                found.push(Runs {
                    id: program.id(),
                    name: program.name_as_str().unwrap_or("?").to_owned(),
                    count: program.run_count(),
                    time: u64::try_from(program.run_time().as_nanos()).unwrap_or(u64::MAX),
                });
            }
        }
        ensure!(found.len() == self.programs.len(), "a program went away while it was measured");
        Ok(found)
    }
}

/// What to do about a tool that is not there.
pub(super) fn missing(tool: &str) -> String {
    format!("there is no `{tool}`: install the Debian package libbpf-tools, or run `cargo xtask setup --tests`")
}

/// Whether this process may measure kernel programs, for a verb of `cargo xtask bench`.
pub(super) fn ensure_measurable(verb: &str) -> Result<()> {
    ensure!(shell::is_root(), "attaching kernel programs needs root: run `sudo -E cargo xtask bench {verb}`");
    ensure!(
        !statistics_are_on(),
        "run-time statistics are on for all programs: set kernel.bpf_stats_enabled to 0 first"
    );
    Ok(())
}

/// Whether statistics are on for good, so that no window can be without.
fn statistics_are_on() -> bool {
    fs::read_to_string(Path::new("/proc/sys/kernel/bpf_stats_enabled")).is_ok_and(|text| text.trim() != "0")
}

/// The runs between two readings.
fn between(before: &[Runs], after: &[Runs]) -> Vec<Runs> {
    let earlier = |id| before.iter().find(|runs| runs.id == id).map_or((0, 0), |runs| (runs.count, runs.time));
    let delta = |runs: &Runs| {
        let (count, time) = earlier(runs.id);
        Runs { count: runs.count.saturating_sub(count), time: runs.time.saturating_sub(time), ..runs.clone() }
    };
    after.iter().map(delta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_count() {
        assert_eq!(linked_program("pos:\t0\nlink_type:\traw_tracepoint\nlink_id:\t4\nprog_id:\t423\n"), Some(423));
        assert_eq!(linked_program("pos:\t0\nprog_type:\t26\nprog_id:\t423\n"), None);
        assert_eq!(linked_program("link_type:\titer\n"), None);
    }

    #[test]
    fn runs_are_what_came_on_top() {
        let runs = |id, count, time| Runs { id, name: "x".to_owned(), count, time };
        let after = [runs(1, 10, 500), runs(2, 7, 70)];
        assert_eq!(between(&[runs(1, 4, 200)], &after), [runs(1, 6, 300), runs(2, 7, 70)]);
        assert_eq!(between(&[], &[]), []);
    }
}
