//! Who is compared on one load, and rounds of alternating windows of it. What follows from them is in `compare.rs`.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use super::attached::{self, Attached, Runs};
use crate::shell;

/// One of those that are compared.
#[derive(Debug)]
pub(super) struct Contender {
    /// For a table.
    pub(super) title: &'static str,
    /// Who attaches its programs.
    pub(super) by: By,
    /// How the names of those of its programs begin that count; all of them if none is said.
    pub(super) programs: &'static [&'static str],
    /// A part of the name of the program that runs once per operation; without one the load says how many there were.
    pub(super) mark: Option<&'static str>,
    /// Whose figures of the same round are taken off for the net ones.
    pub(super) off: &'static [&'static Contender],
    /// What was attached before its programs came: the load's rate is compared with that.
    pub(super) before: Option<&'static Contender>,
}

/// How programs come to be attached.
#[derive(Debug)]
pub(super) enum By {
    /// There are none.
    Nobody,
    /// The program that does nothing, on these tracepoints.
    Empty(&'static [&'static str]),
    /// The agent's, of a level of the program `attach`.
    Level(&'static str),
    /// Tools of others, with their arguments.
    Tools(&'static [&'static [&'static str]]),
}

/// Attempts at a window.
const TRIES: u32 = 3;

/// The load alone. What is left out of another contender is as it is here.
pub(super) const NOTHING: Contender =
    Contender { title: "nothing", by: By::Nobody, programs: &[], mark: None, off: &[], before: None };

/// What one contender did in one round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// Operations a second, statistics off.
    pub(super) rate: f64,
    /// CPU time of the load's processes, in microseconds per operation, statistics off. `None` where others do its work.
    pub(super) cpu: Option<f64>,
    /// Operations with statistics on.
    pub(super) operations: u64,
    /// Those of its programs that count, statistics on.
    pub(super) programs: Vec<Runs>,
}

/// All rounds of one contender.
pub(super) struct Row {
    pub(super) who: &'static Contender,
    /// One per round.
    pub(super) windows: Vec<Window>,
}

impl Contender {
    fn attach(&self, empty: &[u8]) -> Result<Attached> {
        match self.by {
            By::Nobody => Ok(attached::nothing()),
            By::Empty(tracepoints) => attached::empty(empty, tracepoints),
            By::Level(level) => {
                let mut command = shell::command(shell::built("release", "attach"));
                command.arg(level);
                attached::tools(vec![command])
            }
            By::Tools(tools) => attached::tools(tools.iter().map(|words| tool(words)).collect::<Result<_>>()?),
        }
    }

    fn counts(&self, runs: &Runs) -> bool {
        self.programs.is_empty() || self.programs.iter().any(|start| runs.name.starts_with(start))
    }

    /// Operations that were seen, of those that were asked for.
    fn operations(&self, programs: &[Runs], asked: u64) -> u64 {
        let Some(mark) = self.mark else { return asked };
        programs.iter().filter(|runs| runs.name.contains(mark)).map(|runs| runs.count).max().unwrap_or(0)
    }
}

/// A tool and its arguments. It may have to mount a file system of the kernel for itself.
fn tool(words: &[&str]) -> Result<Command> {
    const MOUNT: &str = "mount -t tracefs none /sys/kernel/tracing; exec \"$@\"";
    let (name, args) = words.split_first().context("a tool has a name")?;
    let program = shell::find_program(name).with_context(|| attached::missing(name))?;
    let mut command = if Path::new("/sys/kernel/tracing/events").exists() {
        shell::command(program)
    } else {
        let mut command = shell::command("unshare");
        command.args(["--mount", "sh", "-c", MOUNT, "sh"]).arg(program);
        command
    };
    command.args(args);
    Ok(command)
}

/// Whether the tools of all contenders are installed.
pub(super) fn ensure_tools(contenders: &[&Contender]) -> Result<()> {
    for contender in contenders {
        if let By::Tools(tools) = contender.by {
            tools.iter().try_for_each(|words| tool(words).map(drop))?;
        }
    }
    Ok(())
}

/// Lets each row have one window per round.
pub(super) fn in_turns<R>(
    rows: &mut [R],
    rounds: u32,
    mut window: impl FnMut(&mut R, u32) -> Result<()>,
) -> Result<()> {
    for round in 0..rounds {
        let mut turn: Vec<_> = rows.iter_mut().collect();
        // There and back: what drifts during a round meets everybody alike.
        if round % 2 == 1 {
            turn.reverse();
        }
        for row in turn {
            window(row, round)?;
        }
    }
    Ok(())
}

/// A load that can be run again and again.
pub(super) trait Load {
    /// Operations of a run.
    fn operations(&self) -> u64;

    /// Does them, from the first to the end of the last.
    fn run(&mut self) -> Result<()>;

    /// CPU time that its processes took until now, if they do all of its work.
    fn cpu(&self) -> Result<Option<Duration>>;
}

/// Measures all contenders; `empty` is the object of the program that does nothing.
pub(super) fn measure(
    contenders: &[&'static Contender],
    rounds: u32,
    empty: &[u8],
    load: &mut impl Load,
) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = contenders.iter().map(|who| Row { who, windows: Vec::new() }).collect();
    in_turns(&mut rows, rounds, |row, round| {
        shell::progress(format_args!("bench: round {} of {rounds}, {}", round + 1, row.who.title));
        row.windows.push(patiently(|| window(row.who, empty, load))?);
        Ok(())
    })?;
    Ok(rows)
}

/// A window that another program disturbed so that it cannot count is measured again.
fn patiently<T>(mut window: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        match window() {
            Ok(window) => return Ok(window),
            Err(why) => shell::progress(format_args!("bench: this window does not count, once more: {why:#}")),
        }
    }
    window()
}

fn window(who: &Contender, empty: &[u8], load: &mut impl Load) -> Result<Window> {
    let attached = who.attach(empty)?;
    let before = load.cpu()?;
    let (done, wall) = shell::timed(|| load.run());
    done?;
    let cpu = before.zip(load.cpu()?).map(|(before, after)| after.saturating_sub(before));
    let ((), mut programs) = attached.measured(|| load.run())?;
    programs.retain(|runs| who.counts(runs));
    let asked = load.operations();
    Ok(Window {
        rate: asked as f64 / wall.as_secs_f64(),
        cpu: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / asked as f64),
        operations: who.operations(&programs, asked),
        programs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(name: &str, count: u64) -> Runs {
        Runs { id: 1, name: name.to_owned(), count, time: 0 }
    }

    #[test]
    fn a_program_counts_by_its_name() {
        let some = Contender { programs: &["block_", "sched_switch"], ..NOTHING };
        let counted = |name| some.counts(&runs(name, 1));
        assert!(counted("block_rq_issue") && counted("sched_switch"));
        assert!(!counted("cgroup_mkdir") && NOTHING.counts(&runs("cgroup_mkdir", 1)));
    }

    #[test]
    fn operations_are_the_runs_of_one_program_or_what_was_asked() {
        let programs = [runs("rq_issue", 9), runs("rq_complete", 7)];
        assert_eq!(NOTHING.operations(&programs, 5), 5);
        let marked = Contender { mark: Some("complete"), ..NOTHING };
        assert_eq!(marked.operations(&programs, 5), 7);
        assert_eq!(marked.operations(&[], 5), 0);
    }

    #[test]
    fn a_window_that_does_not_count_is_measured_again_but_not_for_ever() {
        let mut tries = 0;
        let mut third = |counts| {
            tries += 1;
            anyhow::ensure!(counts && tries == 3, "try {tries}");
            Ok(tries)
        };
        assert_eq!(patiently(|| third(true)).unwrap(), 3);
        assert_eq!(patiently(|| third(false)).unwrap_err().to_string(), "try 6");
    }

    #[test]
    fn turns_go_there_and_back() {
        let mut rows = [1, 2, 3];
        let mut order = Vec::new();
        in_turns(&mut rows, 2, |row, round| {
            order.push((round, *row));
            Ok(())
        })
        .unwrap();
        assert_eq!(order, [(0, 1), (0, 2), (0, 3), (1, 3), (1, 2), (1, 1)]);
    }
}
