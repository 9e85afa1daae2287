//! Processes in `once --by process --json`: a line for each, and one for what is left of each workload.

use serde::Serialize;
use wattrace_common::process::ExitReason;

use super::by_kind;
use crate::{
    attribution::by_process::{METHOD, Part},
    identity::process_name,
    outputs::report::{ByProcess, Report},
    samples::lives::End,
};

/// How they were told apart.
#[derive(Serialize)]
pub(super) struct Node {
    method: &'static str,
    quality: &'static str,
    /// Whether those are told that were gone by the end.
    ended: bool,
    /// Of these, those that are missing.
    lost: u64,
}

/// One of them.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    r#type: &'static str,
    /// `alive` or `ended`; `not_told_apart` is what is left of a workload, and has no pid.
    state: &'static str,
    pid: Option<u32>,
    name: Option<String>,
    /// Seconds from boot, down to a clock tick: ids are given again.
    start_s: Option<f64>,
    workload: Whose<'a>,
    cpu_s: f64,
    energy_j: std::collections::BTreeMap<&'static str, Option<f64>>,
    exit: Option<Exit>,
}

/// The workload, as its own line calls it.
#[derive(Serialize)]
struct Whose<'a> {
    kind: &'static str,
    name: &'a str,
    cgroup: Option<&'a str>,
}

#[derive(Serialize)]
struct Exit {
    reason: Option<&'static str>,
    /// Where it was no signal.
    code: Option<u32>,
    signal: Option<u32>,
}

pub(super) fn line<'a>(report: &Report<'a>, part: &'a Part) -> Line<'a> {
    let (lived, workload) = (part.lived.as_ref(), &part.workload);
    let account = report.ledger.account_of(&workload.id);
    let state = match lived.map(|lived| lived.end) {
        None => "not_told_apart",
        Some(None) => "alive",
        Some(Some(_)) => "ended",
    };
    Line {
        r#type: "process",
        state,
        pid: lived.map(|lived| lived.seen.id.pid),
        name: lived.map(|lived| process_name(&lived.seen.comm)),
        start_s: lived.map(|lived| lived.seen.id.start.seconds()),
        workload: Whose {
            kind: workload.kind.name(),
            name: &workload.name,
            cgroup: account.and_then(|account| account.cgroup.as_ref()).map(|cgroup| cgroup.path.as_str()),
        },
        cpu_s: part.cpu.seconds(),
        energy_j: by_kind(report, &part.energy),
        exit: lived.and_then(|lived| lived.end).map(Into::into),
    }
}

impl From<ByProcess<'_>> for Node {
    fn from(told: ByProcess<'_>) -> Self {
        Self { method: METHOD, quality: "estimated", ended: told.has_ended, lost: told.lost }
    }
}

impl From<End> for Exit {
    fn from(end: End) -> Self {
        let (signal, code) = (end.status & 0x7f, end.status >> 8 & 0xff);
        Self {
            reason: end.reason.map(ExitReason::name),
            code: (signal == 0).then_some(code),
            signal: (signal != 0).then_some(signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        outputs::{
            example::{Example, HOSTILE},
            json::tests::lines,
        },
        units::Nanos,
    };

    fn processes(example: &Example) -> Vec<Value> {
        lines(&example.report()).into_iter().filter(|line| line["type"] == "process").collect()
    }

    #[test]
    fn each_process_and_what_is_left_is_a_line_and_the_others_stay() {
        let mut example = Example::new();
        let before = lines(&example.report());
        assert_eq!(before[0].get("processes"), None, "nobody asked");
        example.told_apart(Some(2));
        let told = lines(&example.report());
        let method = json!({ "method": "cpu_time", "quality": "estimated", "ended": true, "lost": 2 });
        assert_eq!(told[0]["processes"], method);
        assert_eq!(told[1..before.len()], before[1..]);
        let ssh = json!({ "kind": "systemd_unit", "name": "ssh.service", "cgroup": "/system.slice/ssh.service" });
        let expected = json!({
            "type": "process", "state": "alive", "pid": 812, "name": "sshd", "start_s": 90.12, "workload": ssh,
            "cpu_s": 0.7, "energy_j": { "package": 7.000_001, "dram": 0.7 }, "exit": null,
        });
        assert_eq!(told[before.len()], expected);
        let expected = json!({
            "type": "process", "state": "ended", "pid": 4_194_303, "name": r"\u{1b}[2J\u{a}\u{202e}gpj �", "start_s": 90.12,
            "workload": ssh, "cpu_s": 0.4, "energy_j": { "package": 4.0, "dram": 0.4 },
            "exit": { "reason": "error", "code": 3, "signal": null },
        });
        assert_eq!(told[before.len() + 2], expected);
        let expected = json!({
            "type": "process", "state": "not_told_apart", "pid": null, "name": null, "start_s": null, "workload": ssh,
            "cpu_s": 0.1, "energy_j": { "package": 1.0, "dram": 0.1 }, "exit": null,
        });
        assert_eq!(told[before.len() + 4], expected);
    }

    #[test]
    fn a_process_without_a_name_that_says_more_than_its_workload_has_all_of_that() {
        let mut example = Example::new();
        example.told_apart(Some(0));
        let told = processes(&example);
        let killed = told.iter().find(|line| line["pid"] == 7).expect("the process");
        assert_eq!((&killed["name"], &killed["cpu_s"]), (&json!("(unnamed)"), &json!(0.6)));
        assert_eq!(killed["energy_j"], json!({ "package": 5.000_002, "dram": 0.5 }));
        assert_eq!(killed["exit"], json!({ "reason": "signal", "code": null, "signal": 9 }));
        assert_eq!((&killed["workload"]["name"], &killed["workload"]["cgroup"]), (&json!(HOSTILE), &Value::Null));
        assert!(told.iter().all(|line| line["state"] != "not_told_apart" || line["workload"]["name"] != HOSTILE));
    }

    #[test]
    fn without_energy_there_is_cpu_time_alone() {
        let mut example = Example::new();
        example.footprint.covered = Nanos(0);
        example.ledger = crate::attribution::ledger::Ledger::default();
        example.told_apart(None);
        assert_eq!(lines(&example.report())[0]["processes"]["ended"], false);
        let told = processes(&example);
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|line| line["energy_j"] == json!({})));
    }
}
