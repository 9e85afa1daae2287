use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::telemetry::{
    catalog,
    snapshot::{self, Resource},
};

mod oracle;
mod world;

use world::{ROWS, any_snapshot, resource, series};

fn encoded(encoder: &mut Encoder, snapshot: &Snapshot) -> (Vec<Chunk>, Tally) {
    let mut chunks = Vec::new();
    let tally = encoder.encode(snapshot, |chunk| chunks.push(chunk));
    (chunks, tally)
}

fn decoded(bytes: &[u8]) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(bytes).unwrap()
}

/// All chunks in one message.
fn joined(chunks: &[Chunk]) -> ExportMetricsServiceRequest {
    decoded(&chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect::<Vec<u8>>())
}

/// Equal to the last bit: `==` takes -0 for 0.
fn assert_same(ours: &ExportMetricsServiceRequest, theirs: &ExportMetricsServiceRequest) {
    assert_eq!(ours, theirs);
    assert!(ours.encode_to_vec() == theirs.encode_to_vec(), "equal, but not to the last bit");
}

/// What holds for every chunk, wherever it was cut.
fn assert_sound(chunk: &Chunk, snapshot: &Snapshot) {
    let whole = decoded(&chunk.bytes);
    assert_eq!(oracle::points(&whole) as u64, chunk.points);
    assert_eq!(chunk.resources.iter().map(|span| span.len).sum::<usize>(), chunk.bytes.len());
    assert_eq!(whole.resource_metrics.len(), chunk.resources.len());
    assert!(chunk.resources.is_sorted_by_key(|span| span.entity));
    let mut at = 0;
    for span in &chunk.resources {
        let alone = decoded(&chunk.bytes[at..at + span.len]);
        at += span.len;
        let entities = vec![snapshot.entities[span.entity].clone()];
        assert_same(&alone, &oracle::request(&Snapshot { entities, ..*snapshot }));
        assert_eq!(oracle::points(&alone) as u64, span.points);
    }
}

/// Splits down to single entities.
fn pieces(chunk: Chunk, snapshot: &Snapshot, found: &mut Vec<Chunk>) {
    let Some((first, second)) = chunk.split() else {
        assert!(chunk.resources.len() <= 1);
        found.push(chunk);
        return;
    };
    assert_eq!([&first.bytes[..], &second.bytes[..]].concat(), chunk.bytes);
    assert_eq!([&first.resources[..], &second.resources[..]].concat(), chunk.resources);
    assert_eq!(first.points + second.points, chunk.points);
    for half in [first, second] {
        assert!(!half.resources.is_empty());
        assert_sound(&half, snapshot);
        pieces(half, snapshot, found);
    }
}

/// The zero points of `snapshot`, out of what the oracle makes of it.
fn zeros(snapshot: &Snapshot) -> ExportMetricsServiceRequest {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    let mut births = snapshot.clone();
    let begins = |series: &Series| series.phase == Phase::Born && series.start < snapshot.at;
    births.entities.iter_mut().for_each(|told| told.series.retain(begins));
    let mut request = oracle::request(&births);
    for metric in request.resource_metrics.iter_mut().flat_map(|told| &mut told.scope_metrics[0].metrics) {
        match metric.data.as_mut() {
            Some(Data::Sum(sum)) => sum.data_points.retain(|point| point.time_unix_nano == point.start_time_unix_nano),
            Some(Data::ExponentialHistogram(histogram)) => {
                histogram.data_points.retain(|point| point.time_unix_nano == point.start_time_unix_nano);
            }
            _ => metric.data = None,
        }
    }
    for told in &mut request.resource_metrics {
        told.scope_metrics[0].metrics.retain(|metric| metric.data.is_some());
    }
    request.resource_metrics.retain(|told| !told.scope_metrics[0].metrics.is_empty());
    request
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn births_are_the_zero_points_alone(snapshot in any_snapshot(30)) {
        let mut encoder = Encoder::default();
        encoded(&mut encoder, &snapshot);
        let mut births = Vec::new();
        encoder.encode_births(&snapshot, |chunk| births.push(chunk));
        let expected = zeros(&snapshot);
        assert_same(&joined(&births), &expected);
        prop_assert_eq!(births.iter().map(|chunk| chunk.points).sum::<u64>(), oracle::points(&expected) as u64);
    }

    #[test]
    fn the_protocols_own_decoder_reads_the_same_message(snapshot in any_snapshot(30)) {
        let mut encoder = Encoder::default();
        let expected = oracle::request(&snapshot);
        let (chunks, tally) = encoded(&mut encoder, &snapshot);
        assert_same(&joined(&chunks), &expected);
        prop_assert_eq!(tally.points, oracle::points(&expected) as u64);
        // Known identities change nothing.
        prop_assert_eq!(encoded(&mut encoder, &snapshot), (chunks, tally));
    }

    #[test]
    fn chunks_hold_everything_once_and_keep_the_limit(snapshot in any_snapshot(12), limit in 1..20_000_u64) {
        let (chunks, tally) = encoded(&mut Encoder::new(Bytes(limit)), &snapshot);
        assert_same(&joined(&chunks), &oracle::request(&snapshot));
        prop_assert_eq!(chunks.iter().map(|chunk| chunk.points).sum::<u64>(), tally.points);
        for chunk in &chunks {
            prop_assert!(chunk.bytes.len() as u64 <= limit || chunk.resources.len() == 1);
            assert_sound(chunk, &snapshot);
        }
        for pair in chunks.windows(2) {
            let next = pair[1].resources[0];
            prop_assert!((pair[0].bytes.len() + next.len) as u64 > limit, "a cut that was not needed");
            prop_assert!(pair[0].resources.last().unwrap().entity < next.entity);
        }
    }

    #[test]
    fn chunks_split_without_loss_down_to_one_entity(snapshot in any_snapshot(12)) {
        let (chunks, _) = encoded(&mut Encoder::default(), &snapshot);
        let all: Vec<Span> = chunks.iter().flat_map(|chunk| chunk.resources.clone()).collect();
        let mut found = Vec::new();
        for chunk in chunks {
            pieces(chunk, &snapshot, &mut found);
        }
        prop_assert_eq!(found.iter().flat_map(|chunk| chunk.resources.clone()).collect::<Vec<_>>(), all);
    }

    #[test]
    fn every_series_is_told_or_counted(snapshot in any_snapshot(30)) {
        let (_, tally) = encoded(&mut Encoder::default(), &snapshot);
        let all = snapshot.entities.iter().flat_map(|told| &told.series);
        let is_extra = |series: &&Series| {
            series.phase == Phase::Born
                && series.metric.kind != Kind::Gauge
                && series.start < snapshot.at
                && fits(series.metric, series)
                && is_finite(&series.value)
        };
        let extra = all.clone().filter(is_extra).count() as u64;
        prop_assert_eq!(tally.points + tally.not_finite + tally.mismatched, all.count() as u64 + extra);
    }
}

#[test]
fn hundreds_of_entities_pass_the_default_limit() {
    let mut snapshot = Snapshot { number: 1, at: Nanos(9), entities: Vec::new() };
    for number in 0..400 {
        let mut long = series(ROWS[0], Phase::Live, Value::Number(f64::from(number)));
        long.attributes[0] = "z".repeat(20_000).into();
        snapshot.entities.push(EntitySeries { resource: resource(&number.to_string()), series: vec![long] });
    }
    let (chunks, tally) = encoded(&mut Encoder::default(), &snapshot);
    assert_eq!((chunks.len(), tally.points), (4, 400));
    assert!(chunks.iter().all(|chunk| chunk.bytes.len() as u64 <= CHUNK_MAX.0));
    assert_same(&joined(&chunks), &oracle::request(&snapshot));
}

#[test]
fn an_entity_larger_than_the_limit_is_a_chunk_of_its_own() {
    let small = |name: &str| EntitySeries {
        resource: resource(name),
        series: vec![series(ROWS[1], Phase::Live, Value::Number(1.0))],
    };
    let mut large = small("large");
    large.series.resize(200_000, series(ROWS[1], Phase::Ended, Value::Number(2.0)));
    let entities = vec![small("before"), large, small("after")];
    let snapshot = Snapshot { number: 1, at: Nanos(9), entities };
    let (chunks, _) = encoded(&mut Encoder::default(), &snapshot);
    let entities: Vec<Vec<usize>> =
        chunks.iter().map(|chunk| chunk.resources.iter().map(|span| span.entity).collect()).collect();
    assert_eq!(entities, [[0], [1], [2]]);
    assert_same(&joined(&chunks), &oracle::request(&snapshot));
}

#[test]
fn a_row_is_one_metric_however_many_series() {
    let sum = |phase| series(ROWS[0], phase, Value::Number(1.0));
    let gauge = series(ROWS[2], Phase::Born, Value::Number(1.0));
    let told = vec![sum(Phase::Live), sum(Phase::Born), gauge.clone(), gauge, sum(Phase::Gone)];
    let (chunks, tally) = encoded(&mut Encoder::default(), &world::snapshot(told));
    let request = joined(&chunks);
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["test.sum", "test.gauge", "test.sum"]);
    assert_eq!(tally.points, 6);
}

#[test]
fn what_cannot_be_told_is_counted_and_leaves_no_trace() {
    let number = |value| series(ROWS[0], Phase::Born, Value::Number(value));
    let mut short = number(1.0);
    short.attributes.pop();
    let odd = Histogram { sum: f64::INFINITY, ..Histogram::default() };
    let told = vec![
        number(f64::NAN),
        short,
        series(ROWS[2], Phase::Live, Value::Histogram(Histogram::default())),
        series(ROWS[3], Phase::Live, Value::Histogram(odd)),
        series(ROWS[4], Phase::Gone, Value::Number(1.0)),
    ];
    let (chunks, tally) = encoded(&mut Encoder::default(), &world::snapshot(told));
    assert_eq!((chunks.len(), tally), (0, Tally { points: 0, not_finite: 2, mismatched: 3 }));
    let gone = series(ROWS[0], Phase::Gone, Value::Number(f64::NAN));
    assert_eq!(encoded(&mut Encoder::default(), &world::snapshot(vec![gone])).1.points, 1);
}

#[test]
fn what_is_added_stands_in_every_resource_that_has_none_of_that_name_from_the_next_snapshot_on() {
    let mut encoder = Encoder::default();
    let series = || vec![series(ROWS[1], Phase::Live, Value::Number(1.0))];
    let entities = ["one", "two"].map(|name| EntitySeries { resource: resource(name), series: series() });
    let snapshot = Snapshot { number: 1, at: Nanos(9), entities: entities.into() };
    let told = |encoder: &mut Encoder, added: &[(&str, &str)]| {
        let attributes = added.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        encoder.add(Added { attributes, service_name: None });
        let found = joined(&encoded(encoder, &snapshot).0);
        let mut expected = snapshot.clone();
        for entity in &mut expected.entities {
            let mut resource = Resource::clone(&entity.resource);
            resource
                .attributes
                .extend(added.iter().filter(|(key, _)| *key == "env").map(|_| ("env", "lab".to_owned())));
            entity.resource = Arc::new(resource);
        }
        assert_same(&found, &oracle::request(&expected));
    };
    told(&mut encoder, &[]);
    told(&mut encoder, &[("env", "lab"), ("service.name", "not me")]);
    told(&mut encoder, &[]);
}

#[test]
fn identities_are_built_anew_for_a_new_resource_and_forgotten_when_unused() {
    let mut encoder = Encoder::default();
    let told = |resource: &Arc<Resource>| {
        let series = vec![series(ROWS[1], Phase::Live, Value::Number(1.0))];
        let entities = vec![EntitySeries { resource: Arc::clone(resource), series }];
        Snapshot { number: 1, at: Nanos(9), entities }
    };
    let old = resource("one");
    let mut changed = Resource::clone(&old);
    changed.attributes.push(("wattrace.energy.quality", "measured".to_owned()));
    let weak = Arc::downgrade(&old);
    let snapshot = told(&old);
    assert_same(&joined(&encoded(&mut encoder, &snapshot).0), &oracle::request(&snapshot));
    drop((old, snapshot));
    assert!(weak.upgrade().is_some());
    let snapshot = told(&Arc::new(changed));
    assert_same(&joined(&encoded(&mut encoder, &snapshot).0), &oracle::request(&snapshot));
    assert!(weak.upgrade().is_none());
}
