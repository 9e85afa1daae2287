//! `cargo xtask bench tcp`: the cost of counting TCP connections, beside `tcplife`, in alternating windows of one run.

use std::process::ExitCode;

use anyhow::Result;

use self::load::Pair;
use super::{
    attached,
    compare::{Comparison, Goal},
    page,
    turns::{self, By, Contender},
};
use crate::{ebpf, shell};

mod load;

/// Where the results are kept, below the workspace.
const PAGE: &str = "docs/benchmarks-tcp.md";

/// What counting TCP connections costs, beside an empty program and `tcplife`
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask bench tcp
  sudo -E cargo xtask bench tcp --write --date 2026-01-31

Each round gives each contender two windows of connections on loopback, one after the other: one with the kernel's
run-time statistics off, for the speed of the load, and one with them on, for the time of the programs. The page is
docs/benchmarks-tcp.md. Needs root, the toolchain of `cargo xtask setup --ebpf`, and Debian's libbpf-tools.")]
pub(in crate::bench) struct Args {
    /// Rounds; the tables have the median over them, and the least and the greatest
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Thousands of connections in a window
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    #[command(flatten)]
    kept: page::Kept,
}

static NOTHING: Contender = turns::NOTHING;

/// A program that does nothing, on the same tracepoint.
static EMPTY: Contender = Contender {
    title: "an empty program",
    by: By::Empty(&["inet_sock_set_state"]),
    before: Some(&NOTHING),
    ..turns::NOTHING
};

/// Programs on that tracepoint.
const OF_TCP: Contender = Contender { programs: &["inet_sock"], off: &[&EMPTY], ..turns::NOTHING };

/// The agent's programs for on-CPU time alone, which the next two have with them.
static LEAN: Contender =
    Contender { title: "lean, without connections", by: By::Level("lean"), before: Some(&NOTHING), ..OF_TCP };

static COUNTS: Contender = Contender { title: "lean, tcp", by: By::Level("tcp"), before: Some(&LEAN), ..OF_TCP };

static EVENTS: Contender =
    Contender { title: "lean, tcp with events", by: By::Level("tcp-events"), before: Some(&LEAN), ..OF_TCP };

/// bcc's tool.
static TCPLIFE: Contender =
    Contender { title: "tcplife", by: By::Tools(&[&["tcplife"]]), before: Some(&NOTHING), ..OF_TCP };

/// The same for a process without connections.
static SILENT: Contender =
    Contender { title: "tcplife -p 1", by: By::Tools(&[&["tcplife", "-p", "1"]]), before: Some(&NOTHING), ..OF_TCP };

const ALL: [&Contender; 7] = [&NOTHING, &EMPTY, &LEAN, &COUNTS, &EVENTS, &TCPLIFE, &SILENT];

const GOALS: [Goal; 2] = [
    Goal { text: "tcp: no more than tcplife", of: &COUNTS, peer: &TCPLIFE, most: 1.0 },
    Goal { text: "tcp with events: no more than tcplife", of: &EVENTS, peer: &TCPLIFE, most: 1.0 },
];

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let day = args.kept.day()?;
    attached::ensure_measurable("tcp")?;
    turns::ensure_tools(&ALL)?;
    let built = ["-p", "wattrace-tests", "--bin", "attach", "--bin", "talk"];
    shell::run(shell::cargo().args(["build", "--release"]).args(built))?;
    let empty = ebpf::build_empty()?;
    let machine = page::machine()?;
    let mut pair = Pair::new(args.connections * 1_000)?;
    let rows = turns::measure(&ALL, args.rounds, &empty, &mut pair)?;
    let all = Comparison { rows, one: "connection", many: "connections" };
    args.kept.show(PAGE, &text(&all, args, &page::sentence(&machine, day.as_deref())))
}

/// The page.
fn text(all: &Comparison, Args { rounds, connections, .. }: &Args, machine: &str) -> String {
    format!(
        "<!-- Written by `cargo xtask bench tcp --write`. Do not edit. -->\n\n# What counting TCP connections costs\n\n{machine}\n\n\
         {rounds} rounds of alternating windows of {connections},000 connections on loopback, one after the other: 100 bytes there \
         and back, then each side ends half of them first. Medians, with the least and the greatest round.\n\n\
         - The nanoseconds are the kernel's own run-time statistics over all programs on `inet_sock_set_state`, per connection: its \
         two ends together, from the first state to the last of each. They contain the reading of a clock at each run, so *net* \
         takes off the empty program of the same round, which runs as often. What others connect meanwhile is in them, and shows \
         as more runs per connection.\n\
         - The rate, and the CPU time of the two processes that talk, are with statistics off. The change is against the row before \
         the programs came: nothing for the empty one and tcplife, lean for tcp. What a tool does with its events outside the \
         kernel is in the rate alone.\n\n\
         tcplife tells each connection that ends, and its program wakes who reads that. With `-p 1` it follows all of them and \
         tells none. wattrace counts per owner and role what began, failed and ended, how long connections and handshakes took, \
         bytes and round trips; *with events* it also tells each connection that ends, without the limit that the agent has by \
         default, and wakes the reader when half of the ring is full.\n\n\
         To repeat: `sudo -E cargo xtask bench tcp --rounds {rounds} --connections {connections}`.\n{}",
        all.text(&GOALS)
    )
}
