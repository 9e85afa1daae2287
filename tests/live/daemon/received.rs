//! What arrived, read by a decoder that is not ours.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{
        ExponentialHistogramDataPoint, Metric, NumberDataPoint, metric::Data, number_data_point::Value as Number,
    },
};
use prost::Message;
use wattrace::units::Nanos;
use wattrace_tests::{
    patience,
    receiver::{Receiver, Request},
};

type Attributes = BTreeMap<String, String>;

#[derive(Clone, Debug)]
pub struct Point {
    pub resource: Attributes,
    pub metric: String,
    pub attributes: Attributes,
    /// Cumulative: a sum, or a histogram, whose value is its count.
    pub is_sum: bool,
    pub start: u64,
    pub at: u64,
    /// `None`: flagged as having no recorded value.
    pub value: Option<f64>,
}

/// What makes a series one: who, which metric, which attributes.
pub type Series = (Vec<Option<String>>, String, Attributes);

impl Point {
    pub fn series(&self) -> Series {
        let key = ["service.namespace", "service.name", "service.instance.id"];
        let who = key.iter().map(|key| self.resource.get(*key).cloned()).collect();
        (who, self.metric.clone(), self.attributes.clone())
    }

    pub fn is_of(&self, cgroup: &str) -> bool {
        self.resource.get("wattrace.cgroup.path").is_some_and(|path| path == cgroup)
    }

    pub fn instance(&self) -> &str {
        &self.resource["service.instance.id"]
    }

    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// The CPU time of a cgroup as it was told last, shared or not. `None`: it was not told.
pub fn cpu_time(points: &[Point], cgroup: &str) -> Option<Nanos> {
    let mut last: BTreeMap<&str, f64> = BTreeMap::new();
    for point in points.iter().filter(|point| point.is_of(cgroup) && point.metric == "wattrace.workload.cpu.time") {
        last.extend(point.value.map(|seconds| (point.attribute("wattrace.cpu.shared"), seconds)));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
    let nanos = (last.values().sum::<f64>() * 1e9).round() as u64;
    (!last.is_empty()).then_some(Nanos(nanos))
}

/// Points with numbers that were acknowledged, in the order in which they came.
pub fn points(receiver: &Receiver) -> Vec<Point> {
    receiver.requests().iter().flat_map(points_of).collect()
}

/// Those of one request.
pub fn points_of(request: &Request) -> Vec<Point> {
    if !request.taken || request.path == "/v1/logs" {
        return Vec::new();
    }
    assert_eq!(request.path, "/v1/metrics");
    let mut points = Vec::new();
    for resource in ExportMetricsServiceRequest::decode(&*request.body).unwrap().resource_metrics {
        let who = attributes(&resource.resource.unwrap().attributes);
        let metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
        points.extend(metrics.flat_map(|metric| of_metric(&who, metric)));
    }
    points
}

fn of_metric(who: &Attributes, metric: Metric) -> Vec<Point> {
    let (is_sum, found) = match metric.data.unwrap() {
        Data::Gauge(gauge) => (false, gauge.data_points),
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{}", metric.name);
            (true, sum.data_points)
        }
        Data::ExponentialHistogram(histogram) => {
            assert!(histogram.aggregation_temporality == 2, "{}", metric.name);
            return histogram.data_points.into_iter().map(|point| of_histogram(who, &metric.name, &point)).collect();
        }
        _ => panic!("{}: of another kind", metric.name),
    };
    let point = |point: NumberDataPoint| Point {
        resource: who.clone(),
        metric: metric.name.clone(),
        attributes: attributes(&point.attributes),
        is_sum,
        start: point.start_time_unix_nano,
        at: point.time_unix_nano,
        value: match point.value {
            Some(Number::AsDouble(value)) => {
                assert_eq!(point.flags, 0);
                Some(value)
            }
            None => {
                assert_eq!(point.flags, 1);
                None
            }
            Some(Number::AsInt(value)) => panic!("{}: an integer: {value}", metric.name),
        },
    };
    found.into_iter().map(point).collect()
}

/// Its value is the number of values in it.
fn of_histogram(who: &Attributes, metric: &str, point: &ExponentialHistogramDataPoint) -> Point {
    let buckets = point.positive.as_ref().map_or(0, |positive| positive.bucket_counts.iter().sum());
    assert_eq!(point.count, point.zero_count + buckets, "{metric}");
    Point {
        resource: who.clone(),
        metric: metric.to_owned(),
        attributes: attributes(&point.attributes),
        is_sum: true,
        start: point.start_time_unix_nano,
        at: point.time_unix_nano,
        value: (point.flags == 0).then_some(point.count as f64),
    }
}

fn attributes(pairs: &[KeyValue]) -> Attributes {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{}: no text: {other:?}", pair.key),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// Waits until what arrived is as `enough` says, and returns it.
pub fn until_received(receiver: &Receiver, what: &str, enough: impl Fn(&[Point]) -> bool) -> Vec<Point> {
    let deadline = Instant::now() + patience(10);
    loop {
        let seen = receiver.count();
        let points = points(receiver);
        if enough(&points) {
            return points;
        }
        while receiver.count() == seen && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(Instant::now() < deadline, "never arrived: {what}");
        // The head is counted before the body is there.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for so many snapshots of instants after now.
pub fn until_later(receiver: &Receiver, snapshots: usize) -> Vec<Point> {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    until_received(receiver, "later snapshots", |points| {
        instants(points).into_iter().filter(|at| *at > now).count() >= snapshots
    })
}

/// The instants of snapshots, in order. The zero points of new series have others: their start.
pub fn instants(points: &[Point]) -> Vec<u64> {
    let mut instants: Vec<u64> = points.iter().filter(|point| point.at != point.start).map(|point| point.at).collect();
    instants.sort_unstable();
    instants.dedup();
    instants
}
