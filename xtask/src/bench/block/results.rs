//! What was measured, and the figures that follow from it: each of a round against the same round.

use std::{collections::BTreeSet, fmt::Write as _};

use super::Who;
use crate::bench::{
    attached::Runs,
    figures::{Spread, cell},
};

/// Of biolatency's cost, at most.
const GOAL: f64 = 0.5;

/// What one contender did in one round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// Reads a second, statistics off.
    pub(super) rate: f64,
    /// Its programs on block tracepoints, statistics on.
    pub(super) programs: Vec<Runs>,
}

/// All rounds of one contender.
pub(super) struct Row {
    pub(super) who: Who,
    /// One per round.
    pub(super) windows: Vec<Window>,
}

impl Window {
    /// Nanoseconds of all its programs per completion: runs of the one that counts those, or of the only one.
    fn ns(&self) -> Option<f64> {
        let completions = self.programs.iter().filter(|runs| runs.name.contains("rq_comp") || self.programs.len() == 1);
        let count = completions.map(|runs| runs.count).max().filter(|count| *count > 0)?;
        Some(self.programs.iter().map(|runs| runs.time).sum::<u64>() as f64 / count as f64)
    }
}

impl Row {
    fn against(&self, other: &Self, figure: impl Fn(&Window, &Window) -> Option<f64>) -> Option<Spread> {
        let rounds = self.windows.iter().zip(&other.windows);
        Spread::of(rounds.filter_map(|(own, other)| figure(own, other)))
    }

    fn programs(&self) -> String {
        let all = self.windows.iter().flat_map(|window| &window.programs);
        let names: BTreeSet<&str> = all.clone().map(|runs| runs.name.as_str()).collect();
        let mut text = String::new();
        for name in names {
            let same = all.clone().filter(|runs| runs.name == name && runs.count > 0);
            let per_run = Spread::of(same.map(|runs| runs.time as f64 / runs.count as f64));
            let _ = writeln!(text, "| `{name}` | {} | {} |", self.who.title(), cell(per_run, 1));
        }
        text
    }
}

fn row(rows: &[Row], who: Who) -> Option<&Row> {
    rows.iter().find(|row| row.who == who)
}

fn net(rows: &[Row], who: Who) -> Option<Spread> {
    row(rows, who)?.against(row(rows, Who::Empty)?, |own, empty| Some(own.ns()? - empty.ns()?))
}

/// By how many percent fewer reads there were than before its programs came.
fn slowdown(rows: &[Row], who: Who) -> Option<Spread> {
    let before = if matches!(who, Who::Total | Who::Device) { Who::Lean } else { Who::Nothing };
    row(rows, who)?.against(row(rows, before)?, |own, before| Some((1.0 - own.rate / before.rate) * 100.0))
}

/// Of each round: net, over that of biolatency.
fn share(rows: &[Row], who: Who) -> Option<Spread> {
    let (own, theirs, empty) = (row(rows, who)?, row(rows, Who::Biolatency)?, row(rows, Who::Empty)?);
    let rounds = own.windows.iter().zip(&theirs.windows).zip(&empty.windows);
    Spread::of(rounds.filter_map(|((own, theirs), empty)| {
        let empty = empty.ns()?;
        Some((own.ns()? - empty) / (theirs.ns()? - empty))
    }))
}

/// The goal, and the tables.
pub(super) fn section(rows: &[Row]) -> String {
    let mut text = String::from("\n| goal | measured | |\n|---|---|---|\n");
    for (title, who) in [("total", Who::Total), ("device", Who::Device)] {
        let share = share(rows, who);
        let verdict = match share {
            Some(share) if share.median() <= GOAL => "met",
            Some(_) => "missed",
            None => "not measured",
        };
        let _ = writeln!(text, "| {title}: half of biolatency at most | {} | {verdict} |", cell(share, 2));
    }
    text.push_str("\n| attached | ns per completion | net | reads a second | fewer by, % |\n|---|---|---|---|---|\n");
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            row.who.title(),
            cell(Spread::of(row.windows.iter().filter_map(Window::ns)), 1),
            cell(net(rows, row.who), 1),
            cell(Spread::of(row.windows.iter().map(|window| window.rate)), 0),
            cell(slowdown(rows, row.who), 1),
        );
    }
    text.push_str("\n| program | of | ns per run |\n|---|---|---|\n");
    text.extend(rows.iter().map(Row::programs));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let window = |rate, programs: &[(&str, u64, u64)]| Window {
            rate,
            programs: programs
                .iter()
                .map(|(name, count, time)| Runs { id: 1, name: (*name).to_owned(), count: *count, time: *time })
                .collect(),
        };
        let row = |who, window| Row { who, windows: vec![window] };
        vec![
            row(Who::Nothing, window(1_000.0, &[])),
            row(Who::Empty, window(1_000.0, &[("empty", 10, 200)])),
            row(Who::Lean, window(900.0, &[])),
            row(Who::Total, window(810.0, &[("block_rq_comple", 10, 1_200), ("block_rq_requeu", 0, 0)])),
            row(Who::Biolatency, window(800.0, &[("block_rq_comple", 10, 2_000), ("block_rq_issue", 12, 1_200)])),
        ]
    }

    #[test]
    fn all_programs_of_a_contender_count_per_completion() {
        let rows = rows();
        assert_eq!(net(&rows, Who::Total), Spread::of([100.0]));
        assert_eq!(net(&rows, Who::Biolatency), Spread::of([300.0]));
        assert_eq!(share(&rows, Who::Total), Spread::of([1.0 / 3.0]));
        assert_eq!(share(&rows, Who::Device), None);
        assert_eq!(slowdown(&rows, Who::Biolatency), Spread::of([(1.0 - 0.8) * 100.0]));
        let text = section(&rows);
        for line in [
            "| total: half of biolatency at most | 0.33 (0.33 to 0.33) | met |",
            "| `empty` | an empty program | 20.0 (20.0 to 20.0) |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn block_io_is_compared_with_the_agent_without() {
        let text = cell(slowdown(&rows(), Who::Total), 1);
        assert_eq!(text, "10.0 (10.0 to 10.0)");
    }
}
