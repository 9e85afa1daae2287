//! Processes in `once --json`: how many were made, started and ended.

use std::collections::BTreeMap;

use serde::Serialize;
use wattrace_common::process::{EXIT_REASONS, ExitReason};

use crate::{attribution::ledger::Account, outputs::report::Report, samples::ProcessTotals};

/// Of a workload.
#[derive(Serialize)]
pub(super) struct Process {
    forks: u64,
    execs: u64,
    /// By reason; one that none had is left out.
    exits: BTreeMap<&'static str, u64>,
    short_lived: u64,
    /// Of threads that ended, all their lives: a part of `cpu_s`, and of that of intervals before.
    exited_cpu_s: f64,
}

/// A workload's processes; `None`: they are not counted.
pub(super) fn of(report: &Report<'_>, account: &Account) -> Option<Process> {
    let done = account.processes.as_ref().map(|done| done.totals.clone());
    report.processes.then(|| done.unwrap_or_default().into())
}

impl From<ProcessTotals> for Process {
    fn from(totals: ProcessTotals) -> Self {
        let ProcessTotals { forks, execs, exits, short_lived, exited_cpu } = totals;
        let exits = EXIT_REASONS.into_iter().map(ExitReason::name).zip(exits).filter(|(_, count)| *count > 0);
        Self { forks, execs, exits: exits.collect(), short_lived, exited_cpu_s: exited_cpu.seconds() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        attribution::functional::FunctionalUnit,
        outputs::{example::Example, json::tests::lines},
    };

    #[test]
    fn what_processes_did_is_told_where_they_are_counted() {
        let mut example = Example::new();
        example.functional_unit = Some(FunctionalUnit::Execs);
        let told = lines(&example.report());
        assert_eq!(told[0]["probes"]["process"], json!({ "level": "off" }));
        assert_eq!((told[1].get("process"), &told[1]["operations"]), (None, &Value::Null));
        example.started_programs();
        let told = lines(&example.report());
        assert_eq!(told[0]["probes"]["process"], json!({ "level": "on" }));
        let expected = json!({
            "forks": 1_500, "execs": 1_234, "exits": { "normal": 1_200, "signal": 3 }, "short_lived": 1_100,
            "exited_cpu_s": 0.75,
        });
        assert_eq!(told[1]["process"], expected);
        assert_eq!(told[1]["operations"], 1_234);
        let none = json!({ "forks": 0, "execs": 0, "exits": {}, "short_lived": 0, "exited_cpu_s": 0.0 });
        assert_eq!(told[2]["process"], none, "it did nothing, which is known");
        assert_eq!((&told[2]["operations"], &told[2]["j_per_operation"]), (&json!(0), &Value::Null));
    }
}
