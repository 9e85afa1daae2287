//! What was measured, and the figures that follow from it: each of a round against the same round.

use std::time::Duration;

use super::{
    contenders::{Contender, Named},
    load::{Place, Speed},
};
use crate::bench::{
    attached::Runs,
    figures::{Spread, ratio},
};

/// What one contender did in one round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// The load itself, statistics off.
    pub(super) speed: Speed,
    /// Length of the part with statistics on.
    pub(super) wall: Duration,
    /// Its programs, statistics on.
    pub(super) programs: Vec<Runs>,
}

/// All rounds of one contender in one place.
pub(super) struct Row {
    /// Who.
    pub(super) who: Contender,
    /// One per round.
    pub(super) windows: Vec<Window>,
}

/// All rounds in one place.
pub(super) struct Table {
    /// Where.
    pub(super) place: Place,
    /// The first is the load alone, the second the empty program.
    pub(super) rows: Vec<Row>,
}

impl Window {
    /// Nanoseconds that all its programs took, per switch.
    pub(super) fn ns_per_switch(&self) -> Option<f64> {
        ratio(self.programs.iter().map(|runs| runs.time).sum(), self.switches())
    }

    /// Switches that were seen: runs of the program at switches, or of the one that ran most often if none is named so.
    pub(super) fn switches(&self) -> u64 {
        let most = |at_switches: bool| {
            let named = self.programs.iter().filter(|runs| !at_switches || runs.name.contains("sched_sw"));
            named.map(|runs| runs.count).max().filter(|count| *count > 0)
        };
        most(true).or_else(|| most(false)).unwrap_or(0)
    }

    /// Switches a second.
    pub(super) fn rate(&self) -> f64 {
        self.switches() as f64 / self.wall.as_secs_f64()
    }
}

impl Row {
    /// A figure of each round that has it.
    pub(super) fn spread(&self, figure: impl Fn(&Window) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.windows.iter().filter_map(figure))
    }

    /// A figure of each round that has it, from the same round of another row too.
    pub(super) fn against(&self, other: &Self, figure: impl Fn(&Window, &Window) -> Option<f64>) -> Option<Spread> {
        let rounds = self.windows.iter().zip(&other.windows);
        Spread::of(rounds.filter_map(|(own, other)| figure(own, other)))
    }
}

impl Table {
    /// Nanoseconds per switch on top of the empty program's.
    pub(super) fn net(&self, row: &Row) -> Option<Spread> {
        row.against(self.rows.get(1)?, net)
    }

    /// By how many percent the load took more CPU time than alone.
    pub(super) fn slowdown(&self, row: &Row) -> Option<Spread> {
        let slowdown = |own: &Window, alone: &Window| Some((own.speed.cpu / alone.speed.cpu - 1.0) * 100.0);
        row.against(self.rows.first()?, slowdown).filter(|_| self.place.rate().is_none())
    }

    /// The row of a contender, if it took part.
    pub(super) fn row(&self, named: Named) -> Option<&Row> {
        self.rows.iter().find(|row| row.who == Contender::Named(named))
    }

    /// Of each round in which all took part: one's net figure over the sum of the others'.
    pub(super) fn share(&self, one: Named, others: &[Named]) -> Option<Spread> {
        let empty = self.rows.get(1)?;
        let one = self.row(one)?;
        let others = others.iter().map(|other| self.row(*other)).collect::<Option<Vec<_>>>()?;
        let share = |round: usize| {
            let net = |row: &Row| net(row.windows.get(round)?, empty.windows.get(round)?);
            let sum = others.iter().map(|row| net(row)).sum::<Option<f64>>()?;
            Some(net(one)? / sum)
        };
        Spread::of((0..one.windows.len()).filter_map(share))
    }
}

fn net(own: &Window, empty: &Window) -> Option<f64> {
    Some(own.ns_per_switch()? - empty.ns_per_switch()?)
}

/// Results by hand, for the tests of all that is made of them.
#[cfg(test)]
pub(super) mod by_hand {
    use super::*;

    /// A contender with a program of ten switches in each round of a second: CPU µs per operation, nanoseconds in all.
    pub(in super::super) fn row(who: Contender, rounds: &[(f64, u64)]) -> Row {
        let name = format!("{}_sched_switch", who.title());
        let window = |&(cpu, time)| Window {
            speed: Speed { wall: Some(9.0), cpu },
            wall: Duration::from_secs(1),
            programs: vec![Runs { id: 1, name: name.clone(), count: u64::from(time > 0) * 10, time }],
        };
        Row { windows: rounds.iter().map(window).collect(), who }
    }

    /// One with two rounds, the empty program at 60 and 80 ns.
    pub(in super::super) fn table(place: Place, more: Vec<Row>) -> Table {
        let nothing = row(Contender::Nothing, &[(4.0, 0), (8.0, 0)]);
        let empty = row(Contender::Empty, &[(4.0, 600), (8.0, 800)]);
        Table { place, rows: [nothing, empty].into_iter().chain(more).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(programs: &[(&str, u64, u64)]) -> Window {
        let runs = |&(name, count, time): &(&str, u64, u64)| Runs { id: 0, name: name.to_owned(), count, time };
        let speed = Speed { wall: None, cpu: 1.0 };
        Window { speed, wall: Duration::from_secs(2), programs: programs.iter().map(runs).collect() }
    }

    #[test]
    fn all_programs_of_a_tool_count_per_switch() {
        let tool = window(&[("sched_switch", 100, 5_000), ("sched_wakeup", 150, 2_500)]);
        assert_eq!(tool.ns_per_switch(), Some(75.0));
        assert_eq!((tool.switches(), tool.rate()), (100, 50.0));
        assert_eq!(window(&[("x", 100, 5_000), ("y", 50, 2_500)]).ns_per_switch(), Some(75.0));
        assert_eq!(window(&[("sched_switch", 0, 0)]).ns_per_switch(), None);
        assert_eq!(window(&[]).ns_per_switch(), None);
    }

    #[test]
    fn a_share_is_of_the_net_figures_of_a_round() {
        let named = Contender::Named;
        let full = by_hand::row(named(Named::Full), &[(4.0, 900), (8.0, 1_100)]);
        let cpudist = by_hand::row(named(Named::Cpudist), &[(4.0, 1_600), (8.0, 1_800)]);
        let runqlat = by_hand::row(named(Named::Runqlat), &[(4.0, 2_600), (8.0, 2_800)]);
        let table = by_hand::table(Place::Pinned, vec![full, cpudist, runqlat]);
        assert_eq!(table.share(Named::Full, &[Named::Runqlat]), Spread::of([0.15, 0.15]));
        assert_eq!(table.share(Named::Full, &[Named::Cpudist, Named::Runqlat]), Spread::of([0.1, 0.1]));
        assert_eq!(table.share(Named::Full, &[Named::Offcputime]), None);
    }
}
