//! Everything that is told at one instant: entities with their series. Outputs only encode it.

use std::{borrow::Cow, sync::Arc};

use super::catalog::Metric;
use crate::{identity::Triplet, units::Nanos};

/// All series at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Number of the snapshot, from 1: what a destination acknowledges.
    pub number: u64,
    /// Wall clock, nanoseconds since 1970: the time of every point.
    pub at: Nanos,
    /// The node, the workloads, the agent.
    pub entities: Vec<EntitySeries>,
}

/// One entity and its series.
#[derive(Clone, Debug, PartialEq)]
pub struct EntitySeries {
    /// Who.
    pub resource: Arc<Resource>,
    /// What is told about it, in the order of the catalogue: series of one metric stand together.
    pub series: Vec<Series>,
}

/// An OTLP Resource: the observed entity, not the observer.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// `service.namespace`, `service.name`, `service.instance.id`: unique within a snapshot.
    pub id: Triplet,
    /// All attributes in the order in which they are written, the triplet's among them.
    pub attributes: Vec<(&'static str, String)>,
}

impl Triplet {
    /// The attributes it consists of.
    pub fn attributes(&self) -> [(&'static str, String); 3] {
        [
            ("service.namespace", self.namespace.clone()),
            ("service.name", self.name.clone()),
            ("service.instance.id", self.instance.clone()),
        ]
    }
}

/// One series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The row of the catalogue.
    pub metric: &'static Metric,
    /// One value per key of [`Metric::attributes`], in that order; empty: the attribute does not apply.
    pub attributes: Vec<Cow<'static, str>>,
    /// Start of the cumulative value, wall clock; meaningless for gauges.
    pub start: Nanos,
    /// Where in its life the series is.
    pub phase: Phase,
    /// The value.
    pub value: Value,
}

/// Where in its life a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Told for the first time: a cumulative series starts with a point of value 0 at its start time.
    Born,
    /// Told before.
    Live,
    /// The final value, repeated until every destination has acknowledged it.
    Ended,
    /// Every destination has its final value: one point says that there is no value any more.
    Gone,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Sums and gauges.
    Number(f64),
    /// Histograms.
    Histogram(Histogram),
}

/// A cumulative exponential histogram. Bucket `i` holds `base^i < v ≤ base^(i+1)`, `base = 2^(2^-scale)`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Scale of the buckets.
    pub scale: i32,
    /// Index of the first bucket.
    pub offset: i32,
    /// Counts from there on.
    pub buckets: Vec<u64>,
    /// Values at or below [`Histogram::zero_threshold`].
    pub zero: u64,
    /// Largest value counted as zero.
    pub zero_threshold: f64,
    /// Sum of all values.
    pub sum: f64,
}

impl Histogram {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(self.zero, |sum, count| sum.saturating_add(*count))
    }

    /// All buckets, by their upper edge.
    pub fn edges(&self) -> impl Iterator<Item = (f64, u64)> {
        let indices = i64::from(self.offset)..;
        indices.zip(&self.buckets).map(|(index, count)| (upper_edge(index, self.scale), *count))
    }

    /// The same values in the larger buckets of a lower scale; as it is, where the scale is not lower. This is exact.
    #[must_use]
    pub fn coarser(&self, scale: i32) -> Self {
        let shift = u32::try_from(self.scale.saturating_sub(scale)).unwrap_or(0).min(i32::BITS - 1);
        let offset = self.offset >> shift;
        let mut buckets: Vec<u64> = Vec::new();
        for (index, count) in (i64::from(self.offset)..).zip(&self.buckets) {
            let place = usize::try_from((index >> shift) - i64::from(offset)).unwrap_or(0);
            buckets.resize(place + 1, 0);
            buckets.iter_mut().skip(place).for_each(|sum| *sum = sum.saturating_add(*count));
        }
        Self { scale: self.scale.min(scale), offset, buckets, ..self.clone() }
    }
}

/// `2^((index + 1)·2^-scale)`
fn upper_edge(index: i64, scale: i32) -> f64 {
    let exponent = (index + 1) as f64 * f64::from(-scale).exp2();
    // The whole part on its own, so that powers of two come out exact.
    let whole = exponent.floor();
    (exponent - whole).exp2() * whole.exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_those_of_the_buckets() {
        for (index, scale, expected) in [
            (-1, 3, 1.0),
            (-161, 3, 2_f64.powi(-20)),
            (55, 3, 128.0),
            (0, 0, 2.0),
            (2, -2, 4096.0),
            (3, 1, 4.0),
            (1 << 40, 0, f64::INFINITY),
        ] {
            assert!(upper_edge(index, scale).total_cmp(&expected).is_eq(), "{index} at {scale}");
        }
        assert!((upper_edge(0, 3) - 2_f64.powf(0.125)).abs() < 1e-15);
    }

    #[test]
    fn a_coarser_histogram_has_the_same_values() {
        let fine = Histogram { scale: 2, offset: -3, buckets: vec![1, 2, 3, 4, 5], zero: 9, ..Histogram::default() };
        let told = |scale| {
            let histogram = fine.coarser(scale);
            (histogram.scale, histogram.offset, histogram.buckets, histogram.zero)
        };
        assert_eq!(told(1), (1, -2, vec![1, 5, 9], 9));
        assert_eq!(told(0), (0, -1, vec![6, 9], 9));
        assert_eq!(told(-40), (-40, -1, vec![6, 9], 9));
        assert_eq!(told(3), (2, -3, fine.buckets.clone(), 9), "it is as fine as it was");
        let edges: Vec<_> = fine.coarser(0).edges().collect();
        assert_eq!(edges, [(1.0, 6), (2.0, 9)]);
    }
}
