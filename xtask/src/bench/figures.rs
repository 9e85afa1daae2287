//! Figures over rounds: the median, and how far the rounds lie apart.

use std::fmt;

/// Median, least and greatest of some rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

impl Spread {
    /// `None` without any figure.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let (upper, lower) = (sorted.get(middle)?, sorted.get(sorted.len().saturating_sub(1) / 2)?);
        Some(Self { median: f64::midpoint(*lower, *upper), least: *sorted.first()?, greatest: *sorted.last()? })
    }

    /// The middle one.
    pub(super) fn median(self) -> f64 {
        self.median
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.least, self.greatest)
    }
}

/// `None` without a divisor.
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// A cell of a table: the figure, or a dash where there is none.
pub(super) fn cell(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| format!("{spread:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        let shown = |figures: &[f64]| cell(Spread::of(figures.iter().copied()), 1);
        assert_eq!(shown(&[3.0, 1.0, 9.0]), "3.0 (1.0 to 9.0)");
        assert_eq!(shown(&[4.0, 1.0, 2.0, 9.0]), "3.0 (1.0 to 9.0)");
        assert_eq!(shown(&[-1.25]), "-1.2 (-1.2 to -1.2)");
        assert_eq!(shown(&[]), "–");
    }
}
