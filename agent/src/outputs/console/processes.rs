//! Processes instead of workloads, where they are told apart.

use super::clip;
use crate::{
    attribution::by_process::{METHOD, Part},
    identity::process_name,
    outputs::report::{ByProcess, Report},
    units::{Microjoules, Nanos},
};

/// Characters of a name: more only where some had to be written out.
const NAME: usize = 18;
const WORKLOAD: usize = 38;
/// What stands in the place of a process that nobody told of.
const REST: &str = "(not told apart)";

/// The table, `most` processes of it and a line for the others.
pub(super) fn rows(report: &Report<'_>, told: ByProcess<'_>, most: usize, or: &str) -> String {
    let parts = told.parts;
    let (shown, rest) = parts.split_at(parts.len().min(most));
    let mut text =
        format!("{:>10} {:<NAME$} {:<WORKLOAD$} {:>9} {:>11}  STATE\n", "PID", "PROCESS", "WORKLOAD", "CPU s", "J");
    for part in shown {
        let (pid, name, state) = match &part.lived {
            Some(lived) => (
                lived.seen.id.pid.to_string(),
                clip(&process_name(&lived.seen.comm), NAME),
                if lived.end.is_some() { "ended" } else { "" },
            ),
            None => ("-".to_owned(), REST.to_owned(), ""),
        };
        let start = format!("{pid:>10} {name:<NAME$} {:<WORKLOAD$}", clip(&part.workload.name, WORKLOAD));
        text.push_str(&row(report, &start, &[part], state));
    }
    if !rest.is_empty() {
        let parts: Vec<&Part> = rest.iter().collect();
        let more = format!("… {} more (--rows {}{or})", rest.len(), told.parts.len());
        text.push_str(&row(report, &format!("{more:<width$}", width = 12 + NAME + WORKLOAD), &parts, ""));
    }
    text
}

fn row(report: &Report<'_>, start: &str, parts: &[&Part], state: &str) -> String {
    let cpu: Nanos = parts.iter().map(|part| part.cpu).sum();
    let energy: Microjoules = parts.iter().map(|part| part.total()).sum();
    let is_known = report.energy_known() && parts.iter().any(|part| !part.energy.is_empty());
    let energy = if is_known { format!("{:.3}", energy.joules().0) } else { "-".to_owned() };
    let line = format!("{start} {:>9.3} {energy:>11}  {state}", cpu.seconds());
    format!("{}\n", line.trim_end())
}

/// What a process' joules are, and what is missing.
pub(super) fn method(report: &Report<'_>) -> Option<String> {
    let told = report.by_process?;
    let missing = match (told.has_ended, told.lost) {
        (false, _) => "; those that ended meanwhile are not told apart".to_owned(),
        (true, 0) => String::new(),
        (true, lost) => format!("; {lost} that ended are not told apart"),
    };
    Some(format!("joules  {METHOD} (estimated): a workload's by the CPU time of its processes{missing}\n"))
}

#[cfg(test)]
mod tests {
    use crate::{
        outputs::{
            console::{Width, table},
            example::Example,
        },
        units::Nanos,
    };

    #[test]
    fn processes_stand_in_the_place_of_workloads() {
        let mut example = Example::new();
        example.told_apart(Some(0));
        let text = table(&example.report(), 20, " or --json", Width::Narrow);
        let lines: Vec<&str> = text.lines().skip(4).take(7).collect();
        let expected = [
            "       PID PROCESS            WORKLOAD                                   CPU s           J  STATE",
            "       812 sshd               ssh.service                                0.700       7.700",
            r"         7 (unnamed)          evil\u{1b}[2J\u{a}\u{9b}1A\u{202e}gpj      0.600       5.500  ended",
            r"   4194303 \u{1b}[2J\u{a}\u{… ssh.service                                0.400       4.400  ended",
            "         - (not told apart)   unattributed                               0.500       3.300",
            "         - (not told apart)   ssh.service                                0.100       1.100",
            "",
        ];
        assert_eq!(lines, expected, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100 || line.starts_with("carbon")), "{text}");
        assert!(text.contains("residual 0.000000 (closed)"), "{text}");
        let method = "\njoules  cpu_time (estimated): a workload's by the CPU time of its processes\n";
        assert!(text.contains(method), "{text}");
    }

    #[test]
    fn the_others_are_summed_up() {
        let mut example = Example::new();
        example.told_apart(Some(2));
        let text = table(&example.report(), 2, " or --json", Width::Narrow);
        let rest = "\n… 3 more (--rows 5 or --json)                                            1.000       8.800\n\n";
        assert!(text.contains(rest), "{text}");
        assert!(text.contains("of its processes; 2 that ended are not told apart\n"), "{text}");
    }

    #[test]
    fn what_is_missing_is_said_and_unknown_energy_is_no_figure() {
        let mut example = Example::new();
        example.footprint.covered = Nanos(0);
        example.told_apart(None);
        let text = table(&example.report(), 20, "", Width::Narrow);
        let first = "\n       812 sshd               ssh.service                                0.700           -\n";
        assert!(text.contains(first), "{text}");
        assert!(text.contains("of its processes; those that ended meanwhile are not told apart\n"), "{text}");
    }
}
