//! `cargo xtask bench block`: the cost of counting block I/O, beside `biolatency`, in alternating windows of one run.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result, ensure};
use aya::sys::{Stats, enable_stats};

use self::{
    load::Disk,
    results::{Row, Window},
};
use super::{
    attached::{self, Attached},
    page,
};
use crate::{ebpf, shell};

mod load;
mod results;

/// Where the results are kept, below the workspace.
const PAGE: &str = "docs/benchmarks-block.md";

/// What counting block I/O costs, beside an empty program and `biolatency`
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask bench block
  sudo -E cargo xtask bench block --write --date 2026-01-31

Each round gives each contender two windows of direct reads from a loop device in memory: one with the kernel's
run-time statistics off, for the speed of the load, and one with them on, for the time of the programs. Needs root,
the toolchain of `cargo xtask setup --ebpf`, and Debian's libbpf-tools.")]
pub(in crate::bench) struct Args {
    /// Rounds; the tables have the median over them, and the least and the greatest
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Thousands of reads in a window
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    reads: u32,
    /// Write the tables to docs/benchmarks-block.md
    #[arg(long)]
    write: bool,
    /// The day written there, as YYYY-MM-DD; by default that of `$BENCH_DATE`
    #[arg(long)]
    date: Option<String>,
}

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The load alone.
    Nothing,
    /// A program that does nothing, on the same tracepoint.
    Empty,
    /// The agent's programs for on-CPU time alone, which the next two have with them.
    Lean,
    /// The agent's programs: `probes.block` = total.
    Total,
    /// Likewise: device.
    Device,
    /// bcc's tool.
    Biolatency,
}

impl Who {
    const ALL: [Self; 6] = [Self::Nothing, Self::Empty, Self::Lean, Self::Total, Self::Device, Self::Biolatency];

    fn title(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Empty => "an empty program",
            Self::Lean => "lean, without block I/O",
            Self::Total => "lean, block total",
            Self::Device => "lean, block device",
            Self::Biolatency => "biolatency",
        }
    }

    fn attach(self, empty: &[u8]) -> Result<Attached> {
        let holder = |level: &str| {
            let mut command = shell::command(shell::built("release", "attach"));
            command.arg(level);
            attached::tool(&mut command)
        };
        match self {
            Self::Nothing => Ok(attached::nothing()),
            Self::Empty => attached::empty(empty, "block_rq_complete"),
            Self::Lean => holder("lean"),
            Self::Total => holder("block-total"),
            Self::Device => holder("block-device"),
            Self::Biolatency => {
                let tool = shell::find_program("biolatency").context("there is no `biolatency`")?;
                attached::tool(shell::command(tool).arg("86400"))
            }
        }
    }
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let date = args.date.clone().or_else(|| std::env::var("BENCH_DATE").ok());
    ensure_can_run(args, date.as_deref())?;
    shell::run(shell::cargo().args(["build", "--release", "-p", "wattrace-tests", "--bin", "attach"]))?;
    let empty = ebpf::build_empty()?;
    let machine = page::machine()?;
    let rows = measure(&Disk::new()?, &empty, args)?;
    let text = text(&rows, args, &page::sentence(&machine, date.as_deref()));
    println!("\n{text}");
    if args.write {
        page::write(PAGE, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ensure_can_run(args: &Args, date: Option<&str>) -> Result<()> {
    ensure!(shell::is_root(), "attaching kernel programs needs root: run `sudo -E cargo xtask bench block`");
    ensure!(shell::has_program("biolatency"), "there is no `biolatency`: install the Debian package libbpf-tools");
    ensure!(
        !attached::statistics_are_on(),
        "run-time statistics are on for all programs: set kernel.bpf_stats_enabled to 0 first"
    );
    ensure!(fs::exists("/dev/loop-control")?, "there are no loop devices here: load the module `loop`");
    ensure!(!args.write || date.is_some(), "a page of figures needs a day: give --date or set BENCH_DATE");
    Ok(())
}

fn measure(disk: &Disk, empty: &[u8], args: &Args) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Who::ALL.map(|who| Row { who, windows: Vec::new() }).into();
    for round in 0..args.rounds {
        let mut turn: Vec<_> = rows.iter_mut().collect();
        // There and back: what drifts during a round meets everybody alike.
        if round % 2 == 1 {
            turn.reverse();
        }
        for row in turn {
            shell::progress(format_args!("bench: round {} of {}, {}", round + 1, args.rounds, row.who.title()));
            row.windows.push(window(row.who, empty, disk, args.reads)?);
        }
    }
    Ok(rows)
}

fn window(who: Who, empty: &[u8], disk: &Disk, reads: u32) -> Result<Window> {
    let attached = who.attach(empty)?;
    let rate = disk.rate(reads)?;
    // On for as long as the descriptor lives: the kernel ends them even if this process is killed.
    let statistics = enable_stats(Stats::RunTime).context("cannot switch run-time statistics on")?;
    let before = attached.runs()?;
    disk.rate(reads)?;
    let programs = attached::between(&before, &attached.runs()?);
    drop(statistics);
    // The agent's others are there either way.
    let is_of_block = |runs: &attached::Runs| runs.name.starts_with("block_rq") || who == Who::Empty;
    Ok(Window { rate, programs: programs.into_iter().filter(is_of_block).collect() })
}

/// The page.
fn text(rows: &[Row], Args { rounds, reads, .. }: &Args, machine: &str) -> String {
    format!(
        "<!-- Written by `cargo xtask bench block --write`. Do not edit. -->\n\n# What counting block I/O costs\n\n{machine}\n\n\
         {rounds} rounds of alternating windows of {reads},000 direct reads of 4 KiB, one after the other, from a loop device whose \
         blocks are in memory; medians, with the least and the greatest round. The nanoseconds are the kernel's own run-time \
         statistics over all programs on block tracepoints, per completed request; they contain the reading of a clock, so *net* \
         takes off the empty program of the same round. The rate is that of the load with statistics off, against the row before \
         the programs came: nothing for the empty one and biolatency, lean for block I/O.\n\n\
         To repeat: `sudo -E cargo xtask bench block --rounds {rounds} --reads {reads}`.\n{}",
        results::section(rows)
    )
}
