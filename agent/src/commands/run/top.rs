//! The top workloads of each minute, for a daemon that exports nothing; and of each interval, for who asked to see them.

use std::{collections::BTreeMap, io::Write};

use crate::{
    attribution::ledger::{Account, Ledger},
    commands::once,
    identity::{NAME_MAX, Triplet, bounded},
    outputs::{console, report::total},
    pipeline::{Interval, Pipeline},
    samples::Instant,
    units::{Microjoules, Nanos},
};

const EVERY: Nanos = Nanos::from_secs(60);
const ROWS: usize = 5;

/// What was said last.
#[derive(Debug)]
pub(super) struct Top {
    since: Instant,
    before: BTreeMap<Triplet, (Microjoules, Nanos)>,
    is_first: bool,
}

impl Top {
    /// Counts from now on: totals may be older than this run.
    pub(super) fn new(ledger: &Ledger, now: Instant) -> Self {
        Self { since: now, before: totals(ledger), is_first: true }
    }

    /// What came since the last time: after the first interval, then once a minute has passed.
    pub(super) fn line(&mut self, ledger: &Ledger, now: Instant) -> Option<String> {
        let span = now.monotonic.saturating_sub(self.since.monotonic);
        if span < EVERY && !std::mem::take(&mut self.is_first) {
            return None;
        }
        let mut rows: Vec<_> = ledger.accounts().map(|account| self.row(account)).collect();
        rows.sort_by_key(|(_, energy, cpu)| std::cmp::Reverse((*energy, *cpu)));
        let shown = rows.iter().take(ROWS).filter(|(_, _, cpu)| cpu.0 > 0);
        let list: Vec<String> = shown
            .map(|(name, energy, cpu)| {
                format!("{} {:.1} J {:.1} s", bounded(name, NAME_MAX), energy.joules().0, cpu.seconds())
            })
            .collect();
        let line = format!("last {:.0} s: {}", span.seconds(), list.join(", "));
        (self.since, self.before, self.is_first) = (now, totals(ledger), false);
        Some(line)
    }

    fn row<'a>(&self, account: &'a Account) -> (&'a str, Microjoules, Nanos) {
        let (energy, cpu) = self.before.get(&account.workload.id).copied().unwrap_or_default();
        (&account.workload.name, total(account).saturating_sub(energy), account.cpu.saturating_sub(cpu))
    }
}

fn totals(ledger: &Ledger) -> BTreeMap<Triplet, (Microjoules, Nanos)> {
    ledger.accounts().map(|account| (account.workload.id.clone(), (total(account), account.cpu))).collect()
}

/// A table of each interval.
#[derive(Debug)]
pub(super) struct Table {
    rows: usize,
    before: Ledger,
}

impl Table {
    /// Counts from now on.
    pub(super) fn new(rows: usize, ledger: &Ledger) -> Self {
        Self { rows, before: ledger.clone() }
    }

    /// Writes what the interval brought. Who does not read it any more ends no measurement.
    pub(super) fn show(&self, pipeline: &Pipeline, interval: &Interval, out: &mut impl Write) {
        let ledger = pipeline.ledger.since(&self.before);
        let text = console::table(&once::report(pipeline, interval, &ledger), self.rows, "", console::Width::Narrow);
        writeln!(out, "{text}").and_then(|()| out.flush()).ok();
    }

    /// Remembers the totals, after who is gone was retired from them.
    pub(super) fn note(&mut self, ledger: &Ledger) {
        self.before.clone_from(ledger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outputs::example::Example;

    fn at(seconds: u64) -> Instant {
        Instant { monotonic: Nanos::from_secs(seconds), ..Instant::default() }
    }

    #[test]
    fn the_first_interval_is_said_and_then_each_minute() {
        let example = Example::new();
        let mut top = Top::new(&Ledger::default(), at(100));
        let line = top.line(&example.ledger, at(115)).unwrap();
        assert!(line.starts_with("last 15 s: ssh.service 13.2 J 1.2 s, "), "{line}");
        assert_eq!(top.line(&example.ledger, at(174)), None);
        assert_eq!(top.line(&example.ledger, at(175)).as_deref(), Some("last 60 s: "));
    }

    #[test]
    fn totals_of_an_earlier_run_are_none_of_this_one() {
        let example = Example::new();
        let mut top = Top::new(&example.ledger, at(0));
        assert_eq!(top.line(&example.ledger, at(1)).as_deref(), Some("last 1 s: "));
    }
}
