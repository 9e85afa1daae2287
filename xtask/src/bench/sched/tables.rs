//! One place as text: who cost how much, and which of their programs.

use std::{collections::BTreeSet, fmt::Write as _};

use super::results::{Row, Table, Window};
use crate::bench::figures::{Spread, cell, ratio};

/// A heading and two tables.
pub(super) fn section(table: &Table) -> String {
    let mut text = format!("\n## {}\n\n", table.place.title());
    if let Some(rate) = table.rows.get(1).and_then(|empty| empty.spread(|window| Some(window.rate()))) {
        let _ = writeln!(text, "{rate:.0} switches a second with the empty program and statistics on.\n");
    }
    text.push_str(
        "| attached | ns per switch | net ns per switch | µs per operation | CPU µs per operation | slowdown, % |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in &table.rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            row.who.title(),
            cell(row.spread(Window::ns_per_switch), 1),
            cell(table.net(row), 1),
            cell(row.spread(|window| window.speed.wall), 2),
            cell(row.spread(|window| Some(window.speed.cpu)), 2),
            cell(table.slowdown(row), 1),
        );
    }
    text.push_str("\n| program | of | ns per run | runs per switch |\n|---|---|---|---|\n");
    table.rows.iter().for_each(|row| text.push_str(&programs(row)));
    text
}

/// One line per program of a contender that ran.
fn programs(row: &Row) -> String {
    let all = row.windows.iter().flat_map(|window| &window.programs);
    let names: BTreeSet<&str> = all.map(|runs| runs.name.as_str()).collect();
    let mut text = String::new();
    for name in names {
        let runs = row.windows.iter().flat_map(|window| {
            let same = window.programs.iter().filter(|runs| runs.name == name);
            same.map(|runs| (runs, window.switches()))
        });
        let per_run = Spread::of(runs.clone().filter_map(|(runs, _)| ratio(runs.time, runs.count)));
        let share = Spread::of(runs.filter_map(|(runs, switches)| ratio(runs.count, switches)));
        if per_run.is_some() {
            let _ = writeln!(text, "| `{name}` | {} | {} | {} |", row.who.title(), cell(per_run, 1), cell(share, 3));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sched::{
        contenders::{Contender, Named},
        load::Place,
        results::by_hand,
    };

    #[test]
    fn a_row_is_compared_with_the_same_round() {
        let lean = by_hand::row(Contender::Named(Named::Lean), &[(5.0, 720), (10.0, 920)]);
        let text = section(&by_hand::table(Place::Pinned, vec![lean]));
        for line in [
            "| nothing | – | – | 9.00 (9.00 to 9.00) | 6.00 (4.00 to 8.00) | 0.0 (0.0 to 0.0) |",
            "| an empty program | 70.0 (60.0 to 80.0) | 0.0 (0.0 to 0.0) | 9.00 (9.00 to 9.00) | 6.00 (4.00 to 8.00) | 0.0 (0.0 to 0.0) |",
            "| lean | 82.0 (72.0 to 92.0) | 12.0 (12.0 to 12.0) | 9.00 (9.00 to 9.00) | 7.50 (5.00 to 10.00) | 25.0 (25.0 to 25.0) |",
            "| `lean_sched_switch` | lean | 82.0 (72.0 to 92.0) | 1.000 (1.000 to 1.000) |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("nothing_sched_switch"), "a program that never ran has no line");
    }
}
