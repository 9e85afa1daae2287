//! Histograms in `once --json`: pairs of a bucket's upper edge and its count.

use serde::Serialize;

use crate::{samples::Durations, telemetry::snapshot};

#[derive(Serialize)]
pub(super) struct Histogram {
    count: u64,
    sum_s: f64,
    zero: u64,
    buckets: Vec<(f64, u64)>,
}

impl Histogram {
    pub(super) fn of(counted: &Durations, scale: i32) -> Self {
        let histogram = snapshot::Histogram::of_counted(counted, scale);
        Self {
            count: histogram.count(),
            sum_s: histogram.sum,
            zero: histogram.zero,
            buckets: histogram.edges().filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// `None`: there is nothing in it.
    pub(super) fn of_any(counted: &Durations, scale: i32) -> Option<Self> {
        Some(Self::of(counted, scale)).filter(|histogram| histogram.count > 0)
    }
}
