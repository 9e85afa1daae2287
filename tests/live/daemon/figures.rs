//! What receivers are told, against the kernel's own counts and against itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use wattrace::units::Nanos;
use wattrace_tests::receiver::{Fault, Receiver};

use super::{
    agent::Place,
    received::{Point, cpu_time, points, until_later, until_received},
};
use crate::support::{Cgroup, Load, assert_agrees, live, steal};

/// Sums are compared in whole microjoules.
pub fn microjoules(joules: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a few kilojoules")]
    let rounded = (joules * 1e6).round() as i64;
    rounded
}

#[test]
fn what_arrives_is_what_the_kernel_counted_and_closes() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["spin", "2"]);
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    let (before, stolen) = (cgroup.cpu(), steal());
    load.go();
    load.wait();
    let (truth, stolen) = (cgroup.cpu() - before, steal() - stolen);
    let points = until_later(&receiver, 2);
    agent.stop();
    let ours = cpu_time(&points, &cgroup.name).unwrap();
    assert_agrees("cpu.time as received", ours, truth, stolen);
    let told = super::received::points(&receiver);
    assert_closes_at_every_instant(&told);
    assert_sums_begin_with_zero(&told);
}

/// Active energy of the node = last known energy of every workload there ever was + residual, zone by zone.
fn assert_closes_at_every_instant(points: &[Point]) {
    let mut last = BTreeMap::new();
    let mut compared = 0;
    let mut at = 0;
    // The zero points come with the snapshot that follows them.
    let real: Vec<&Point> = points.iter().filter(|point| point.at != point.start).collect();
    for (index, point) in real.iter().enumerate() {
        assert!(point.at >= at, "snapshots come in order");
        at = point.at;
        if let Some(value) = point.value.filter(|_| point.is_sum) {
            last.insert(point.series(), (microjoules(value), point.attribute("wattrace.energy.state").to_owned()));
        }
        if real.get(index + 1).is_some_and(|next| next.at == at) {
            continue;
        }
        let zones: BTreeSet<&str> = last.keys().filter_map(|(_, _, attributes)| zone(attributes)).collect();
        for found in zones {
            let sum = |metric: &str, state: &str| -> i64 {
                let here = last.iter().filter(|((_, name, attributes), (_, which))| {
                    name == metric && which == state && zone(attributes) == Some(found)
                });
                here.map(|(_, (value, _))| value).sum()
            };
            let billed = sum("wattrace.workload.energy", "active") + sum("wattrace.node.energy.residual", "");
            let node = sum("wattrace.node.energy", "active");
            assert_eq!(billed, node, "zone {found} at {at}");
            compared += usize::from(node > 0);
        }
    }
    println!("compared {compared} times");
    assert!(compared >= 3, "energy was told only {compared} times");
}

fn zone(attributes: &BTreeMap<String, String>) -> Option<&str> {
    attributes.get("wattrace.energy.zone").map(String::as_str)
}

fn assert_sums_begin_with_zero(points: &[Point]) {
    let mut series: BTreeMap<_, Vec<&Point>> = BTreeMap::new();
    for point in points.iter().filter(|point| point.is_sum) {
        series.entry(point.series()).or_default().push(point);
    }
    assert!(series.len() > 10);
    for (name, points) in series {
        let first = points[0];
        assert_eq!((first.value, first.at), (Some(0.0), first.start), "{name:?}");
        assert!(points[1].at > first.start && points[1].start == first.start, "{name:?}");
    }
}

#[test]
fn a_short_life_is_repeated_until_acknowledged_and_then_ends_once() {
    live!();
    let refuses = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&refuses);
    let receiver = Receiver::start(move |_| {
        if seen.load(Ordering::SeqCst) {
            return Fault::Answer(503, vec![("retry-after", "0".into())], Vec::new());
        }
        Fault::None
    })
    .unwrap();
    let place = Place::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    until_later(&receiver, 1);
    refuses.store(true, Ordering::SeqCst);
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["spin", "0.3"]);
    let stolen = steal();
    load.go();
    load.wait();
    let (truth, stolen) = (cgroup.cpu(), steal() - stolen);
    cgroup.remove();
    place.until_saved(3);
    assert!(!points(&receiver).iter().any(|point| point.is_of(&cgroup.name)), "nothing was taken yet");
    refuses.store(false, Ordering::SeqCst);
    let gone = |point: &Point| point.is_of(&cgroup.name) && point.is_sum && point.value.is_none();
    until_received(&receiver, "the end of the workload", |points| points.iter().any(gone));
    until_later(&receiver, 2);
    agent.stop();
    let told: Vec<Point> = points(&receiver).into_iter().filter(|p| p.is_of(&cgroup.name) && p.is_sum).collect();
    let mut series: BTreeMap<_, Vec<Option<f64>>> = BTreeMap::new();
    for point in &told {
        series.entry(point.series()).or_default().push(point.value);
    }
    for ((_, metric, _), values) in series {
        println!("{metric}: {values:?}");
        assert_eq!(values[0], Some(0.0), "{metric} begins with zero");
        assert_eq!(values.iter().position(Option::is_none), Some(values.len() - 1), "{metric} ends once, at its end");
        let finals = &values[values.len() - 3..values.len() - 1];
        assert!(finals[0].is_some() && finals[0] == finals[1], "{metric} repeats its last value");
    }
    let ours = cpu_time(&told, &cgroup.name).expect("it arrived");
    // What the load did to move in was before it was there, and the rest of its end after it was read.
    assert_agrees("lived 300 ms", ours, truth, stolen + Nanos::from_millis(2));
}
