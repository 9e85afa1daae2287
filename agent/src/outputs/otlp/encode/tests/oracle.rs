//! The same message built from the same snapshot another way: with the structs that `prost` generates from
//! the protocol's own definition. Who names this module says where `catalog` and `snapshot` are.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

use super::{
    catalog::{self, Kind},
    snapshot::{EntitySeries, Histogram, Phase, Series, Snapshot, Value},
};

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";

pub(super) fn request(snapshot: &Snapshot) -> ExportMetricsServiceRequest {
    let resource_metrics = snapshot.entities.iter().map(|told| entity(told, snapshot.at.0));
    ExportMetricsServiceRequest {
        resource_metrics: resource_metrics.filter(|entity| !entity.scope_metrics[0].metrics.is_empty()).collect(),
    }
}

/// Number of data points.
pub(super) fn points(request: &ExportMetricsServiceRequest) -> usize {
    let metrics = request.resource_metrics.iter().flat_map(|entity| &entity.scope_metrics[0].metrics);
    metrics
        .map(|metric| match metric.data.as_ref() {
            Some(Data::Sum(sum)) => sum.data_points.len(),
            Some(Data::Gauge(gauge)) => gauge.data_points.len(),
            Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
            _ => 0,
        })
        .sum()
}

fn entity(told: &EntitySeries, at: u64) -> ResourceMetrics {
    let attributes = told.resource.attributes.iter().map(|(key, value)| pair(key, value)).collect();
    let mut metrics: Vec<(&'static catalog::Metric, Metric)> = Vec::new();
    let mut previous = None;
    for series in &told.series {
        let points = data(series, at);
        let continues = previous.replace(series.metric.name) == Some(series.metric.name);
        match (points, metrics.last_mut().filter(|(row, _)| continues && row.name == series.metric.name)) {
            (Some(points), Some((_, metric))) => append(metric, points),
            (Some(points), None) => metrics.push((series.metric, named(series.metric, points))),
            (None, _) => {}
        }
    }
    let scope_metrics = ScopeMetrics {
        scope: Some(InstrumentationScope {
            name: "wattrace".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        }),
        metrics: metrics.into_iter().map(|(_, metric)| metric).collect(),
        schema_url: SCHEMA.to_owned(),
    };
    ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![scope_metrics],
        schema_url: SCHEMA.to_owned(),
    }
}

fn named(row: &catalog::Metric, data: Data) -> Metric {
    Metric {
        name: row.name.to_owned(),
        description: row.help.to_owned(),
        unit: row.unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn append(metric: &mut Metric, more: Data) {
    match (metric.data.as_mut(), more) {
        (Some(Data::Sum(all)), Data::Sum(more)) => all.data_points.extend(more.data_points),
        (Some(Data::Gauge(all)), Data::Gauge(more)) => all.data_points.extend(more.data_points),
        (Some(Data::ExponentialHistogram(all)), Data::ExponentialHistogram(more)) => {
            all.data_points.extend(more.data_points);
        }
        other => panic!("one metric, two kinds: {other:?}"),
    }
}

/// The points of one series; none when it cannot be told.
fn data(series: &Series, at: u64) -> Option<Data> {
    if series.attributes.len() != series.metric.attributes.len() {
        return None;
    }
    let cumulative = AggregationTemporality::Cumulative as i32;
    match (series.metric.kind, &series.value) {
        (Kind::Gauge, Value::Number(value)) => {
            let data_points = numbers(series, at, *value)?;
            let data_points = data_points.into_iter().filter(|point| point.time_unix_nano == at);
            let data_points = data_points.map(|point| NumberDataPoint { start_time_unix_nano: 0, ..point });
            Some(Data::Gauge(Gauge { data_points: data_points.collect() }))
        }
        (Kind::Sum, Value::Number(value)) => Some(Data::Sum(Sum {
            data_points: numbers(series, at, *value)?,
            aggregation_temporality: cumulative,
            is_monotonic: true,
        })),
        (Kind::Histogram, Value::Histogram(value)) => Some(Data::ExponentialHistogram(ExponentialHistogram {
            data_points: histograms(series, at, value)?,
            aggregation_temporality: cumulative,
        })),
        _ => None,
    }
}

fn numbers(series: &Series, at: u64, value: f64) -> Option<Vec<NumberDataPoint>> {
    let point = |time, value: Option<f64>| NumberDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: series.start.0,
        time_unix_nano: time,
        exemplars: Vec::new(),
        flags: u32::from(value.is_none()),
        value: value.map(number_data_point::Value::AsDouble),
    };
    match series.phase {
        Phase::Gone => Some(vec![point(at, None)]),
        _ if !value.is_finite() => None,
        Phase::Born if series.start.0 < at => Some(vec![point(series.start.0, Some(0.0)), point(at, Some(value))]),
        Phase::Born | Phase::Live | Phase::Ended => Some(vec![point(at, Some(value))]),
    }
}

fn histograms(series: &Series, at: u64, value: &Histogram) -> Option<Vec<ExponentialHistogramDataPoint>> {
    let bare = |time| ExponentialHistogramDataPoint {
        attributes: attributes(series),
        start_time_unix_nano: series.start.0,
        time_unix_nano: time,
        ..ExponentialHistogramDataPoint::default()
    };
    let zero = |time| ExponentialHistogramDataPoint {
        sum: Some(0.0),
        scale: value.scale,
        zero_threshold: value.zero_threshold,
        ..bare(time)
    };
    let full = |time| ExponentialHistogramDataPoint {
        count: value.count(),
        sum: Some(value.sum),
        zero_count: value.zero,
        positive: buckets(value),
        ..zero(time)
    };
    match series.phase {
        Phase::Gone => Some(vec![ExponentialHistogramDataPoint { flags: 1, ..bare(at) }]),
        _ if !value.sum.is_finite() || !value.zero_threshold.is_finite() => None,
        Phase::Born if series.start.0 < at => Some(vec![zero(series.start.0), full(at)]),
        Phase::Born | Phase::Live | Phase::Ended => Some(vec![full(at)]),
    }
}

/// The buckets from the first to the last that holds something.
fn buckets(value: &Histogram) -> Option<Buckets> {
    let mut counts = value.buckets.clone();
    let mut offset = value.offset;
    while counts.last() == Some(&0) {
        counts.pop();
    }
    let empty = counts.iter().take_while(|count| **count == 0).count();
    if let Some(moved) = offset.checked_add(i32::try_from(empty).unwrap()) {
        offset = moved;
        counts.drain(..empty);
    }
    (!counts.is_empty()).then_some(Buckets { offset, bucket_counts: counts })
}

fn attributes(series: &Series) -> Vec<KeyValue> {
    let pairs = series.metric.attributes.iter().zip(&series.attributes);
    pairs.filter(|(_, value)| !value.is_empty()).map(|(key, value)| pair(key, value)).collect()
}

fn pair(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}
