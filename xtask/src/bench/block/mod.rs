//! `cargo xtask bench block`: the cost of counting block I/O, beside `biolatency`, in alternating windows of one run.

use std::{fs, process::ExitCode};

use anyhow::{Result, ensure};

use self::load::Disk;
use super::{
    attached,
    compare::{Comparison, Goal},
    page,
    turns::{self, By, Contender},
};
use crate::{ebpf, shell};

mod load;

/// Where the results are kept, below the workspace.
const PAGE: &str = "docs/benchmarks-block.md";

/// What counting block I/O costs, beside an empty program and `biolatency`
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask bench block
  sudo -E cargo xtask bench block --write --date 2026-01-31

Each round gives each contender two windows of direct reads from a loop device in memory: one with the kernel's
run-time statistics off, for the speed of the load, and one with them on, for the time of the programs. The page is
docs/benchmarks-block.md. Needs root, the toolchain of `cargo xtask setup --ebpf`, and Debian's libbpf-tools.")]
pub(in crate::bench) struct Args {
    /// Rounds; the tables have the median over them, and the least and the greatest
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Thousands of reads in a window
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    reads: u32,
    #[command(flatten)]
    kept: page::Kept,
}

static NOTHING: Contender = turns::NOTHING;

/// A program that does nothing, on the same tracepoint.
static EMPTY: Contender = Contender {
    title: "an empty program",
    by: By::Empty(&["block_rq_complete"]),
    mark: Some("empty"),
    before: Some(&NOTHING),
    ..turns::NOTHING
};

/// Programs on block tracepoints.
const OF_BLOCK: Contender =
    Contender { programs: &["block_rq"], mark: Some("rq_comp"), off: &[&EMPTY], ..turns::NOTHING };

/// The agent's programs for on-CPU time alone, which the next two have with them.
static LEAN: Contender =
    Contender { title: "lean, without block I/O", by: By::Level("lean"), before: Some(&NOTHING), ..OF_BLOCK };

static TOTAL: Contender =
    Contender { title: "lean, block total", by: By::Level("block-total"), before: Some(&LEAN), ..OF_BLOCK };

static DEVICE: Contender =
    Contender { title: "lean, block device", by: By::Level("block-device"), before: Some(&LEAN), ..OF_BLOCK };

/// bcc's tool.
static BIOLATENCY: Contender =
    Contender { title: "biolatency", by: By::Tools(&[&["biolatency", "86400"]]), before: Some(&NOTHING), ..OF_BLOCK };

const ALL: [&Contender; 6] = [&NOTHING, &EMPTY, &LEAN, &TOTAL, &DEVICE, &BIOLATENCY];

const GOALS: [Goal; 2] = [
    Goal { text: "total: half of biolatency at most", of: &TOTAL, peer: &BIOLATENCY, most: 0.5 },
    Goal { text: "device: half of biolatency at most", of: &DEVICE, peer: &BIOLATENCY, most: 0.5 },
];

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let day = args.kept.day()?;
    attached::ensure_measurable("block")?;
    turns::ensure_tools(&ALL)?;
    ensure!(fs::exists("/dev/loop-control")?, "there are no loop devices here: load the module `loop`");
    shell::run(shell::cargo().args(["build", "--release", "-p", "wattrace-tests", "--bin", "attach"]))?;
    let empty = ebpf::build_empty()?;
    let machine = page::machine()?;
    let mut disk = Disk::new(args.reads)?;
    let rows = turns::measure(&ALL, args.rounds, &empty, &mut disk)?;
    let all = Comparison { rows, one: "completion", many: "reads" };
    args.kept.show(PAGE, &text(&all, args, &page::sentence(&machine, day.as_deref())))
}

/// The page.
fn text(all: &Comparison, Args { rounds, reads, .. }: &Args, machine: &str) -> String {
    format!(
        "<!-- Written by `cargo xtask bench block --write`. Do not edit. -->\n\n# What counting block I/O costs\n\n{machine}\n\n\
         {rounds} rounds of alternating windows of {reads},000 direct reads of 4 KiB, one after the other, from a loop device whose \
         blocks are in memory; medians, with the least and the greatest round. The nanoseconds are the kernel's own run-time \
         statistics over all programs on block tracepoints, per completed request; they contain the reading of a clock, so *net* \
         takes off the empty program of the same round. The rate is that of the load with statistics off, against the row before \
         the programs came: nothing for the empty one and biolatency, lean for block I/O.\n\n\
         To repeat: `sudo -E cargo xtask bench block --rounds {rounds} --reads {reads}`.\n{}",
        all.text(&GOALS)
    )
}
