//! `cargo xtask bench sched`: the cost of `sched_switch`, in alternating windows of one run.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};

use self::{
    contenders::{Contender, Named},
    load::{Load, Place},
    results::{Row, Table, Window},
};
use super::{attached, page, turns};
use crate::{ebpf, shell};

mod contenders;
mod goals;
mod load;
mod rates;
mod results;
mod tables;

/// Where the results are kept, below the workspace.
const PAGE: &str = "docs/benchmarks.md";

/// What the program on `sched_switch` costs, beside an empty one and tools of bcc
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask bench sched
  sudo -E cargo xtask bench sched --place pinned --only lean --against old/wattrace --rounds 15
  sudo -E cargo xtask bench sched --write --date 2026-01-31

Each round gives each contender two windows of the load: one with the kernel's run-time statistics off, for
the speed of the load itself, and one with them on, for the time of the programs. The tools of others run
with --place pinned and mixed alone. The page is docs/benchmarks.md. Needs root, the toolchain of
`cargo xtask setup --ebpf`, and Debian's linux-perf and libbpf-tools.")]
pub(in crate::bench) struct Args {
    /// Rounds; the tables have the median over them, and the least and the greatest
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a window in seconds, about
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// What switches, and where; may be given more than once. All by default
    #[arg(long)]
    place: Vec<Place>,
    /// Who is compared, beside nothing and an empty program; may be given more than once. All by default
    #[arg(long)]
    only: Vec<Named>,
    /// Another build of the agent, measured in the same rounds; may be given more than once
    #[arg(long, value_name = "PROGRAM")]
    against: Vec<PathBuf>,
    #[command(flatten)]
    kept: page::Kept,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let places = if args.place.is_empty() { Place::ALL.to_vec() } else { args.place.clone() };
    let day = args.kept.day()?;
    ensure_can_run(&places)?;
    let built = ["-p", "wattrace-tests", "--bin", "attach", "--bin", "switches"];
    shell::run(shell::cargo().args(["build", "--release"]).args(built))?;
    let contenders = contenders::list(args)?;
    let empty = ebpf::build_empty()?;
    let machine = page::machine()?;
    let tables = places.into_iter().map(|place| measure(place, &contenders, &empty, args));
    let tables = tables.collect::<Result<Vec<Table>>>()?;
    args.kept.show(PAGE, &text(&tables, args, &page::sentence(&machine, day.as_deref())))
}

fn ensure_can_run(places: &[Place]) -> Result<()> {
    attached::ensure_measurable("sched")?;
    ensure!(
        shell::has_program("perf") || !places.iter().any(|place| place.is_pipe()),
        "there is no `perf`: install the Debian package linux-perf"
    );
    Ok(())
}

fn measure(place: Place, contenders: &[Contender], empty: &[u8], args: &Args) -> Result<Table> {
    let load = Load::new(place, args.seconds)?;
    let here = contenders.iter().filter(|contender| place.is_for_all() || !contender.is_tool());
    let mut rows: Vec<Row> = here.map(|who| Row { who: who.clone(), windows: Vec::new() }).collect();
    turns::in_turns(&mut rows, args.rounds, |row, round| {
        let (title, who) = (place.title(), row.who.title());
        shell::progress(format_args!("bench: {title}, round {} of {}, {who}", round + 1, args.rounds));
        row.windows.push(window(&row.who, empty, &load)?);
        Ok(())
    })?;
    Ok(Table { place, rows })
}

fn window(who: &Contender, empty: &[u8], load: &Load) -> Result<Window> {
    let attached = attach(who, empty)?;
    let speed = load.run()?;
    let (wall, programs) = attached.measured(|| {
        let (ran, wall) = shell::timed(|| load.run());
        ran.map(|_| wall)
    })?;
    Ok(Window { speed, wall, programs })
}

/// Attaches a contender; `empty` is the object of the program that does nothing.
fn attach(who: &Contender, empty: &[u8]) -> Result<attached::Attached> {
    match who {
        Contender::Nothing => Ok(attached::nothing()),
        Contender::Empty => attached::empty(empty, &["sched_switch"]),
        other => attached::tools(vec![other.command().with_context(|| format!("{} went away", other.title()))?]),
    }
}

/// The page.
fn text(tables: &[Table], Args { rounds, seconds, .. }: &Args, machine: &str) -> String {
    let mut text = format!(
        "<!-- Written by `cargo xtask bench sched --write`. Do not edit. -->\n\n# What `sched_switch` costs\n\n{machine}\n\n\
         {rounds} rounds of alternating windows of about {seconds} s; medians, with the least and the greatest round. The \
         nanoseconds are the kernel's own run-time statistics over all programs of a tool, per switch: one that runs at \
         wake-ups too has that in its figure. They contain the reading of a clock, so *net* takes off the empty program \
         of the same round. The slowdown is that of the load itself, with statistics off, in CPU time per operation \
         against nothing attached in the same round (others on the machine make the time by the clock differ more than \
         any program does). An operation is there and back, two switches, or one wake-up of a sleeper.\n\nThe hot loads \
         are `perf bench sched pipe`, the others are the workspace's own `switches`.\n\nTo repeat: \
         `sudo -E cargo xtask bench sched --rounds {rounds} --seconds {seconds}`.\n"
    );
    text.push_str(&goals::section(tables));
    let (paced, free): (Vec<_>, Vec<_>) = tables.iter().partition(|table| table.place.rate().is_some());
    for table in free {
        text.push_str(&tables::section(table));
    }
    text.push_str(&rates::section(&paced));
    text
}
