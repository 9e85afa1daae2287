//! Sums of several figures each of which only grows: adding them up, and what came since.

use super::usage::grown;

/// Figures that are added up, each for itself.
pub(super) trait Figures: Default {
    /// All of them.
    fn figures(&self) -> impl Iterator<Item = &u64>;

    /// All of them, in the same order.
    fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64>;

    /// Adds what others did, or the same ones later.
    fn add_all(&mut self, other: &Self) {
        self.figures_mut().zip(other.figures()).for_each(|(sum, figure)| *sum = sum.saturating_add(*figure));
    }

    /// The growth to `totals`, the highest of which are kept.
    fn grow(&mut self, totals: &Self) -> Self {
        let mut delta = Self::default();
        for ((delta, highest), total) in delta.figures_mut().zip(self.figures_mut()).zip(totals.figures()) {
            *delta = grown(highest, *total);
        }
        delta
    }

    /// Whether any of them is more than 0.
    fn has_any(&self) -> bool {
        self.figures().any(|figure| *figure > 0)
    }
}
