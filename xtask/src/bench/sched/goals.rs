//! What the programs on `sched_switch` may cost, and whether that is met.

use std::fmt::Write as _;

use super::{contenders::Named, load::Place, results::Table};
use crate::bench::figures::Spread;

/// A figure and its bound.
struct Goal {
    text: &'static str,
    place: Place,
    of: Figure,
    most: f64,
}

enum Figure {
    /// Net nanoseconds per switch.
    Net(Named),
    /// Of the sum of others' net.
    Share(Named, &'static [Named]),
}

const GOALS: [Goal; 5] = [
    Goal { text: "lean, hot: 15 ns net at most", place: Place::Pinned, of: Figure::Net(Named::Lean), most: 15.0 },
    Goal { text: "full, hot: 35 ns net at most", place: Place::Pinned, of: Figure::Net(Named::Full), most: 35.0 },
    Goal { text: "full, mixed: 200 ns net at most", place: Place::Mixed, of: Figure::Net(Named::Full), most: 200.0 },
    Goal {
        text: "full, hot: 1/10 of runqlat at most",
        place: Place::Pinned,
        of: Figure::Share(Named::Full, &[Named::Runqlat]),
        most: 0.1,
    },
    Goal {
        text: "full, hot: 1/20 of cpudist, cpudist -O and runqlat together at most",
        place: Place::Pinned,
        of: Figure::Share(Named::Full, &[Named::Cpudist, Named::CpudistOff, Named::Runqlat]),
        most: 0.05,
    },
];

/// A heading and a table.
pub(super) fn section(tables: &[Table]) -> String {
    let mut text = String::from("\n## Goals\n\n| goal | measured | |\n|---|---|---|\n");
    for goal in &GOALS {
        let (measured, verdict) = match goal.measured(tables) {
            Some(spread) => (goal.shown(spread), if spread.median() <= goal.most { "met" } else { "missed" }),
            None => ("–".to_owned(), "not measured"),
        };
        let _ = writeln!(text, "| {} | {measured} | {verdict} |", goal.text);
    }
    text
}

impl Goal {
    fn measured(&self, tables: &[Table]) -> Option<Spread> {
        let table = tables.iter().find(|table| table.place == self.place)?;
        match &self.of {
            Figure::Net(named) => table.net(table.row(*named)?),
            Figure::Share(named, others) => table.share(*named, others),
        }
    }

    fn shown(&self, spread: Spread) -> String {
        match self.of {
            Figure::Net(_) => format!("{spread:.1} ns"),
            Figure::Share(..) => format!("{spread:.3}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sched::{contenders::Contender, results::by_hand};

    #[test]
    fn goals_are_met_missed_or_not_measured() {
        let row = |named, first| by_hand::row(Contender::Named(named), &[(4.0, first), (8.0, first + 200)]);
        let lean = by_hand::table(Place::Pinned, vec![row(Named::Lean, 720)]);
        let text = section(&[lean]);
        assert!(text.contains("| lean, hot: 15 ns net at most | 12.0 (12.0 to 12.0) ns | met |"), "{text}");
        assert!(text.contains("| full, hot: 35 ns net at most | – | not measured |"), "{text}");
        let both = by_hand::table(Place::Pinned, vec![row(Named::Full, 1_000), row(Named::Runqlat, 5_600)]);
        let text = section(&[both]);
        assert!(text.contains("| full, hot: 35 ns net at most | 40.0 (40.0 to 40.0) ns | missed |"), "{text}");
        assert!(text.contains("| full, hot: 1/10 of runqlat at most | 0.080 (0.080 to 0.080) | met |"), "{text}");
        assert!(text.contains("| full, mixed: 200 ns net at most | – | not measured |"), "{text}");
    }
}
