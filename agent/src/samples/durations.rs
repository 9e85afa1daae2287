//! Histograms of durations as kernel programs count them: sums of them, and what came since.

use super::{Durations, usage::grown};
use crate::units::Nanos;

impl Durations {
    pub(super) fn add(&mut self, other: &Self) {
        self.widen(other.counts.len());
        self.sum += other.sum;
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// The growth to `totals`, the highest of which are kept.
    pub(super) fn grow(&mut self, totals: &Self) -> Self {
        self.widen(totals.counts.len());
        let counts = self.counts.iter_mut().zip(&totals.counts).map(|(highest, total)| grown(highest, *total));
        Self { counts: counts.collect(), sum: Nanos(grown(&mut self.sum.0, totals.sum.0)) }
    }

    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }

    fn widen(&mut self, buckets: usize) {
        self.counts.resize(self.counts.len().max(buckets), 0);
    }
}
