//! Histograms of durations that the agent itself takes. Pure.

use wattrace_common::histogram;

use super::snapshot::Histogram;
use crate::units::Nanos;

/// Nanoseconds that count as zero: all up to 2^-20 s.
const ZERO: u64 = 953;
/// Index of the first bucket: it begins at 2^-20 s.
const FIRST: i32 = -160;
/// Index of the last bucket, which also has what is longer: 2^7 s.
const LAST: i32 = 55;

impl Histogram {
    /// An empty histogram of durations: eight buckets per doubling, from a microsecond to two minutes.
    pub fn of_durations() -> Self {
        let buckets = (FIRST..=LAST).map(|_| 0).collect();
        let zero_threshold = f64::from(-20).exp2();
        Self { scale: histogram::SCALE, offset: FIRST, buckets, zero_threshold, ..Self::default() }
    }

    /// Counts a duration; only for those of [`Histogram::of_durations`].
    pub fn record(&mut self, span: Nanos) {
        self.sum += span.seconds();
        if span.0 <= ZERO {
            self.zero += 1;
            return;
        }
        let place = usize::try_from(histogram::index(span.0).clamp(FIRST, LAST) - FIRST);
        if let Some(bucket) = place.ok().and_then(|place| self.buckets.get_mut(place)) {
            *bucket += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_once_and_in_its_bucket() {
        let mut histogram = Histogram::of_durations();
        let spans = [0, 953, 954, 1_000_000, 1_000_000_000, 60_000_000_000, 1_000_000_000_000, u64::MAX];
        for span in spans {
            histogram.record(Nanos(span));
        }
        assert_eq!(histogram.count(), spans.len() as u64);
        assert_eq!(histogram.zero, 2);
        let filled: Vec<_> = (FIRST..).zip(&histogram.buckets).filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(-160, &1), (-80, &1), (-1, &1), (47, &1), (LAST, &2)]);
        let sum: f64 = spans.iter().map(|span| Nanos(*span).seconds()).sum();
        assert!((histogram.sum - sum).abs() < 1e-3, "{}", histogram.sum);
    }
}
