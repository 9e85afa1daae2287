//! What is told of a workload's processes. What was never done has no series.

use wattrace_common::process::{EXIT_REASONS, ExitReason};

use super::{Point, catalog, point};
use crate::{attribution::ledger::Account, samples::ProcessTotals};

/// The values of a workload.
pub(super) fn points(account: &Account) -> Vec<Point> {
    account.processes.as_ref().map_or_else(Vec::new, |done| told(&done.totals))
}

fn told(totals: &ProcessTotals) -> Vec<Point> {
    let ProcessTotals { forks, execs, exits, short_lived, exited_cpu } = totals;
    let counts = [
        (&catalog::WORKLOAD_PROCESS_EXECS, *execs),
        (&catalog::WORKLOAD_PROCESS_FORKS, *forks),
        (&catalog::WORKLOAD_PROCESS_SHORT_LIVED, *short_lived),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let exits = EXIT_REASONS.into_iter().map(ExitReason::name).zip(exits).filter(|(_, count)| **count > 0);
    let exits = exits.map(|(reason, count)| point(&catalog::WORKLOAD_PROCESS_EXITS, [reason.into()], *count as f64));
    let cpu = Some(exited_cpu.seconds()).filter(|_| exited_cpu.0 > 0);
    let cpu = cpu.map(|seconds| point(&catalog::WORKLOAD_PROCESS_CPU_TIME, [], seconds));
    counts.map(|(metric, count)| point(metric, [], count as f64)).chain(exits).chain(cpu).collect()
}
