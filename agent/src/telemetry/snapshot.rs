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
}
