//! Data points: one series at one instant as protobuf. Which points a series has is decided in `encode`.
//!
//! Source of the field numbers: opentelemetry-proto 1.x, `metrics/v1/metrics.proto`.

use std::borrow::Cow;

use super::wire::{
    delimited, delimited_len, fixed64, put_delimited, put_fixed64, put_opening, put_varint, varint, varint_len, zigzag,
};
use crate::{telemetry::snapshot::Histogram, units::Nanos};

/// Field of the data points in `Gauge`, `Sum` and `ExponentialHistogram`.
pub(super) const DATA_POINTS: u8 = delimited(1);
/// `DataPointFlags`: the series has no value any more.
const NO_RECORDED_VALUE: u8 = 1;

/// What all points of a series share.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    /// Keys, in the order in which they are written.
    pub(super) keys: &'static [&'static str],
    /// One value per key; empty: not written.
    pub(super) values: &'a [Cow<'static, str>],
}

impl Labels<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.keys.iter().copied().zip(self.values.iter().map(AsRef::as_ref)).filter(|(_, value)| !value.is_empty())
    }

    fn len(&self) -> usize {
        self.pairs().map(|(key, value)| delimited_len(key_value_len(key, value))).sum()
    }

    fn put(&self, out: &mut Vec<u8>, tag: u8) {
        for (key, value) in self.pairs() {
            put_key_value(out, tag, key, value);
        }
    }
}

/// Start and end of what a point counts.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// Start of the cumulative value; gauges have none.
    pub(super) start: Option<Nanos>,
    /// The instant of the point.
    pub(super) at: Nanos,
}

/// Value of a number point: none says that there is no value any more.
pub(super) type Number = Option<f64>;

/// Appends a `NumberDataPoint`.
pub(super) fn put_number(out: &mut Vec<u8>, labels: Labels<'_>, times: Times, value: Number) {
    // One copy for all that has a fixed length: start, time, value.
    let mut fixed = [0_u8; 27];
    fixed[0] = fixed64(2);
    fixed[1..9].copy_from_slice(&times.start.unwrap_or_default().0.to_le_bytes());
    fixed[9] = fixed64(3);
    fixed[10..18].copy_from_slice(&times.at.0.to_le_bytes());
    fixed[18] = fixed64(4);
    fixed[19..].copy_from_slice(&value.unwrap_or_default().to_le_bytes());
    if value.is_none() {
        fixed[18] = varint(8);
        fixed[19] = NO_RECORDED_VALUE;
    }
    let from = if times.start.is_some() { 0 } else { 9 };
    let to = if value.is_some() { fixed.len() } else { 20 };
    let fixed = fixed.get(from..to).unwrap_or_default();
    put_opening(out, DATA_POINTS, labels.len() + fixed.len());
    labels.put(out, delimited(7));
    out.extend_from_slice(fixed);
}

/// Appends an `ExponentialHistogramDataPoint`; none says that there is no value any more.
pub(super) fn put_histogram(out: &mut Vec<u8>, labels: Labels<'_>, times: Times, value: Option<&Histogram>) {
    let times_len = if times.start.is_some() { 18 } else { 9 };
    let buckets = value.map(Buckets::of).unwrap_or_default();
    let value_len = value.map_or(2, |value| histogram_len(value, &buckets));
    put_opening(out, DATA_POINTS, labels.len() + times_len + value_len);
    labels.put(out, delimited(1));
    if let Some(start) = times.start {
        put_fixed64(out, fixed64(2), start.0);
    }
    put_fixed64(out, fixed64(3), times.at.0);
    match value {
        Some(value) => put_histogram_value(out, value, &buckets),
        None => out.extend_from_slice(&[varint(10), NO_RECORDED_VALUE]),
    }
}

fn histogram_len(value: &Histogram, buckets: &Buckets<'_>) -> usize {
    let fixed = 4 * 9; // count, sum, zero_count, zero_threshold
    let positive = if buckets.counts.is_empty() { 0 } else { delimited_len(buckets.len()) };
    fixed + 1 + varint_len(zigzag(value.scale)) + positive
}

fn put_histogram_value(out: &mut Vec<u8>, value: &Histogram, buckets: &Buckets<'_>) {
    put_fixed64(out, fixed64(4), value.count());
    put_fixed64(out, fixed64(5), value.sum.to_bits());
    out.push(varint(6));
    put_varint(out, zigzag(value.scale));
    put_fixed64(out, fixed64(7), value.zero);
    if !buckets.counts.is_empty() {
        put_opening(out, delimited(8), buckets.len());
        buckets.put(out);
    }
    put_fixed64(out, fixed64(14), value.zero_threshold.to_bits());
}

/// Buckets without the empty ones at both ends: they say nothing and are most of a histogram.
#[derive(Default)]
struct Buckets<'a> {
    offset: i32,
    counts: &'a [u64],
    /// Bytes of `counts` as varints.
    counts_len: usize,
}

impl<'a> Buckets<'a> {
    fn of(value: &'a Histogram) -> Self {
        let counts = value.buckets.as_slice();
        let end = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let counts = counts.get(..end).unwrap_or_default();
        let first = counts.iter().position(|count| *count > 0).unwrap_or_default();
        // An index past the end of its type cannot be told, so such empty buckets stay.
        let moved = i32::try_from(first).ok().and_then(|first| value.offset.checked_add(first));
        let (offset, first) = moved.map_or((value.offset, 0), |offset| (offset, first));
        let counts = counts.get(first..).unwrap_or_default();
        Self { offset, counts, counts_len: counts.iter().map(|count| varint_len(*count)).sum() }
    }

    /// Bytes of the `Buckets` message.
    fn len(&self) -> usize {
        1 + varint_len(zigzag(self.offset)) + delimited_len(self.counts_len)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(varint(1));
        put_varint(out, zigzag(self.offset));
        put_opening(out, delimited(2), self.counts_len);
        for count in self.counts {
            put_varint(out, *count);
        }
    }
}

/// Bytes of a `KeyValue` message that holds a string.
fn key_value_len(key: &str, value: &str) -> usize {
    delimited_len(key.len()) + delimited_len(delimited_len(value.len()))
}

/// Appends a `KeyValue` that holds a string.
pub(super) fn put_key_value(out: &mut Vec<u8>, tag: u8, key: &str, value: &str) {
    let len = key_value_len(key, value);
    let any_len = delimited_len(value.len());
    if let (Ok(len @ ..0x80), Ok(any_len), Ok(key_len), Ok(value_len)) =
        (u8::try_from(len), u8::try_from(any_len), u8::try_from(key.len()), u8::try_from(value.len()))
    {
        // Most are this short: then every length is one byte, and what stands before a text is one copy.
        out.extend_from_slice(&[tag, len, delimited(1), key_len]);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&[delimited(2), any_len, delimited(1), value_len]);
        out.extend_from_slice(value.as_bytes());
        return;
    }
    put_opening(out, tag, len);
    put_delimited(out, delimited(1), key.as_bytes());
    put_opening(out, delimited(2), any_len);
    put_delimited(out, delimited(1), value.as_bytes());
}
