//! One interval as a table for people.

use wattrace_common::block::Direction;

use super::report::{self, Report, total};
use crate::{
    attribution::{idle::Floor, ledger::Account, reserved::IdlePolicy},
    identity::{NAME_MAX, bounded},
    samples::{EnergySource, ZoneKey},
    units::{Joules, Microjoules, Nanos},
};

/// The whole table, `rows` workloads of it; `or` says how else the rest can be had, ` or --json`.
pub fn table(report: &Report<'_>, rows: usize, or: &str) -> String {
    [heading(report), workloads(report, rows, or), books(report), notes(report)].concat()
}

fn heading(report: &Report<'_>) -> String {
    let usage = report.usage;
    let whole = usage.cpus as f64 * usage.span().seconds();
    let share = if whole > 0.0 { 100.0 * usage.busy_total().seconds() / whole } else { 0.0 };
    format!(
        "{:.1} s on {} CPUs, {share:.1} % busy\nenergy  {}\ngrid    {}\n\n",
        usage.span().seconds(),
        usage.cpus,
        energy(report),
        grid(report),
    )
}

fn energy(report: &Report<'_>) -> String {
    let note = &report.energy;
    if note.source == EnergySource::None {
        return format!("unknown: {}", note.description);
    }
    let error = note.uncertainty.map_or(String::new(), |share| format!(", ±{:.0} %", share * 100.0));
    format!("{} ({}), scope {}{error}: {}", note.source.name(), note.source.quality(), report.scope(), note.description)
}

fn grid(report: &Report<'_>) -> String {
    let intensity = &report.factors.intensity;
    let year = intensity.year.map_or(String::new(), |year| format!(", {year}"));
    let note = intensity.note.as_ref().map_or(String::new(), |note| format!("; {note}"));
    format!(
        "{:.0} gCO2e/kWh: {} ({}, {}, {}{year}){note}",
        intensity.value.0,
        intensity.zone,
        intensity.source.name(),
        intensity.precision.name(),
        intensity.basis.name(),
    )
}

fn workloads(report: &Report<'_>, rows: usize, or: &str) -> String {
    // Who only slept is in the JSON.
    let ranked: Vec<_> = report.ranked().into_iter().filter(|account| account.is_used()).collect();
    let (shown, rest) = ranked.split_at(ranked.len().min(rows));
    let width = name_width(report);
    let idle = if report.idle_policy == IdlePolicy::Separate { String::new() } else { format!(" {:>11}", "IDLE J") };
    let disk = if report.disk_known() { format!(" {:>8} {:>8}", "READ/s", "WRITE/s") } else { String::new() };
    let unit = if report.functional_unit.is_some() { format!(" {:>10}", "J/op") } else { String::new() };
    let mut text = format!(
        "{:<width$} {:<13} {:>9} {:>11}{idle} {:>8} {:>9}{disk}{unit}\n",
        "WORKLOAD", "KIND", "CPU s", "J", "W", "mgCO2e"
    );
    for account in shown {
        text.push_str(&row(report, &clip(&account.workload.name, width), account.workload.kind.name(), &[account]));
    }
    if !rest.is_empty() {
        let more = format!("… {} more (--rows {}{or})", rest.len(), ranked.len());
        text.push_str(&row(report, &more, "", rest));
    }
    text
}

fn row(report: &Report<'_>, name: &str, kind: &str, accounts: &[&Account]) -> String {
    let cpu: Nanos = accounts.iter().map(|account| account.cpu).sum();
    let energy: Microjoules = accounts.iter().map(|account| total(account)).sum();
    let grams: f64 = accounts.iter().map(|account| account.operational.0).sum();
    let shown = |figure: f64| if report.energy_known() { format!("{figure:.3}") } else { "-".to_owned() };
    let width = name_width(report);
    format!(
        "{name:<width$} {kind:<13} {:>9.3} {:>11}{} {:>8} {:>9}{}{}\n",
        cpu.seconds(),
        shown(energy.joules().0),
        idle_of(report, accounts),
        shown(energy.over(report.usage.span()).0),
        shown(grams * 1e3),
        disk_of(report, accounts),
        operations_of(report, accounts),
    )
}

/// Two columns more make names shorter, so that a line still fits into a hundred characters.
fn name_width(report: &Report<'_>) -> usize {
    if report.disk_known() { 27 } else { 44 }
}

/// Bytes per second in and out, where block I/O is counted.
fn disk_of(report: &Report<'_>, accounts: &[&Account]) -> String {
    if !report.disk_known() {
        return String::new();
    }
    let done = || accounts.iter().flat_map(|account| account.disk.values());
    let bytes = |direction| done().fold(0_u64, |sum, done| sum.saturating_add(done.totals.bytes_of(direction)));
    let span = report.usage.span().seconds();
    let rate = |direction| {
        let bytes = bytes(direction);
        match bytes {
            0 => "0".to_owned(),
            _ if span > 0.0 => short(bytes as f64 / span),
            _ => "-".to_owned(),
        }
    };
    format!(" {:>8} {:>8}", rate(Direction::Read), rate(Direction::Write))
}

/// Bytes in three or four figures: `512 B`, `1.23 MB`.
fn short(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut bytes = bytes;
    for unit in UNITS {
        let digits = match bytes {
            _ if unit == "B" => 0,
            small if small < 9.995 => 2,
            middle if middle < 99.95 => 1,
            _ => 0,
        };
        // What would be shown as 1000 of a unit is 1 of the next.
        if bytes < 999.5 {
            return format!("{bytes:.digits$} {unit}");
        }
        bytes /= 1e3;
    }
    format!("{bytes:.0} EB")
}

/// Joules per operation, where there is a functional unit.
fn operations_of(report: &Report<'_>, accounts: &[&Account]) -> String {
    match report.functional_unit.map(|_| report.per_operation(accounts)) {
        None => String::new(),
        Some(None) => format!(" {:>10}", "-"),
        Some(Some(energy)) => format!(" {:>10}", energy_of_one(energy)),
    }
}

/// Joules with three digits that count, however few they are.
fn energy_of_one(energy: Joules) -> String {
    if energy.0 >= 0.001 || energy.0 <= 0.0 { format!("{:.3}", energy.0) } else { format!("{:.2e}", energy.0) }
}

/// A column of its own, where workloads have a part of idle.
fn idle_of(report: &Report<'_>, accounts: &[&Account]) -> String {
    let energy: Microjoules = accounts.iter().map(|account| report::idle(account)).sum();
    match report.idle_policy {
        IdlePolicy::Separate => String::new(),
        // Without a reservation there is no part, which is not a part of 0.
        IdlePolicy::ByRequest if energy.0 == 0 => format!(" {:>11}", "-"),
        IdlePolicy::ByRequest => format!(" {:>11.3}", energy.joules().0),
    }
}

/// Names are other people's data: what could steer a terminal, or turn a line around, is written out.
fn clip(name: &str, width: usize) -> String {
    let clean = bounded(name, NAME_MAX);
    if clean.chars().count() <= width {
        return clean;
    }
    clean.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The equation that everything above stands on, in microjoules.
fn books(report: &Report<'_>) -> String {
    if !report.energy_known() {
        return String::new();
    }
    let work: Microjoules = report.ledger.accounts().map(total).sum();
    let closed = if report.ledger.closes() { "closed" } else { "OPEN: please report this" };
    let embodied = match (report.footprint.embodied, &report.factors.embodied) {
        (Some(grams), _) => format!("{:.3} mg", grams.0 * 1e3),
        (None, Err(reason)) => format!("unknown: {reason}"),
        (None, Ok(_)) => "unknown".to_owned(),
    };
    format!(
        "\nbooks   measured {} J = workloads {} + idle {} + residual {} ({closed})\n\
         carbon  operational {:.3} mg, idle included; embodied {embodied}\n",
        exact(report.sum(|zone| zone.measured)),
        exact(work),
        exact(report.sum(|zone| zone.idle)),
        exact(report.sum(|zone| zone.residual)),
        report.footprint.operational.0 * 1e3,
    )
}

fn exact(energy: Microjoules) -> String {
    format!("{}.{:06}", energy.0 / 1_000_000, energy.0 % 1_000_000)
}

fn notes(report: &Report<'_>) -> String {
    let mut lines: Vec<String> = report.floors.iter().map(|(key, floor)| idle(*key, *floor)).collect();
    if report.idle_policy == IdlePolicy::ByRequest && report.energy_known() {
        let handed_out = exact(report.sum(|zone| zone.idle_handed_out));
        let kept = exact(report.sum(|zone| zone.idle.saturating_sub(zone.idle_handed_out)));
        lines.push(format!(
            "idle    {}: workloads {handed_out} J by reserved CPUs, node {kept} J\n",
            report.idle_policy.name()
        ));
    }
    if let Some(gain) = report.method.gain() {
        let what = "time in which both threads of a core were busy counts for less";
        lines.push(format!("shares  {}: {what}, by a gain of {gain}\n", report.method.name()));
    }
    let unknown = report.unknown();
    if unknown.0 > 0 {
        lines.push(format!("unknown {:.3} s of meter time: its energy is in no figure above\n", unknown.seconds()));
    }
    lines.extend(unit(report));
    if report.sched.lost > 0 {
        let list: Vec<String> = report.sched.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        lines.push(format!("lost    {}\n", list.join(", ")));
    }
    lines.concat()
}

/// What J/op is of, and of the whole machine.
fn unit(report: &Report<'_>) -> Option<String> {
    let unit = report.functional_unit?;
    let all: Vec<&Account> = report.ledger.accounts().collect();
    let Some(operations) = all.iter().map(|account| report.operations(account)).sum::<Option<u64>>() else {
        return Some(format!("unit    {}: not counted here\n", unit.name()));
    };
    let each = report.per_operation(&all).map_or_else(|| "-".to_owned(), energy_of_one);
    Some(format!("unit    {}: {operations}, {each} J of active energy each\n", unit.name()))
}

fn idle(key: ZoneKey, floor: Floor) -> String {
    let socket = key.scope.socket().map_or(String::new(), |socket| format!(" of socket {socket}"));
    format!("idle    {}{socket}: {:.2} W, {}\n", key.kind.name(), floor.watts.0, floor.origin.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attribution::{
            functional::FunctionalUnit,
            weight::{Method, SmtGain},
        },
        outputs::example::{Example, HOSTILE},
    };

    #[test]
    fn a_table_says_everything_once() {
        let text = table(&Example::new().report(), 20, " or --json");
        let expected = "\
2.0 s on 4 CPUs, 25.0 % busy
energy  rapl_powercap (measured), scope package+dram, ±5 %: intel-rapl:0
grid    330 gCO2e/kWh: DE (static, country, lifecycle, 2025)

WORKLOAD                                     KIND              CPU s           J        W    mgCO2e
ssh.service                                  systemd_unit      1.200      13.200    6.600     1.000
evil\\u{1b}[2J\\u{a}\\u{9b}1A\\u{202e}gpj        process           0.300       5.500    2.750     0.500
unattributed                                 unattributed      0.500       3.300    1.650     0.250

books   measured 33.000000 J = workloads 22.000000 + idle 11.000000 + residual 0.000000 (closed)
carbon  operational 3.000 mg, idle included; embodied unknown: the host is not known
idle    package of socket 0: 5.00 W, assumed
unknown 2.000 s of meter time: its energy is in no figure above
lost    sched.map_full 3
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_workloads_have_of_idle_is_shown_where_they_have_any() {
        let text = table(&Example::by_request().report(), 20, "");
        let lines: Vec<&str> = text.lines().skip(4).take(5).collect();
        let expected = [
            "WORKLOAD                                     KIND              CPU s           J      IDLE J        W    mgCO2e",
            "ssh.service                                  systemd_unit      1.200      13.200       2.750    6.600     1.000",
            "evil\\u{1b}[2J\\u{a}\\u{9b}1A\\u{202e}gpj        process           0.300       5.500           -    2.750     0.500",
            "unattributed                                 unattributed      0.500       3.300           -    1.650     0.250",
            "asleep.service                               systemd_unit      0.000       0.000       1.375    0.000     0.125",
        ];
        assert_eq!(lines, expected, "{text}");
        let books =
            "\nbooks   measured 33.000000 J = workloads 22.000000 + idle 11.000000 + residual 0.000000 (closed)\n";
        assert!(text.contains(books), "idle is counted once: {text}");
        assert!(
            text.contains("\nidle    by_request: workloads 4.125000 J by reserved CPUs, node 6.875000 J\n"),
            "{text}"
        );
    }

    #[test]
    fn block_io_stands_beside_joules() {
        let mut example = Example::new();
        example.did_block_io();
        let text = table(&example.report(), 20, "");
        let lines: Vec<&str> = text.lines().skip(4).take(4).collect();
        let expected = [
            "WORKLOAD                    KIND              CPU s           J        W    mgCO2e   READ/s  WRITE/s",
            "ssh.service                 systemd_unit      1.200      13.200    6.600     1.000  12.3 MB  2.05 kB",
            "evil\\u{1b}[2J\\u{a}\\u{9b}1A… process           0.300       5.500    2.750     0.500        0        0",
            "unattributed                unattributed      0.500       3.300    1.650     0.250        0  1.50 kB",
        ];
        assert_eq!(lines, expected, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn joules_per_operation_are_shown_where_they_are_known() {
        let mut example = Example::new();
        example.functional_unit = Some(FunctionalUnit::DiskOperations);
        let last = |text: &str| -> Vec<String> {
            text.lines().skip(4).take(4).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
        };
        let text = table(&example.report(), 20, "");
        assert_eq!(last(&text), ["J/op", "-", "-", "-"], "they are not counted");
        assert!(text.contains("\nunit    disk_operations: not counted here\n"), "{text}");
        example.did_block_io();
        let text = table(&example.report(), 20, "");
        assert_eq!(last(&text), ["J/op", "0.044", "-", "0.550"]);
        assert!(text.contains("\nunit    disk_operations: 309, 0.071 J of active energy each\n"), "{text}");
        example.footprint.covered = Nanos(0);
        let text = table(&example.report(), 20, "");
        assert_eq!(last(&text), ["J/op", "-", "-", "-"], "no energy is known");
    }

    #[test]
    fn figures_are_short() {
        for (bytes, expected) in [
            (0.4, "0 B"),
            (999.4, "999 B"),
            (999.5, "1.00 kB"),
            (1_234.0, "1.23 kB"),
            (9_996.0, "10.0 kB"),
            (99_960.0, "100 kB"),
            (999_500.0, "1.00 MB"),
            (12_345_678.0, "12.3 MB"),
            (1e15, "1.00 PB"),
            (5e18, "5 EB"),
        ] {
            assert_eq!(short(bytes), expected, "{bytes}");
        }
        for (energy, expected) in [(12.5, "12.500"), (0.0014, "0.001"), (0.0, "0.000"), (0.000_012_34, "1.23e-5")] {
            assert_eq!(energy_of_one(Joules(energy)), expected);
        }
    }

    #[test]
    fn how_energy_was_shared_out_is_said_where_cores_have_two_threads() {
        let example = Example::new();
        let mut report = example.report();
        report.method = Method::CpuTimeSmt(SmtGain::default());
        let text = table(&report, 20, "");
        let line = "\nshares  cpu_time+smt: time in which both threads of a core were busy counts for less, by a gain of 0.15\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn nothing_in_a_name_steers_a_terminal() {
        let text = table(&Example::new().report(), 20, " or --json");
        let steers = |c: char| c != '\n' && (c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c));
        assert!(HOSTILE.contains(steers) && !text.contains(steers), "{text}");
        assert_eq!(text.lines().count(), 14, "{text}");
    }

    #[test]
    fn long_names_are_clipped_and_the_columns_stay() {
        for (name, expected) in [
            ("x".repeat(44), "x".repeat(44)),
            ("x".repeat(45), "x".repeat(43) + "…"),
            ("é".repeat(4_000), "é".repeat(43) + "…"),
            ("\u{1b}".repeat(9), format!("{}…", &"\\u{1b}".repeat(9)[..43])),
        ] {
            assert_eq!(clip(&name, 44), expected);
        }
    }

    #[test]
    fn rows_that_are_not_shown_are_summed_up_exactly() {
        let example = Example::new();
        let text = table(&example.report(), 1, " or --json");
        let rows: Vec<&str> = text.lines().skip(5).take_while(|line| !line.is_empty()).collect();
        assert_eq!(
            rows,
            [
                "ssh.service                                  systemd_unit      1.200      13.200    6.600     1.000",
                "… 2 more (--rows 3 or --json)                                  0.800       8.800    4.400     0.750",
            ]
        );
        let none = table(&example.report(), 0, " or --json");
        assert!(
            none.contains("… 3 more (--rows 3 or --json)                                  2.000      22.000"),
            "{none}"
        );
    }

    #[test]
    fn what_is_unknown_is_no_figure() {
        let mut example = Example::new();
        example.footprint.covered = Nanos(0);
        let text = table(&example.report(), 20, " or --json");
        let row = "ssh.service                                  systemd_unit      1.200           -        -         -";
        assert!(text.lines().any(|line| line == row), "{text}");
        assert!(!text.contains("books"), "there is nothing to close: {text}");
        let mut report = example.report();
        report.energy.source = EnergySource::None;
        "no meter".clone_into(&mut report.energy.description);
        assert!(table(&report, 20, " or --json").contains("\nenergy  unknown: no meter\n"));
    }

    #[test]
    fn open_books_are_said() {
        let mut example = Example::new();
        let mut record = crate::attribution::ledger::Record::from(&example.ledger);
        record.zones[0].measured += Microjoules(1);
        example.ledger = record.into();
        assert!(table(&example.report(), 20, " or --json").contains("measured 33.000001 J = workloads 22.000000"));
        assert!(table(&example.report(), 20, " or --json").contains("(OPEN: please report this)"));
    }
}
