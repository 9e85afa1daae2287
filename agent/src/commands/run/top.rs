//! The top workloads of each minute, for a daemon that exports nothing.

use std::{collections::BTreeMap, io};

use crate::{
    attribution::ledger::{Account, Ledger},
    identity::Triplet,
    outputs::report::total,
    samples::Instant,
    units::{Microjoules, Nanos},
};

const EVERY: Nanos = Nanos::from_secs(60);
const ROWS: usize = 5;

/// What was shown last.
#[derive(Debug, Default)]
pub(super) struct Top {
    since: Option<Instant>,
    before: BTreeMap<Triplet, (Microjoules, Nanos)>,
}

impl Top {
    /// Shows what came since a minute ago, once a minute has passed.
    pub(super) fn show(&mut self, ledger: &Ledger, now: Instant, log: &mut impl io::Write) -> io::Result<()> {
        let since = *self.since.get_or_insert(now);
        let span = now.monotonic.saturating_sub(since.monotonic);
        if span < EVERY {
            return Ok(());
        }
        let mut rows: Vec<_> = ledger.accounts().map(|account| self.row(account)).collect();
        rows.sort_by_key(|(_, energy, cpu)| std::cmp::Reverse((*energy, *cpu)));
        let shown = rows.iter().take(ROWS).filter(|(_, _, cpu)| cpu.0 > 0);
        let line: Vec<String> = shown
            .map(|(name, energy, cpu)| format!("{name} {:.1} J {:.1} s", energy.joules().0, cpu.seconds()))
            .collect();
        writeln!(log, "last {:.0} s: {}", span.seconds(), line.join(", "))?;
        self.since = Some(now);
        self.before =
            ledger.accounts().map(|account| (account.workload.id.clone(), (total(account), account.cpu))).collect();
        Ok(())
    }

    fn row<'a>(&self, account: &'a Account) -> (&'a str, Microjoules, Nanos) {
        let (energy, cpu) = self.before.get(&account.workload.id).copied().unwrap_or_default();
        (&account.workload.name, total(account).saturating_sub(energy), account.cpu.saturating_sub(cpu))
    }
}
