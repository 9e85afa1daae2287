//! Connections and processes in the table: columns where it is wide, and a line each for the whole machine.

use std::fmt::Display;

use super::short;
use crate::{
    attribution::ledger::Account,
    outputs::report::Report,
    samples::{ProcessTotals, RoleTotals, process::ProcessUse, tcp::TcpUse},
};

/// Connections that were established and that failed, and programs that were started, as far as they are counted.
pub(super) fn of(report: &Report<'_>, accounts: &[&Account]) -> String {
    let roles = || accounts.iter().filter_map(|account| account.tcp.as_ref()).flat_map(|done| &done.totals.roles);
    let sum = |part: fn(&RoleTotals) -> u64| roles().map(part).fold(0, u64::saturating_add);
    let execs = accounts.iter().filter_map(|account| account.processes.as_ref()).map(|done| done.totals.execs);
    let figures = [sum(RoleTotals::established), sum(RoleTotals::failed), execs.fold(0, u64::saturating_add)];
    columns(report, figures)
}

/// The columns, of figures or of what stands above them.
pub(super) fn columns<T: Display>(report: &Report<'_>, [established, failed, execs]: [T; 3]) -> String {
    let tcp = if report.tcp { format!(" {established:>7} {failed:>7}") } else { String::new() };
    let processes = if report.processes { format!(" {execs:>7}") } else { String::new() };
    tcp + &processes
}

/// The whole machine's connections: who made them is in the JSON, and in a wide table.
pub(super) fn connections(report: &Report<'_>) -> Option<String> {
    let mut all = TcpUse::default();
    report.ledger.accounts().filter_map(|account| account.tcp.as_deref()).for_each(|done| all.add(done));
    let totals = &all.totals;
    let sum =
        |part: fn(&RoleTotals) -> u64| totals.roles.iter().fold(0, |sum: u64, role| sum.saturating_add(part(role)));
    let line = format!(
        "tcp     {} established, {} closed, {} failed; payload of {} sent, {} received; {} segments sent again\n",
        sum(RoleTotals::established),
        totals.closed(),
        sum(RoleTotals::failed),
        short(totals.sent as f64),
        short(totals.received as f64),
        totals.retransmits,
    );
    report.tcp.then_some(line)
}

/// And its processes.
pub(super) fn processes(report: &Report<'_>) -> Option<String> {
    let mut all = ProcessUse::default();
    report.ledger.accounts().filter_map(|account| account.processes.as_deref()).for_each(|done| all.add(done));
    let ProcessTotals { forks, execs, short_lived, .. } = all.totals;
    let exits = all.totals.exits.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let line = format!("process {forks} forks, {execs} execs, {exits} exits, {short_lived} of them within a second\n");
    report.processes.then_some(line)
}
