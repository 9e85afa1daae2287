//! The tables as text, with what is needed to judge and to repeat them.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use anyhow::{Context, Result};

use super::{
    attached,
    figures::{Spread, cell},
    sched::{Row, Table, Window, ratio},
};
use crate::shell::{self, say};

/// What the figures were measured on.
pub(super) struct Machine {
    processor: String,
    cpus: usize,
    kernel: String,
    load: String,
    programs: usize,
}

/// Asks the machine, before anything is attached.
pub(super) fn machine() -> Result<Machine> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let cpuinfo = read("/proc/cpuinfo")?;
    Ok(Machine {
        processor: processor(&cpuinfo).unwrap_or("an unnamed processor").to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        load: read("/proc/loadavg")?.split(' ').take(2).collect::<Vec<_>>().join(" and "),
        programs: attached::loaded(),
    })
}

fn processor(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim())
}

/// What the figures were measured on, for people.
pub(super) fn sentence(machine: &Machine, date: Option<&str>) -> String {
    let Machine { processor, cpus, kernel, load, programs } = machine;
    let day = date.map(|date| format!(", {date}")).unwrap_or_default();
    format!(
        "{processor}, {cpus} CPUs, Linux {kernel}{day}. Load average before (1 and 5 minutes): {load}; \
         kernel programs of others: {programs}."
    )
}

/// Writes a page to where it is kept, below the workspace.
pub(super) fn write(page: &str, text: &str) -> Result<()> {
    let path = shell::root().join(page);
    let folder = path.parent().context("the page has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(&path, text).with_context(|| format!("cannot write {page}"))?;
    say(format_args!("wrote {page}"));
    Ok(())
}

/// The page.
pub(super) fn text(tables: &[Table], machine: &Machine, rounds: u32, seconds: u32, date: Option<&str>) -> String {
    let mut text = String::from(
        "<!-- Written by `cargo xtask bench sched --write`. Do not edit. -->\n\n# What `sched_switch` costs\n\n",
    );
    let _ = writeln!(text, "{}\n", sentence(machine, date));
    let _ = writeln!(
        text,
        "`perf bench sched pipe`, {rounds} rounds of alternating windows of about {seconds} s; medians, with the \
         least and the greatest round. The nanoseconds are the kernel's own run-time statistics over all programs \
         of a tool; they contain the reading of a clock, so *net* takes off the empty program of the same round. \
         The slowdown is that of the benchmark itself, with statistics off, in CPU time per operation against nothing \
         attached in the same round (others on the machine make the time by the clock differ more than any program \
         does); an operation is two switches.\n\nTo repeat: `sudo -E cargo xtask bench sched --rounds {rounds} \
         --seconds {seconds}`."
    );
    for table in tables {
        text.push_str(&section(table));
    }
    text
}

fn section(table: &Table) -> String {
    let mut text = format!("\n## {}\n\n", table.place.title());
    text.push_str(
        "| attached | ns per switch | net ns per switch | µs per operation | CPU µs per operation | slowdown, % |\n",
    );
    text.push_str("|---|---|---|---|---|---|\n");
    let (alone, empty) = (table.rows.first(), table.rows.get(1));
    for row in &table.rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            row.name,
            cell(Spread::of(row.windows.iter().filter_map(Window::ns_per_switch)), 1),
            cell(net(row, empty), 1),
            cell(Spread::of(row.windows.iter().map(|window| window.speed.wall)), 2),
            cell(Spread::of(row.windows.iter().map(|window| window.speed.cpu)), 2),
            cell(slowdown(row, alone), 1),
        );
    }
    text.push_str("\n| program | of | ns per run | runs per switch |\n|---|---|---|---|\n");
    table.rows.iter().for_each(|row| text.push_str(&programs(row)));
    text
}

fn net(row: &Row, empty: Option<&Row>) -> Option<Spread> {
    let rounds = row.windows.iter().zip(&empty?.windows);
    Spread::of(rounds.filter_map(|(window, empty)| Some(window.ns_per_switch()? - empty.ns_per_switch()?)))
}

fn slowdown(row: &Row, alone: Option<&Row>) -> Option<Spread> {
    let rounds = row.windows.iter().zip(&alone?.windows);
    Spread::of(rounds.map(|(window, alone)| (window.speed.cpu / alone.speed.cpu - 1.0) * 100.0))
}

/// One line per program of a contender that ran.
fn programs(row: &Row) -> String {
    let all = row.windows.iter().flat_map(|window| &window.programs);
    let names: BTreeSet<&str> = all.map(|runs| runs.name.as_str()).collect();
    let mut text = String::new();
    for name in names {
        let runs = row.windows.iter().flat_map(|window| {
            let same = window.programs.iter().filter(|runs| runs.name == name);
            same.map(|runs| (runs, window.switches()))
        });
        let per_run = Spread::of(runs.clone().filter_map(|(runs, _)| ratio(runs.time, runs.count)));
        let share = Spread::of(runs.filter_map(|(runs, switches)| ratio(runs.count, switches)));
        if per_run.is_some() {
            let _ = writeln!(text, "| `{name}` | {} | {} | {} |", row.name, cell(per_run, 1), cell(share, 3));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        attached::Runs,
        load::{Place, Speed},
    };

    fn row(name: &str, rounds: &[(f64, u64)]) -> Row {
        let window = |&(cpu, time)| Window {
            speed: Speed { wall: 9.0, cpu },
            programs: vec![Runs { id: 1, name: format!("{name}_switch"), count: u64::from(time > 0) * 10, time }],
        };
        Row { name: name.to_owned(), windows: rounds.iter().map(window).collect() }
    }

    #[test]
    fn a_row_is_compared_with_the_same_round() {
        let rows = vec![
            row("nothing", &[(4.0, 0), (8.0, 0)]),
            row("empty", &[(4.0, 600), (8.0, 800)]),
            row("lean", &[(5.0, 720), (10.0, 920)]),
        ];
        let text = section(&Table { place: Place::Pinned, rows });
        for line in [
            "| nothing | – | – | 9.00 (9.00 to 9.00) | 6.00 (4.00 to 8.00) | 0.0 (0.0 to 0.0) |",
            "| empty | 70.0 (60.0 to 80.0) | 0.0 (0.0 to 0.0) | 9.00 (9.00 to 9.00) | 6.00 (4.00 to 8.00) | 0.0 (0.0 to 0.0) |",
            "| lean | 82.0 (72.0 to 92.0) | 12.0 (12.0 to 12.0) | 9.00 (9.00 to 9.00) | 7.50 (5.00 to 10.00) | 25.0 (25.0 to 25.0) |",
            "| `lean_switch` | lean | 82.0 (72.0 to 92.0) | 1.000 (1.000 to 1.000) |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("nothing_switch"), "a program that never ran has no line");
    }

    #[test]
    fn the_processor_has_its_name() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: A B-1\n"), Some("A B-1"));
        assert_eq!(processor("CPU implementer\t: 0x41\n"), None);
    }
}
