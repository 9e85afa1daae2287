//! One rich snapshot, read by the Python decoder, against what the snapshot says.

use std::{borrow::Cow, fs, process::Command, sync::Arc};

use serde_json::{Value as Json, json};
use wattrace::{
    identity::Triplet,
    outputs::otlp::Encoder,
    telemetry::{
        catalog::{Entity, Kind, Metric},
        snapshot::{EntitySeries, Histogram, Phase, Resource, Series, Snapshot, Value},
    },
    units::{Bytes, Nanos},
};

use super::python;

const DECODER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/decode_otlp.py");
const AT: Nanos = Nanos(1_800_000_000_123_456_789);
const START: Nanos = Nanos(1_799_999_000_000_000_001);

const fn row(name: &'static str, unit: &'static str, kind: Kind, attributes: &'static [&'static str]) -> Metric {
    Metric { name, unit, kind, entity: Entity::Workload, attributes, help: "Näherungsweise – 約." }
}

static SUM: Metric = row("peer.energy", "J", Kind::Sum, &["zone", "state"]);
static GAUGE: Metric = row("peer.power", "W", Kind::Gauge, &[]);
static HISTOGRAM: Metric = row("peer.duration", "s", Kind::Histogram, &["direction"]);
static PHASES: [Phase; 4] = [Phase::Born, Phase::Live, Phase::Ended, Phase::Gone];

fn snapshot() -> Snapshot {
    let entity = |number: usize| {
        let id = Triplet {
            namespace: "peer".to_owned(),
            name: format!("unit-{number}\t\"é\u{1f50b}\u{7f}\""),
            instance: format!("host/{}", "x".repeat(number * 300)),
        };
        let attributes = vec![
            ("service.namespace", id.namespace.clone()),
            ("service.name", id.name.clone()),
            ("service.instance.id", id.instance.clone()),
        ];
        EntitySeries { resource: Arc::new(Resource { id, attributes }), series: all_series(number) }
    };
    Snapshot { number: 1, at: AT, entities: (0..60).map(entity).collect() }
}

/// Every kind in every phase, attributes from none to longer than two bytes of length can say.
fn all_series(number: usize) -> Vec<Series> {
    let numbers = [0.0, -0.0, 0.1, 1e300, 5e-324, f64::MAX, -1.5, (1_u64 << 53) as f64];
    let value = |kind, phase: usize| match kind {
        Kind::Sum | Kind::Gauge => Value::Number(numbers.iter().copied().cycle().nth(number + phase).unwrap()),
        Kind::Histogram => Value::Histogram(histogram(number, phase)),
    };
    let mut all = Vec::new();
    for metric in [&SUM, &GAUGE, &HISTOGRAM] {
        for (at, phase) in PHASES.iter().enumerate() {
            let words = ["", "read", "größer"].map(str::to_owned).into_iter().chain(["z".repeat(number * 500)]);
            let attributes = words.cycle().skip(number + at).map(Cow::Owned).take(metric.attributes.len());
            let value = value(metric.kind, at);
            all.push(Series { metric, attributes: attributes.collect(), start: START, phase: *phase, value });
        }
    }
    all
}

fn histogram(number: usize, phase: usize) -> Histogram {
    let many = [0, 0, 1, 127, 128, 300, 0, u64::from(u32::MAX), 1 << 40, 0, 0];
    let buckets = if number.is_multiple_of(7) { Vec::new() } else { many.to_vec() };
    let shift = i32::try_from(number).unwrap();
    Histogram {
        scale: shift % 12 - 4,
        offset: -30 * shift,
        buckets,
        zero: phase as u64,
        zero_threshold: if phase == 1 { 0.0 } else { 2_f64.powi(-20) },
        sum: shift.into(),
    }
}

/// What the decoder is to print for a snapshot.
fn expected(snapshot: &Snapshot) -> Vec<Json> {
    let told = snapshot.entities.iter().flat_map(|told| told.series.iter().map(|series| (&*told.resource, series)));
    told.flat_map(|(resource, series)| {
        let point = |at: Nanos, value: Json| line(resource, series, at, &value);
        let zero = (series.phase == Phase::Born && series.metric.kind != Kind::Gauge).then(|| zero(&series.value));
        let last = if series.phase == Phase::Gone { nothing(&series.value) } else { full(&series.value) };
        zero.map(|value| point(series.start, value)).into_iter().chain([point(snapshot.at, last)])
    })
    .collect()
}

fn line(resource: &Resource, series: &Series, at: Nanos, value: &Json) -> Json {
    const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";
    let metric = series.metric;
    let kind = match metric.kind {
        Kind::Sum => "sum",
        Kind::Gauge => "gauge",
        Kind::Histogram => "exponential_histogram",
    };
    let attributes = metric.attributes.iter().zip(&series.attributes).filter(|(_, value)| !value.is_empty());
    json!({
        "resource": resource.attributes,
        "schemas": [SCHEMA, SCHEMA],
        "scope": ["wattrace", env!("CARGO_PKG_VERSION")],
        "metric": [metric.name, metric.help, metric.unit, kind],
        "temporality": (metric.kind != Kind::Gauge).then_some(2),
        "monotonic": (metric.kind == Kind::Sum).then_some(true),
        "attributes": attributes.collect::<Vec<_>>(),
        "start": if metric.kind == Kind::Gauge { 0 } else { series.start.0 },
        "at": at.0,
        "flags": u8::from(series.phase == Phase::Gone),
        "value": value,
    })
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

fn full(value: &Value) -> Json {
    let value = match value {
        Value::Number(value) => return json!(bits(*value)),
        Value::Histogram(value) => value,
    };
    let is_empty = value.buckets.is_empty();
    json!({
        "count": value.zero + value.buckets.iter().sum::<u64>(),
        "sum": bits(value.sum),
        "scale": value.scale,
        "zero": value.zero,
        "zero_threshold": bits(value.zero_threshold),
        // Two empty buckets stand at either end.
        "offset": if is_empty { 0 } else { value.offset + 2 },
        "buckets": if is_empty { &[][..] } else { value.buckets.get(2..9).unwrap() },
    })
}

fn zero(value: &Value) -> Json {
    match value {
        Value::Number(_) => json!(bits(0.0)),
        Value::Histogram(value) => full(&Value::Histogram(Histogram {
            scale: value.scale,
            zero_threshold: value.zero_threshold,
            ..Histogram::default()
        })),
    }
}

fn nothing(value: &Value) -> Json {
    match value {
        Value::Number(_) => Json::Null,
        Value::Histogram(_) => json!({
            "count": 0, "sum": null, "scale": 0, "zero": 0, "zero_threshold": bits(0.0), "offset": 0, "buckets": [],
        }),
    }
}

#[test]
fn the_python_decoder_reads_what_the_snapshot_says() {
    let Some(python) = python::interpreter() else { return };
    let snapshot = snapshot();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let tally = Encoder::new(Bytes(100_000)).encode(&snapshot, |chunk| {
        let file = folder.path().join(format!("{}.pb", files.len()));
        fs::write(&file, &chunk.bytes).unwrap();
        files.push(file);
    });
    assert!(files.len() > 1, "the snapshot is to fill more than one chunk");
    let output = Command::new(python).arg(DECODER).args(&files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = String::from_utf8(output.stdout).unwrap();
    let read: Vec<Json> = read.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = expected(&snapshot);
    for (read, expected) in read.iter().zip(&expected) {
        assert_eq!(read, expected);
    }
    assert_eq!((read.len(), tally.points), (expected.len(), expected.len() as u64));
}
