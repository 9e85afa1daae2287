//! `cargo xtask bench process`: the cost of counting processes, beside `execsnoop` and `exitsnoop`, in alternating windows of
//! one run.

use std::process::ExitCode;

use anyhow::Result;

use self::load::Lives;
use super::{
    attached,
    compare::{Comparison, Goal},
    page,
    turns::{self, By, Contender},
};
use crate::{ebpf, shell};

mod load;

/// Where the results are kept, below the workspace.
const PAGE: &str = "docs/benchmarks-process.md";

/// What counting processes costs, beside empty programs and `execsnoop` with `exitsnoop`
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask bench process
  sudo -E cargo xtask bench process --write --date 2026-01-31

Each round gives each contender two windows of processes that begin, start a program and end, one after the other: one
with the kernel's run-time statistics off, for the speed of the load, and one with them on, for the time of the programs.
The page is docs/benchmarks-process.md. Needs root, the toolchain of `cargo xtask setup --ebpf`, and Debian's
libbpf-tools.")]
pub(in crate::bench) struct Args {
    /// Rounds; the tables have the median over them, and the least and the greatest
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Thousands of processes in a window
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    processes: u32,
    #[command(flatten)]
    kept: page::Kept,
}

static NOTHING: Contender = turns::NOTHING;

/// Programs that do nothing, as many as a process passes with either of the others.
static EMPTY: Contender = Contender {
    title: "three empty programs",
    by: By::Empty(&["sched_wakeup_new", "sched_process_exec", "sched_process_exit"]),
    before: Some(&NOTHING),
    ..turns::NOTHING
};

/// The agent's programs for on-CPU time alone, which the next two have with them. Of these, the one at switches does more with
/// processes: that is the difference.
static LEAN: Contender = Contender {
    title: "lean, without processes: at switches",
    by: By::Level("lean"),
    programs: &["sched_switch"],
    before: Some(&NOTHING),
    ..turns::NOTHING
};

/// With both.
const OF_PROCESS: Contender = Contender {
    // As far as the kernel keeps names.
    programs: &["sched_wakeup_ne", "sched_process_e", "sched_switch"],
    off: &[&EMPTY, &LEAN],
    before: Some(&LEAN),
    ..turns::NOTHING
};

static COUNTS: Contender = Contender { title: "lean, process", by: By::Level("process"), ..OF_PROCESS };

static EVENTS: Contender =
    Contender { title: "lean, process with events", by: By::Level("process-events"), ..OF_PROCESS };

/// bcc's tools.
static SNOOPS: Contender = Contender {
    title: "execsnoop and exitsnoop",
    by: By::Tools(&[&["execsnoop"], &["exitsnoop"]]),
    off: &[&EMPTY],
    before: Some(&NOTHING),
    ..turns::NOTHING
};

const ALL: [&Contender; 6] = [&NOTHING, &EMPTY, &LEAN, &COUNTS, &EVENTS, &SNOOPS];

const GOALS: [Goal; 2] = [
    Goal { text: "process: half of execsnoop and exitsnoop at most", of: &COUNTS, peer: &SNOOPS, most: 0.5 },
    Goal {
        text: "process with events: half of execsnoop and exitsnoop at most",
        of: &EVENTS,
        peer: &SNOOPS,
        most: 0.5,
    },
];

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let day = args.kept.day()?;
    attached::ensure_measurable("process")?;
    turns::ensure_tools(&ALL)?;
    let built = ["-p", "wattrace-tests", "--bin", "attach", "--bin", "lives"];
    shell::run(shell::cargo().args(["build", "--release"]).args(built))?;
    let empty = ebpf::build_empty()?;
    let machine = page::machine()?;
    let mut lives = Lives::new(args.processes * 1_000)?;
    let rows = turns::measure(&ALL, args.rounds, &empty, &mut lives)?;
    let all = Comparison { rows, one: "process", many: "processes" };
    args.kept.show(PAGE, &text(&all, args, &page::sentence(&machine, day.as_deref())))
}

/// The page.
fn text(all: &Comparison, Args { rounds, processes, .. }: &Args, machine: &str) -> String {
    format!(
        "<!-- Written by `cargo xtask bench process --write`. Do not edit. -->\n\n# What counting processes costs\n\n{machine}\n\n\
         {rounds} rounds of alternating windows of {processes},000 processes, one after the other, each of which begins, starts \
         `/bin/true` and ends. Medians, with the least and the greatest round.\n\n\
         - The nanoseconds are the kernel's own run-time statistics, per process: of the tools over all their programs, of the \
         agent over those at `sched_wakeup_new`, `sched_process_exec` and `sched_process_exit`, and at `sched_switch`, where a \
         process is counted when it leaves its CPU for good. They contain the reading of a clock at each run, so *net* takes off \
         the three empty programs of the same round, which run as often; of the agent also what its program at `sched_switch` \
         takes without processes, so that what it does more for them is in. What others start, end and switch meanwhile is in \
         them, and shows as more runs per process.\n\
         - The rate, and the CPU time of the processes, are with statistics off. The change is against the row before the programs \
         came: nothing for the empty ones and the tools, lean for process. What a tool does with its events outside the kernel is \
         in the rate alone; what its tracepoints cost before its programs run is in the rate and the CPU time.\n\n\
         The tools tell each program that starts, with its arguments, and each process that ends, and their programs wake who reads \
         that. wattrace counts per owner forks, execs, ends by reason, short lives and CPU time; *with events* it also tells each \
         program that starts, without its arguments, and each process that ends, without the limit that the agent has by default, \
         and wakes the reader when half of the ring is full.\n\n\
         Programs of the same name, which the kernel cuts, stand in the order in which they were loaded: of the agent \
         `sched_process_exit` before `sched_process_exec`, of execsnoop the one at the start of the call before the one at its end.\n\n\
         To repeat: `sudo -E cargo xtask bench process --rounds {rounds} --processes {processes}`.\n{}",
        all.text(&GOALS)
    )
}
