//! Processes: what was done in an interval, or in all.

use serde::{Deserialize, Serialize};

use super::ProcessTotals;
use crate::units::Nanos;

/// What processes did: in an interval, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// How many and how much.
    pub totals: ProcessTotals,
}

impl ProcessTotals {
    fn figures(&self) -> impl Iterator<Item = &u64> {
        let Self { forks, execs, exits, short_lived, exited_cpu: Nanos(cpu) } = self;
        exits.iter().chain([forks, execs, short_lived, cpu])
    }

    fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { forks, execs, exits, short_lived, exited_cpu: Nanos(cpu) } = self;
        exits.iter_mut().chain([forks, execs, short_lived, cpu])
    }
}

impl ProcessUse {
    /// Adds what others did, or the same ones later.
    pub fn add(&mut self, other: &Self) {
        let sums = self.totals.figures_mut().zip(other.totals.figures());
        sums.for_each(|(sum, figure)| *sum = sum.saturating_add(*figure));
    }

    /// What came since `before`, an earlier sum of the same.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut delta = self.clone();
        let figures = delta.totals.figures_mut().zip(before.totals.figures());
        figures.for_each(|(figure, before)| *figure = figure.saturating_sub(*before));
        delta
    }

    /// Whether anything was done.
    pub fn is_any(&self) -> bool {
        self.totals.figures().any(|figure| *figure > 0)
    }
}
