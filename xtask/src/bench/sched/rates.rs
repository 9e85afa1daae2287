//! What share of one core the programs take at a given rate of switches.

use std::fmt::Write as _;

use super::results::{Table, Window};
use crate::bench::figures::cell;

/// Below this part of what was wanted, a rate was not reached.
const REACHED: f64 = 0.95;

/// A heading and a table; nothing without a place that has a rate.
pub(super) fn section(tables: &[&Table]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## Share of one core at a rate\n\nThe pairs of the contention load, over all CPUs, held at a rate; what others \
         on the machine switch comes on top. The share is what was measured at the rate that was reached, which is said. \
         *Net* is without the empty program; *all* has it, and the reading of the clock that the statistics need, in it.\n\n\
         | switches a second wanted | attached | reached | net ns per switch | % of a core, net | % of a core, all | |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for table in tables {
        text.push_str(&rows(table));
    }
    text
}

fn rows(table: &Table) -> String {
    let (mut text, wanted) = (String::new(), table.place.rate().unwrap_or(0));
    let Some(empty) = table.rows.get(1) else { return text };
    for row in table.rows.iter().skip(1) {
        let net = |own: &Window, empty: &Window| Some(percent(own)? - own.rate() * empty.ns_per_switch()? / 1e7);
        let reached = row.spread(|window| Some(window.rate()));
        let is_short = reached.is_some_and(|rate| rate.median() < REACHED * wanted as f64);
        let _ = writeln!(
            text,
            "| {wanted} | {} | {} | {} | {} | {} | {} |",
            row.who.title(),
            cell(reached, 0),
            cell(table.net(row), 1),
            cell(row.against(empty, net), 3),
            cell(row.spread(percent), 3),
            if is_short { "not reached" } else { "" },
        );
    }
    text
}

/// Percent of one core that all its programs took.
fn percent(window: &Window) -> Option<f64> {
    Some(window.rate() * window.ns_per_switch()? / 1e7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sched::{
        contenders::{Contender, Named},
        load::Place,
        results::{Row, by_hand},
    };

    fn row(who: Contender, time: u64) -> Row {
        let mut row = by_hand::row(who, &[(1.0, time)]);
        for runs in row.windows.iter_mut().flat_map(|window| &mut window.programs) {
            (runs.count, runs.time) = (100_000, time * 10_000);
        }
        row
    }

    #[test]
    fn a_share_is_time_per_second() {
        let rows =
            vec![row(Contender::Nothing, 0), row(Contender::Empty, 500), row(Contender::Named(Named::Lean), 650)];
        let table = Table { place: Place::At100k, rows };
        let line = "| 100000 | lean | 100000 (100000 to 100000) | 15.0 (15.0 to 15.0) | 0.150 (0.150 to 0.150) | 0.650 (0.650 to 0.650) |  |";
        let text = section(&[&table]);
        assert!(text.lines().any(|found| found == line), "{text}");
        let text = section(&[&Table { place: Place::At300k, ..table }]);
        assert!(text.lines().any(|found| found.starts_with("| 300000 | lean |") && found.ends_with("| not reached |")));
        assert_eq!(section(&[]), "");
    }
}
