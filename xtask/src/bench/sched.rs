//! `cargo xtask bench sched`: the cost of `sched_switch`, in alternating windows of one run.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use aya::sys::{Stats, enable_stats};

use super::{
    attached::{self, Attached, Contender, Runs},
    load::{Load, Place, Speed},
    page,
};
use crate::{
    ebpf,
    shell::{self, say},
};

/// Where the results are kept, below the workspace.
const PAGE: &str = "docs/benchmarks.md";
/// Operations that tell how many fill a window.
const TRIAL: u64 = 50_000;

/// What the program on `sched_switch` costs, beside an empty one and bcc's cpudist
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask bench sched
  sudo -E cargo xtask bench sched --place pinned --against old/wattrace --rounds 15
  sudo -E cargo xtask bench sched --write --date 2026-01-31

Each round gives each contender two windows of `perf bench sched pipe`: one with the kernel's run-time
statistics off, for the speed of the benchmark itself, and one with them on, for the time of the programs.
Needs root, the toolchain of `cargo xtask setup --ebpf`, and Debian's linux-perf and libbpf-tools.")]
pub(super) struct Args {
    /// Rounds; the tables have the median over them, and the least and the greatest
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a window in seconds, about
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Where the load runs; may be given more than once. All by default
    #[arg(long)]
    place: Vec<Place>,
    /// Another build of the agent, measured in the same rounds; may be given more than once
    #[arg(long, value_name = "PROGRAM")]
    against: Vec<PathBuf>,
    /// Write the tables to docs/benchmarks.md
    #[arg(long)]
    write: bool,
    /// The day written there, as YYYY-MM-DD; by default that of `$BENCH_DATE`
    #[arg(long)]
    date: Option<String>,
}

/// What one contender did in one round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// The benchmark itself, statistics off.
    pub(super) speed: Speed,
    /// Its programs, statistics on.
    pub(super) programs: Vec<Runs>,
}

/// All rounds of one contender in one place.
pub(super) struct Row {
    /// For a table.
    pub(super) name: String,
    /// One per round.
    pub(super) windows: Vec<Window>,
}

/// All rounds in one place.
pub(super) struct Table {
    /// Where.
    pub(super) place: Place,
    /// The first is the benchmark alone, the second the empty program.
    pub(super) rows: Vec<Row>,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(shell::is_root(), "attaching kernel programs needs root: run `sudo -E cargo xtask bench sched`");
    ensure!(shell::has_program("perf"), "there is no `perf`: install the Debian package linux-perf");
    ensure!(
        !attached::statistics_are_on(),
        "run-time statistics are on for all programs: set kernel.bpf_stats_enabled to 0 first"
    );
    let date = args.date.clone().or_else(|| std::env::var("BENCH_DATE").ok());
    ensure!(!args.write || date.is_some(), "a page of figures needs a day: give --date or set BENCH_DATE");
    let contenders = contenders(args)?;
    let empty = ebpf::build_empty()?;
    let machine = page::machine()?;
    let places = if args.place.is_empty() { Place::ALL.to_vec() } else { args.place.clone() };
    let tables = places.into_iter().map(|place| measure(place, &contenders, &empty, args));
    let tables = tables.collect::<Result<Vec<Table>>>()?;
    let text = page::text(&tables, &machine, args.rounds, args.seconds, date.as_deref());
    println!("\n{text}");
    if args.write {
        page::write(PAGE, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Who is compared, by the name in the tables.
fn contenders(args: &Args) -> Result<Vec<(String, Contender)>> {
    shell::run(shell::cargo().args(["build", "--release", "-p", "wattrace"]))?;
    let mut list = vec![
        ("nothing".to_owned(), Contender::Nothing),
        ("an empty program".to_owned(), Contender::Empty),
        ("wattrace".to_owned(), Contender::Agent(shell::program("release"))),
    ];
    for given in &args.against {
        let path = std::path::absolute(given).context("--against is no path")?;
        ensure!(path.is_file(), "--against: there is no program {}", path.display());
        list.push((given.display().to_string(), Contender::Agent(path)));
    }
    if shell::has_program("cpudist") {
        list.push(("cpudist".to_owned(), Contender::Cpudist));
    } else {
        say("bench: no cpudist to compare with: install the Debian package libbpf-tools");
    }
    Ok(list)
}

fn measure(place: Place, contenders: &[(String, Contender)], empty: &[u8], args: &Args) -> Result<Table> {
    let load = Load::new(place)?;
    let operations = operations(load.run(TRIAL)?.wall, args.seconds);
    let mut rows: Vec<Row> =
        contenders.iter().map(|(name, _)| Row { name: name.clone(), windows: Vec::new() }).collect();
    for round in 0..args.rounds {
        say(format_args!("bench: {}, round {} of {}", place.title(), round + 1, args.rounds));
        let mut turn: Vec<_> = contenders.iter().zip(&mut rows).collect();
        // There and back: what drifts during a round meets everybody alike.
        if round % 2 == 1 {
            turn.reverse();
        }
        for ((_, contender), row) in turn {
            row.windows.push(window(&contender.attach(empty)?, &load, operations)?);
        }
    }
    Ok(Table { place, rows })
}

fn window(attached: &Attached, load: &Load, operations: u64) -> Result<Window> {
    let speed = load.run(operations)?;
    // On for as long as the descriptor lives: the kernel ends them even if this process is killed.
    let statistics = enable_stats(Stats::RunTime).context("cannot switch run-time statistics on")?;
    let before = attached.runs()?;
    load.run(operations)?;
    let programs = attached::between(&before, &attached.runs()?);
    drop(statistics);
    Ok(Window { speed, programs })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive, and a saturated count is long enough"
)]
fn operations(usecs: f64, seconds: u32) -> u64 {
    (f64::from(seconds) * 1e6 / usecs).ceil() as u64
}

impl Window {
    /// Nanoseconds that all its programs took per switch: the program that ran most often ran at each.
    pub(super) fn ns_per_switch(&self) -> Option<f64> {
        let time: u64 = self.programs.iter().map(|runs| runs.time).sum();
        ratio(time, self.switches())
    }

    /// Runs of the program that ran most often.
    pub(super) fn switches(&self) -> u64 {
        self.programs.iter().map(|runs| runs.count).max().unwrap_or(0)
    }
}

/// `None` without a divisor.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_programs_of_a_tool_count_per_switch() {
        let runs = |count, time| Runs { id: 0, name: "x".to_owned(), count, time };
        let speed = Speed { wall: 1.0, cpu: 1.0 };
        let window = Window { speed, programs: vec![runs(100, 5_000), runs(50, 2_500)] };
        assert_eq!(window.ns_per_switch(), Some(75.0));
        assert_eq!(Window { speed, programs: vec![runs(0, 0)] }.ns_per_switch(), None);
        assert_eq!(Window { speed, programs: Vec::new() }.ns_per_switch(), None);
    }

    #[test]
    fn a_window_is_filled_with_operations() {
        assert_eq!(operations(5.0, 2), 400_000);
        assert_eq!(operations(3.0, 1), 333_334);
    }
}
