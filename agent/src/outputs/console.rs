//! One interval as a table for people.

use wattrace_common::block::Direction;

use super::report::{self, Report, total};
use crate::{
    attribution::{idle::Floor, ledger::Account, reserved::IdlePolicy},
    identity::{NAME_MAX, bounded},
    samples::{EnergySource, ZoneKey},
    units::{Joules, Microjoules, Nanos},
};

mod processes;
mod work;

#[cfg(test)]
mod tests;

/// How wide lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// A hundred characters, if there is no functional unit.
    Narrow,
    /// As wide as everything that is counted needs.
    Wide,
}

/// The whole table, `rows` workloads or processes of it; `or` says how else the rest can be had, ` or --json`.
pub fn table(report: &Report<'_>, rows: usize, or: &str, width: Width) -> String {
    let rows = match report.by_process {
        Some(told) => processes::rows(report, told, rows, or),
        None => workloads(report, rows, or, width),
    };
    [heading(report), rows, books(report), notes(report)].concat()
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

fn workloads(report: &Report<'_>, rows: usize, or: &str, shown_as: Width) -> String {
    // Who only slept is in the JSON.
    let ranked: Vec<_> = report.ranked().into_iter().filter(|account| account.is_used()).collect();
    let (shown, rest) = ranked.split_at(ranked.len().min(rows));
    let width = name_width(report, shown_as);
    let idle = if report.idle_policy == IdlePolicy::Separate { String::new() } else { format!(" {:>11}", "IDLE J") };
    let disk = if report.disk_known() { format!(" {:>8} {:>8}", "READ/s", "WRITE/s") } else { String::new() };
    let work = if shown_as == Width::Wide { work::columns(report, ["CONN", "FAIL", "EXEC"]) } else { String::new() };
    let unit = if report.functional_unit.is_some() { format!(" {:>10}", "J/op") } else { String::new() };
    let mut text = format!(
        "{:<width$} {:<13} {:>9} {:>11}{idle} {:>8} {:>9}{disk}{work}{unit}\n",
        "WORKLOAD", "KIND", "CPU s", "J", "W", "mgCO2e"
    );
    for account in shown {
        text.push_str(&row(
            report,
            shown_as,
            &clip(&account.workload.name, width),
            account.workload.kind.name(),
            &[account],
        ));
    }
    if !rest.is_empty() {
        let more = format!("… {} more (--rows {}{or})", rest.len(), ranked.len());
        text.push_str(&row(report, shown_as, &more, "", rest));
    }
    text
}

fn row(report: &Report<'_>, shown_as: Width, name: &str, kind: &str, accounts: &[&Account]) -> String {
    let cpu: Nanos = accounts.iter().map(|account| account.cpu).sum();
    let energy: Microjoules = accounts.iter().map(|account| total(account)).sum();
    let grams: f64 = accounts.iter().map(|account| account.operational.0).sum();
    let shown = |figure: f64| if report.energy_known() { format!("{figure:.3}") } else { "-".to_owned() };
    let width = name_width(report, shown_as);
    let work = if shown_as == Width::Wide { work::of(report, accounts) } else { String::new() };
    format!(
        "{name:<width$} {kind:<13} {:>9.3} {:>11}{} {:>8} {:>9}{}{work}{}\n",
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
fn name_width(report: &Report<'_>, shown_as: Width) -> usize {
    if report.disk_known() && shown_as == Width::Narrow { 27 } else { 44 }
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
    lines.extend(work::connections(report));
    lines.extend(work::processes(report));
    lines.extend(unit(report));
    lines.extend(processes::method(report));
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
