//! One interval as a table for people.

use super::report::{Report, total};
use crate::{
    attribution::{idle::Floor, ledger::Account},
    samples::{EnergySource, ZoneKey},
    units::Microjoules,
};

/// The whole table, `rows` workloads of it.
pub fn table(report: &Report<'_>, rows: usize) -> String {
    [heading(report), workloads(report, rows), books(report), notes(report)].concat()
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

fn workloads(report: &Report<'_>, rows: usize) -> String {
    let ranked = report.ranked();
    let (shown, rest) = ranked.split_at(ranked.len().min(rows));
    let mut text = format!("{:<44} {:<13} {:>9} {:>11} {:>8} {:>9}\n", "WORKLOAD", "KIND", "CPU s", "J", "W", "mgCO2e");
    for account in shown {
        text.push_str(&row(report, &clip(&account.workload.name, 44), account.workload.kind.name(), &[account]));
    }
    if !rest.is_empty() {
        let more = format!("… {} more (--rows {} or --json)", rest.len(), ranked.len());
        text.push_str(&row(report, &more, "", rest));
    }
    text
}

fn row(report: &Report<'_>, name: &str, kind: &str, accounts: &[&Account]) -> String {
    let cpu: f64 = accounts.iter().map(|account| account.cpu.seconds()).sum();
    let energy: Microjoules = accounts.iter().map(|account| total(account)).sum();
    let grams: f64 = accounts.iter().map(|account| account.operational.0).sum();
    let figures = if report.energy_known() {
        let watts = energy.over(report.usage.span()).0;
        format!("{:>11.3} {watts:>8.3} {:>9.3}", energy.joules().0, grams * 1e3)
    } else {
        format!("{:>11} {:>8} {:>9}", "-", "-", "-")
    };
    format!("{name:<44} {kind:<13} {cpu:>9.3} {figures}\n")
}

/// Names are other people's data: what could steer a terminal is written out.
fn clip(name: &str, width: usize) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let clean: String = name.chars().map(escaped).collect();
    if clean.chars().count() <= width {
        return clean;
    }
    clean.chars().take(width - 1).chain(['…']).collect()
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
    let unknown = report.unknown();
    if unknown.0 > 0 {
        lines.push(format!("unknown {:.3} s of meter time: its energy is in no figure above\n", unknown.seconds()));
    }
    if report.sched.lost > 0 {
        let list: Vec<String> = report.sched.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        lines.push(format!("lost    {}\n", list.join(", ")));
    }
    lines.concat()
}

fn idle(key: ZoneKey, floor: Floor) -> String {
    let socket = key.scope.socket().map_or(String::new(), |socket| format!(" of socket {socket}"));
    format!("idle    {}{socket}: {:.2} W, {}\n", key.kind.name(), floor.watts.0, floor.origin.name())
}
