//! Histograms of durations, those that the agent itself takes and those that kernel programs count. Pure.

use wattrace_common::{
    histogram,
    threads::{FIRST, ZERO},
};

use super::snapshot::Histogram;
use crate::{samples::Durations, units::Nanos};

/// Index of the last bucket, which also has what is longer: 2^7 s.
const LAST: i32 = 55;

impl Histogram {
    /// An empty histogram of durations: eight buckets per doubling, from a microsecond to two minutes.
    pub fn of_durations() -> Self {
        let buckets = (FIRST..=LAST).map(|_| 0).collect();
        Self { scale: histogram::SCALE, offset: FIRST, buckets, zero_threshold: zero_threshold(), ..Self::default() }
    }

    /// What kernel programs counted, in buckets of this scale. What is longer than the last one's is in it.
    pub fn of_counted(counted: &Durations, scale: i32) -> Self {
        let (zero, buckets) = counted.counts.split_first().map_or((0, &[][..]), |(zero, rest)| (*zero, rest));
        Self {
            scale,
            offset: FIRST >> (histogram::SCALE - scale),
            buckets: buckets.to_vec(),
            zero,
            zero_threshold: zero_threshold(),
            sum: counted.sum.seconds(),
        }
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

/// [`ZERO`] in seconds: 2^-20.
fn zero_threshold() -> f64 {
    f64::from(-20).exp2()
}

#[cfg(test)]
mod tests {
    use wattrace_common::threads::{OFF_BUCKETS, OFF_SCALE, WAIT_BUCKETS, WAIT_SCALE, off_bucket, wait_bucket};

    use super::*;

    #[test]
    fn what_was_counted_stays_in_its_bucket() {
        for (scale, buckets) in [(WAIT_SCALE, WAIT_BUCKETS), (OFF_SCALE, OFF_BUCKETS)] {
            for nanos in [0, 953, 954, 1_000, 1_000_000, 999_999_999, 1_000_000_001, 100_000_000_000] {
                let mut counted = Durations { sum: Nanos(nanos), counts: vec![0; buckets] };
                counted.counts[if scale == WAIT_SCALE {
                    wait_bucket(nanos, u64::wrapping_sub)
                } else {
                    off_bucket(nanos, u64::wrapping_sub)
                }] = 3;
                let histogram = Histogram::of_counted(&counted, scale);
                assert_eq!((histogram.count(), histogram.sum), (3, Nanos(nanos).seconds()));
                if nanos <= ZERO {
                    assert_eq!(histogram.zero, 3);
                    continue;
                }
                let at = histogram.edges().position(|(_, count)| count > 0).unwrap();
                let edges: Vec<f64> = histogram.edges().map(|(upper, _)| upper).collect();
                let lower = if at == 0 { histogram.zero_threshold } else { edges[at - 1] };
                let seconds = Nanos(nanos).seconds();
                assert!(lower < seconds && seconds <= edges[at], "{nanos} at {scale}: {lower} to {}", edges[at]);
            }
        }
        assert_eq!(Histogram::of_counted(&Durations::default(), 1).count(), 0);
    }

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
