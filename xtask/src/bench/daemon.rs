//! `cargo xtask bench daemon`: CPU time and memory of the daemon, beside what else would run on a host, in one run.

use std::{fs, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};

use self::{agents::Agent, world::World};
use super::page;
use crate::{
    setup::peers,
    shell::{self, say},
};

mod agents;
mod world;

/// Where the results are kept, below the workspace.
const PAGE: &str = "docs/footprint.md";

/// CPU and memory of the daemon, beside `node_exporter` and a Collector with hostmetrics
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask bench daemon
  sudo -E cargo xtask bench daemon --minutes 2 --cgroups 100 --busy 10
  sudo -E cargo xtask bench daemon --write --date 2026-01-31

All run at the same time on the same load: the daemon and the Collector send OTLP to another Collector,
node_exporter is scraped, each once per interval. The page is docs/footprint.md. Needs root, and Go to
build the others once.")]
pub(super) struct Args {
    /// Length of the measurement, after a first interval that is left out
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Cgroups, each with a process
    #[arg(long, default_value_t = 500)]
    cgroups: u32,
    /// Those of them whose process computes now and then
    #[arg(long, default_value_t = 50)]
    busy: u32,
    /// Seconds between two readings of each agent
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    #[command(flatten)]
    kept: page::Kept,
}

/// What one agent took.
struct Cost {
    name: &'static str,
    cpu: Duration,
    /// Resident at its highest, and at the end, in KiB.
    memory: [u64; 2],
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(shell::is_root(), "cgroups and kernel programs need root: run `sudo -E cargo xtask bench daemon`");
    let day = args.kept.day()?;
    shell::run(shell::cargo().args(["build", "--release", "-p", "wattrace"]))?;
    let [node_exporter, hostmetrics] = peers::baselines()?;
    let collector = peers::collector()?;
    let machine = page::machine()?;
    let folder = shell::root().join("target/bench-daemon");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let world = World::new(args.cgroups, args.busy)?;
    let sink = agents::sink(&collector, &folder)?;
    let mut agents = vec![
        agents::wattrace(&shell::program("release"), &folder, &sink, args.interval)?,
        agents::node_exporter(&node_exporter)?,
        agents::hostmetrics(&hostmetrics, &folder, &sink, args.interval)?,
    ];
    let (costs, wall) = measure(&mut agents, args)?;
    drop(world);
    args.kept.show(PAGE, &text(&costs, wall, args, &page::sentence(&machine, day.as_deref())))
}

fn measure(agents: &mut [Agent], args: &Args) -> Result<(Vec<Cost>, Duration)> {
    let interval = Duration::from_secs(args.interval);
    // What an agent does once, and its first interval, are not what it costs to keep.
    agents::scrape(agents, interval)?;
    let before: Vec<Duration> = agents.iter().map(Agent::cpu).collect::<Result<_>>()?;
    let rounds = args.minutes * 60 / args.interval;
    let (scraped, wall) = shell::timed(|| {
        (0..rounds).try_for_each(|round| {
            say(format_args!("bench: interval {} of {rounds}", round + 1));
            agents::scrape(agents, interval)
        })
    });
    scraped?;
    let costs = agents.iter().zip(before).map(|(agent, before)| {
        Ok(Cost { name: agent.name, cpu: agent.cpu()?.saturating_sub(before), memory: agent.memory()? })
    });
    Ok((costs.collect::<Result<_>>()?, wall))
}

fn text(costs: &[Cost], wall: Duration, args: &Args, machine: &str) -> String {
    let Args { minutes, cgroups, busy, interval, .. } = args;
    let head = format!(
        "<!-- Written by `cargo xtask bench daemon --write`. Do not edit. -->\n\n# What the daemon costs\n\n{machine}\n\n\
         {cgroups} cgroups with a process each, {busy} of which compute for a part of the time; {minutes} minutes after a \
         first interval, all agents at once, each reading every {interval} s: the daemon and the Collector send OTLP \
         to another Collector, node_exporter is scraped. CPU time is user and system time of the process by \
         `/proc/PID/stat`; memory is `VmHWM` and `VmRSS`. The time of kernel programs is not in it.\n\n\
         To repeat: `sudo -E cargo xtask bench daemon --minutes {minutes}`.\n\n\
         | agent | CPU, ms per s | % of a core | peak memory, MiB | at the end, MiB |\n|---|---|---|---|---|\n"
    );
    costs.iter().fold(head, |text, cost| text + &row(cost, wall))
}

fn row(Cost { name, cpu, memory }: &Cost, wall: Duration) -> String {
    let share = cpu.as_secs_f64() / wall.as_secs_f64();
    let [peak, end] = memory.map(|kib| kib as f64 / 1024.0);
    format!("| {name} | {:.2} | {:.3} | {peak:.1} | {end:.1} |\n", share * 1e3, share * 1e2)
}

/// Reads a file of `/proc` or of a cgroup.
fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_share_of_the_time_and_of_memory() {
        let cost = Cost { name: "x", cpu: Duration::from_millis(1_200), memory: [40_960, 20_480] };
        assert_eq!(row(&cost, Duration::from_secs(600)), "| x | 2.00 | 0.200 | 40.0 | 20.0 |\n");
    }
}
