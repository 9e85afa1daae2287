//! Made-up rows of a catalogue, and snapshots of any shape.

use std::{borrow::Cow, sync::Arc};

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{
    catalog::{Entity, Kind, Metric},
    snapshot::{EntitySeries, Histogram, Phase, Resource, Series, Snapshot, Value},
};
use crate::{identity::Triplet, units::Nanos};

const fn row(name: &'static str, kind: Kind, attributes: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, unit: "s", kind, entity: Entity::Workload, attributes, help }
}

static SUM: Metric = row("test.sum", Kind::Sum, &["zone", "state"], "A sum.");
static PLAIN_SUM: Metric = row("test.plain", Kind::Sum, &[], "");
static GAUGE: Metric = row("test.gauge", Kind::Gauge, &["zone"], "A gauge – of the moment.");
static HISTOGRAM: Metric = row("test.histogram", Kind::Histogram, &["direction"], "A histogram.");
static BARE_HISTOGRAM: Metric = row("test.bare", Kind::Histogram, &[], "Another one.");

pub(super) static ROWS: [&Metric; 5] = [&SUM, &PLAIN_SUM, &GAUGE, &HISTOGRAM, &BARE_HISTOGRAM];

pub(super) fn resource(name: &str) -> Arc<Resource> {
    let id = Triplet { namespace: "test".to_owned(), name: name.to_owned(), instance: format!("host/{name}") };
    let attributes = vec![
        ("service.namespace", id.namespace.clone()),
        ("service.name", id.name.clone()),
        ("service.instance.id", id.instance.clone()),
    ];
    Arc::new(Resource { id, attributes })
}

pub(super) fn series(metric: &'static Metric, phase: Phase, value: Value) -> Series {
    let attributes = metric.attributes.iter().map(|_| Cow::Borrowed("x")).collect();
    Series { metric, attributes, start: Nanos(5), phase, value }
}

pub(super) fn snapshot(series: Vec<Series>) -> Snapshot {
    Snapshot { number: 1, at: Nanos(9), entities: vec![EntitySeries { resource: resource("one"), series }] }
}

/// Numbers that have no room in integers, between or beside the real ones.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -1e12..1e12_f64,
        2 => any::<f64>(),
        1 => select(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324][..]),
    ]
}

/// Empty, short, unicode, and longer than one and two bytes of length can say.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        16 => "[a-z/.:-]{1,40}",
        8 => "\\PC{0,20}",
        1 => any::<String>(),
        1 => (100..20_000_usize).prop_map(|len| "é".repeat(len)),
    ]
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let count = prop_oneof![4 => Just(0), 4 => 0..1000_u64, 1 => any::<u64>()];
    let offset = prop_oneof![4 => -300..300_i32, 1 => any::<i32>(), 1 => Just(i32::MAX - 1)];
    let zero_threshold = prop_oneof![Just(0.0), Just(2_f64.powi(-20)), number()];
    (-10..21_i32, offset, vec(count, 0..150), any::<u64>(), zero_threshold, number()).prop_map(
        |(scale, offset, buckets, zero, zero_threshold, sum)| Histogram {
            scale,
            offset,
            buckets,
            zero,
            zero_threshold,
            sum,
        },
    )
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Histogram => histogram().prop_map(Value::Histogram).boxed(),
        Kind::Sum | Kind::Gauge => number().prop_map(Value::Number).boxed(),
    }
}

fn any_series() -> impl Strategy<Value = Series> {
    let row = (select(&ROWS[..]), option::weighted(0.02, select(&ROWS[..])));
    row.prop_flat_map(|(metric, of_another)| {
        let phase = select(&[Phase::Born, Phase::Live, Phase::Live, Phase::Ended, Phase::Gone][..]);
        let keys = metric.attributes.len();
        let attributes = prop_oneof![30 => vec(text(), keys), 1 => vec(text(), 0..4)];
        let start = prop_oneof![4 => 0..2_000_u64, 1 => any::<u64>()];
        let value = value(of_another.unwrap_or(metric).kind);
        (attributes, start, phase, value).prop_map(move |(attributes, start, phase, value)| Series {
            metric,
            attributes: attributes.into_iter().map(Cow::Owned).collect(),
            start: Nanos(start),
            phase,
            value,
        })
    })
}

fn any_entity() -> impl Strategy<Value = EntitySeries> {
    let key = select(&["host.id", "k8s.pod.name", "wattrace.workload.name"][..]);
    (vec((key, text()), 0..5), vec(any_series(), 0..8)).prop_map(|(attributes, mut series)| {
        series.sort_by_key(|series| series.metric.name);
        let id = Triplet { namespace: String::new(), name: String::new(), instance: String::new() };
        EntitySeries { resource: Arc::new(Resource { id, attributes }), series }
    })
}

pub(super) fn any_snapshot(entities: usize) -> impl Strategy<Value = Snapshot> {
    (prop_oneof![4 => 1_000..3_000_u64, 1 => any::<u64>()], vec(any_entity(), 0..entities))
        .prop_map(|(at, entities)| Snapshot { number: 1, at: Nanos(at), entities })
}
