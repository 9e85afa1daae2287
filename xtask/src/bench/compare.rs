//! What follows from windows of contenders on one load: each figure of a round against the same round, and the tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::{
    attached::Runs,
    figures::{Spread, cell, ratio},
    turns::{Contender, Row, Window},
};

/// What a contender may cost, of what another one does.
pub(super) struct Goal {
    /// In words.
    pub(super) text: &'static str,
    pub(super) of: &'static Contender,
    pub(super) peer: &'static Contender,
    /// Net over net, at most.
    pub(super) most: f64,
}

/// All rounds of all contenders.
pub(super) struct Comparison {
    pub(super) rows: Vec<Row>,
    /// What the programs' time is told per.
    pub(super) one: &'static str,
    /// What the load does many of.
    pub(super) many: &'static str,
}

/// A program of a contender: its name, and its place among those of that name.
type Program<'a> = (&'a str, usize);

/// Of a window, if it has it.
type Figure = fn(&Window) -> Option<f64>;

impl Window {
    /// Nanoseconds of all its programs per operation.
    fn ns(&self) -> Option<f64> {
        let time = self.programs.iter().map(|runs| runs.time).sum();
        ratio(time, self.operations).filter(|_| !self.programs.is_empty())
    }

    /// In the order in which they were loaded: names may be the same, being cut.
    fn by_name(&self) -> BTreeMap<Program<'_>, &Runs> {
        let mut sorted: Vec<&Runs> = self.programs.iter().collect();
        sorted.sort_by_key(|runs| runs.id);
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        let numbered = sorted.into_iter().map(|runs| {
            let place = places.entry(&runs.name).or_default();
            *place += 1;
            ((runs.name.as_str(), *place), runs)
        });
        numbered.collect()
    }
}

impl Comparison {
    fn window(&self, who: &Contender, round: usize) -> Option<&Window> {
        self.rows.iter().find(|row| std::ptr::eq(row.who, who))?.windows.get(round)
    }

    /// A figure of each round that has it.
    fn spread(&self, figure: impl Fn(usize) -> Option<f64>) -> Option<Spread> {
        let rounds = self.rows.iter().map(|row| row.windows.len()).max().unwrap_or(0);
        Spread::of((0..rounds).filter_map(figure))
    }

    /// Nanoseconds per operation without what is there for others, in a round.
    fn net_of(&self, who: &Contender, round: usize) -> Option<f64> {
        let off = who.off.iter().map(|other| self.window(other, round)?.ns()).sum::<Option<f64>>()?;
        Some(self.window(who, round)?.ns()? - off)
    }

    fn net(&self, who: &Contender) -> Option<Spread> {
        self.spread(|round| self.net_of(who, round)).filter(|_| !who.off.is_empty())
    }

    /// By how many percent a figure is higher than before its programs came.
    fn change(&self, who: &Contender, figure: Figure) -> Option<Spread> {
        let before = who.before?;
        let of = |who, round| figure(self.window(who, round)?);
        self.spread(|round| Some((of(who, round)? / of(before, round)? - 1.0) * 100.0))
    }

    fn share(&self, goal: &Goal) -> Option<Spread> {
        self.spread(|round| Some(self.net_of(goal.of, round)? / self.net_of(goal.peer, round)?))
    }

    /// The goals, the contenders, and their programs.
    pub(super) fn text(&self, goals: &[Goal]) -> String {
        let mut text = String::from("\n| goal | measured | |\n|---|---|---|\n");
        for goal in goals {
            let share = self.share(goal);
            let verdict = match share {
                Some(share) if share.median() <= goal.most => "met",
                Some(_) => "missed",
                None => "not measured",
            };
            let _ = writeln!(text, "| {} | {} | {verdict} |", goal.text, cell(share, 2));
        }
        let Self { one, many, .. } = self;
        let of_cpu = if self.has_cpu() { format!(" CPU µs per {one} | change, % |") } else { String::new() };
        let rule = "---|".repeat(if self.has_cpu() { 7 } else { 5 });
        let _ = writeln!(text, "\n| attached | ns per {one} | net | {many} a second | change, % |{of_cpu}\n|{rule}");
        text.extend(self.rows.iter().map(|row| self.contender(row.who)));
        let _ =
            writeln!(text, "\n| program | of | ns per run | runs per {one} | ns per {one} |\n|---|---|---|---|---|");
        text.extend(self.rows.iter().map(programs));
        text
    }

    fn has_cpu(&self) -> bool {
        self.rows.iter().flat_map(|row| &row.windows).any(|window| window.cpu.is_some())
    }

    fn contender(&self, who: &Contender) -> String {
        let (rate, cpu): (Figure, Figure) = (|window| Some(window.rate), |window| window.cpu);
        let figure = |figure: Figure| self.spread(|round| figure(self.window(who, round)?));
        let (ns, net) = (cell(figure(Window::ns), 1), cell(self.net(who), 1));
        let (speed, change) = (cell(figure(rate), 0), cell(self.change(who, rate), 1));
        let mut text = format!("| {} | {ns} | {net} | {speed} | {change} |", who.title);
        if self.has_cpu() {
            let _ = write!(text, " {} | {} |", cell(figure(cpu), 2), cell(self.change(who, cpu), 1));
        }
        text + "\n"
    }
}

/// One line per program of a contender.
fn programs(row: &Row) -> String {
    let names: BTreeSet<Program<'_>> = row.windows.iter().flat_map(|window| window.by_name().into_keys()).collect();
    let mut text = String::new();
    for program in names {
        let figure = |figure: &dyn Fn(&Runs, &Window) -> Option<f64>| {
            Spread::of(row.windows.iter().filter_map(|window| figure(window.by_name().get(&program)?, window)))
        };
        let per_run = figure(&|runs, _| ratio(runs.time, runs.count));
        let count = figure(&|runs, window| ratio(runs.count, window.operations));
        let time = figure(&|runs, window| ratio(runs.time, window.operations));
        let (name, place) = program;
        let place = if place > 1 { format!(" ({place})") } else { String::new() };
        let title = row.who.title;
        let _ = writeln!(
            text,
            "| `{name}`{place} | {title} | {} | {} | {} |",
            cell(per_run, 1),
            cell(count, 2),
            cell(time, 1)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::turns::NOTHING;

    static ALONE: Contender = NOTHING;
    static EMPTY: Contender = Contender { title: "empty", before: Some(&ALONE), ..NOTHING };
    static LEAN: Contender = Contender { title: "lean", ..EMPTY_OFF };
    static OURS: Contender = Contender { title: "ours", off: &[&EMPTY, &LEAN], before: Some(&LEAN), ..NOTHING };
    static THEIRS: Contender = Contender { title: "theirs", ..EMPTY_OFF };
    static ABSENT: Contender = Contender { title: "absent", ..EMPTY_OFF };
    const EMPTY_OFF: Contender = Contender { off: &[&EMPTY], before: Some(&ALONE), ..NOTHING };

    const GOALS: [Goal; 3] = [
        Goal { text: "half", of: &OURS, peer: &THEIRS, most: 0.5 },
        Goal { text: "a tenth", of: &OURS, peer: &THEIRS, most: 0.1 },
        Goal { text: "other", of: &ABSENT, peer: &THEIRS, most: 0.5 },
    ];

    /// Ten operations in each window.
    fn row(who: &'static Contender, rate: f64, programs: &[(u32, &str, u64, u64)]) -> Row {
        let runs = |&(id, name, count, time): &(u32, &str, u64, u64)| Runs { id, name: name.to_owned(), count, time };
        Row {
            who,
            windows: vec![Window {
                rate,
                cpu: Some(1e4 / rate),
                operations: 10,
                programs: programs.iter().map(runs).collect(),
            }],
        }
    }

    fn comparison() -> Comparison {
        let rows = vec![
            row(&ALONE, 1_000.0, &[]),
            row(&EMPTY, 1_000.0, &[(1, "empty", 10, 200)]),
            row(&LEAN, 900.0, &[(2, "switch", 40, 800)]),
            row(&OURS, 810.0, &[(3, "switch", 40, 1_000), (5, "exe", 10, 400), (4, "exe", 20, 1_600)]),
            row(&THEIRS, 800.0, &[(6, "enter", 10, 2_000), (7, "leave", 12, 5_200)]),
        ];
        Comparison { rows, one: "life", many: "lives" }
    }

    #[test]
    fn all_programs_of_a_contender_count_per_operation_without_what_others_are_there_for() {
        let all = comparison();
        assert_eq!(all.net(&OURS), Spread::of([200.0]));
        assert_eq!(all.net(&THEIRS), Spread::of([700.0]));
        assert_eq!(all.net(&EMPTY), None);
        assert_eq!(all.share(&GOALS[0]), Spread::of([200.0 / 700.0]));
        assert_eq!(all.share(&GOALS[2]), None);
    }

    #[test]
    fn the_load_is_compared_with_what_it_was_before_the_programs_came() {
        let all = comparison();
        let rate = |who| cell(all.change(who, |window| Some(window.rate)), 1);
        assert_eq!(rate(&OURS), "-10.0 (-10.0 to -10.0)");
        assert_eq!(rate(&THEIRS), "-20.0 (-20.0 to -20.0)");
        assert_eq!(rate(&ALONE), "–");
        assert_eq!(cell(all.change(&THEIRS, |window| window.cpu), 1), "25.0 (25.0 to 25.0)");
        assert_eq!(all.change(&THEIRS, |_| None), None);
    }

    #[test]
    fn the_tables_say_what_is_met_and_who_takes_how_long() {
        let text = comparison().text(&GOALS);
        for line in [
            "| half | 0.29 (0.29 to 0.29) | met |",
            "| a tenth | 0.29 (0.29 to 0.29) | missed |",
            "| other | – | not measured |",
            "| attached | ns per life | net | lives a second | change, % | CPU µs per life | change, % |",
            "| nothing | – | – | 1000 (1000 to 1000) | – | 10.00 (10.00 to 10.00) | – |",
            "| theirs | 720.0 (720.0 to 720.0) | 700.0 (700.0 to 700.0) | 800 (800 to 800) | -20.0 (-20.0 to -20.0) | 12.50 (12.50 to 12.50) | 25.0 (25.0 to 25.0) |",
            "| `exe` | ours | 80.0 (80.0 to 80.0) | 2.00 (2.00 to 2.00) | 160.0 (160.0 to 160.0) |",
            "| `exe` (2) | ours | 40.0 (40.0 to 40.0) | 1.00 (1.00 to 1.00) | 40.0 (40.0 to 40.0) |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
