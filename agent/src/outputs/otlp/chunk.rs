//! One encoded request, and how it is cut when a destination does not take it whole. Pure.

use std::ops::Range;

use bytes::Bytes;

use super::decode::all;

/// An `ExportMetricsServiceRequest`, uncompressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// The message.
    pub bytes: Bytes,
    /// Data points in it.
    pub points: u64,
    /// Where its top-level fields lie within [`Chunk::bytes`], key and length included: one `ResourceMetrics` each.
    ///
    /// A request is nothing but this field repeated, so any of them, one after the other, are a request again.
    pub parts: Vec<Range<usize>>,
}

impl Chunk {
    /// Two halves by count of Resources, in order; nothing when there are not two.
    ///
    /// The points of the halves add up to those of the whole.
    pub fn split(&self) -> Option<(Self, Self)> {
        if self.parts.len() < 2 {
            return None;
        }
        let (left, right) = self.parts.split_at_checked(self.parts.len() / 2)?;
        let (mut left, mut right) = (self.select(left), self.select(right));
        left.points = count(&left.bytes).min(self.points);
        right.points = self.points.saturating_sub(left.points);
        Some((left, right))
    }

    /// Both in one request, this one first.
    pub fn join(self, other: &Self) -> Self {
        let before = self.bytes.len();
        let moved = other.parts.iter().map(|part| part.start.saturating_add(before)..part.end.saturating_add(before));
        let parts = self.parts.iter().cloned().chain(moved).collect();
        let points = self.points.saturating_add(other.points);
        Self { bytes: [self.bytes, other.bytes.clone()].concat().into(), points, parts }
    }

    fn select(&self, parts: &[Range<usize>]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(ExactSizeIterator::len).sum());
        let mut moved = Vec::with_capacity(parts.len());
        for part in parts.iter().filter_map(|part| self.bytes.get(part.clone())) {
            let start = bytes.len();
            bytes.extend_from_slice(part);
            moved.push(start..bytes.len());
        }
        Self { bytes: bytes.into(), points: 0, parts: moved }
    }
}

/// Data points in a request: request 1 → scope 2 → metric 2 → gauge 5, sum 7, histograms 9 and 10, summary 11 → point 1
/// (`opentelemetry/proto/metrics/v1/metrics.proto`).
fn count(request: &[u8]) -> u64 {
    let metrics = all(request, 1).flat_map(|resource| all(resource, 2)).flat_map(|scope| all(scope, 2));
    let data = metrics.flat_map(|metric| [5, 7, 9, 10, 11].into_iter().flat_map(|kind| all(metric, kind)));
    data.map(|data| all(data, 1).count() as u64).fold(0, u64::saturating_add)
}

#[cfg(test)]
pub(super) mod tests;
