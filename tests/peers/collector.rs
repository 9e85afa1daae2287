//! What a Collector writes down, against what the agent kept: the same numbers to the last bit.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    otelcol::Collector,
    programs::{Workload, agent, can_measure, peer, until},
    received::{Key, Point, key, received},
    states::{States, Watch, cpu_times, is_sum, keep, ledger},
};

/// Every point against the state of its instant.
fn compare(points: &[Point], states: &States) {
    let mut compared = 0;
    for (at, saved) in states {
        let here: Vec<&Point> = points.iter().filter(|point| point.at == *at && point.is_sum).collect();
        let sums: BTreeMap<Key, f64> = here.iter().filter_map(|point| Some((point.key(), point.value?))).collect();
        // The agent's `wattrace.agent.workload.count` is none of them.
        let workloads = |(_, metric, _): &Key| metric.starts_with("wattrace.workload.");
        let received: BTreeMap<&Key, u64> =
            sums.iter().filter(|(key, _)| workloads(key)).map(|(key, value)| (key, value.to_bits())).collect();
        let kept = ledger(saved);
        let kept: BTreeMap<&Key, u64> = kept.iter().map(|(key, value)| (key, value.to_bits())).collect();
        assert_eq!(received, kept, "at {at}");
        // Node and workloads, as they are remembered for the next run.
        for series in saved.telemetry.lifecycle.series.iter().filter(|series| is_sum(series)) {
            let wanted = key(&series.id, &series.metric, &series.attributes);
            let found = here.iter().find(|point| point.key() == wanted);
            let found = found.unwrap_or_else(|| panic!("at {at}: {series:?} did not arrive"));
            assert_eq!(found.value.map(f64::to_bits), Some(series.value.to_bits()), "{found:?} {series:?}");
            assert_eq!(found.start, series.start.0, "{found:?}");
            compared += 1;
        }
    }
    println!("{} instants, {compared} sums compared", states.len());
    assert!(compared > 0);
}

/// Rules of every cumulative series on its own: times, growth, and how it begins and ends.
fn check_lives(points: &[Point]) {
    let mut lives: BTreeMap<Key, Vec<&Point>> = BTreeMap::new();
    let instants: BTreeSet<u64> = points.iter().filter(|point| point.at != point.start).map(|point| point.at).collect();
    for point in points.iter().filter(|point| point.is_sum) {
        assert!(point.start > 0 && point.start <= point.at, "{point:?}");
        lives.entry(point.key()).or_default().push(point);
    }
    for life in lives.values() {
        let first = life[0];
        assert_eq!((first.value, first.at), (Some(0.0), first.start), "a series begins with 0: {first:?}");
        for pair in life.windows(2) {
            let [before, after] = pair else { continue };
            // What it counts was used since the snapshot before its first value.
            let earlier = instants.range(..after.at).next_back();
            let begins = before.at == before.start;
            assert!(!begins || earlier.is_none_or(|earlier| before.start > *earlier), "{before:?} {earlier:?}");
            if before.value.is_none() || after.start != before.start {
                assert_eq!((after.value, after.at), (Some(0.0), after.start), "begins anew with 0: {after:?}");
                assert!(after.start >= before.at, "{before:?} {after:?}");
                continue;
            }
            assert!(after.at > before.at, "{before:?} {after:?}");
            assert!(after.value.is_none_or(|value| Some(value) >= before.value), "{before:?} {after:?}");
        }
    }
}

/// The series of one workload that came and went.
fn check_ended(points: &[Point], name: &str, states: &States) {
    let accounts = states.values().flat_map(|saved| &saved.ledger.accounts);
    let mut of_it = accounts.filter(|account| account.cgroup.as_ref().is_some_and(|cgroup| cgroup.path == name));
    let account = of_it.next_back().unwrap_or_else(|| panic!("no account of {name}"));
    assert!(account.cpu.0 > 0);
    for (shared, time) in cpu_times(account) {
        let is_it = |point: &&Point| {
            let of = point.attributes.get("wattrace.cpu.shared").is_some_and(|of| of == shared);
            of && point.id == account.workload.id && point.metric.ends_with("cpu.time")
        };
        let cpu: Vec<_> = points.iter().filter(is_it).map(|point| point.value).collect();
        if cpu.is_empty() && time == 0.0 {
            continue;
        }
        let [.., last, gone] = &*cpu else { panic!("{cpu:?}") };
        assert_eq!((*last, *gone), (Some(time), None), "{cpu:?}");
    }
}

fn run(outage: bool) {
    let Some(program) = peer("wattrace-otelcol") else { return };
    if !can_measure() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::new(program, folder.path());
    let mut running = collector.start();
    let mut agent = agent(&["--endpoint", &format!("http://{}", collector.otlp)], folder.path());
    let watch = Watch::start(folder.path().join("state/state.json"), keep);
    let (short, long) = (Workload::spin("1"), Workload::spin("3"));
    let mut names = vec![short.name.clone(), long.name.clone()];
    short.end();
    if outage {
        collector.wait();
        assert!(running.stop());
        // It ends, and one begins and ends, while nobody listens.
        long.end();
        let unheard = Workload::spin("1.5");
        names.push(unheard.name.clone());
        unheard.end();
        running = collector.start();
    } else {
        long.end();
    }
    until("the ends of the workloads arrive", || {
        let points = received(&collector.file);
        let ended = points.iter().filter(|point| point.value.is_none()).map(|point| &point.id.instance);
        names.iter().all(|name| ended.clone().any(|instance| instance.contains(&name[1..])))
    });
    collector.wait();
    assert!(agent.stop(), "{}", agent.said());
    let states = watch.end();
    until("the last snapshot is written", || Some(&collector.newest()) == states.keys().next_back());
    assert!(running.stop());
    let points = received(&collector.file);
    compare(&points, &states);
    check_lives(&points);
    for name in &names {
        check_ended(&points, name, &states);
    }
}

#[test]
fn a_collector_writes_what_the_ledger_says() {
    run(false);
}

#[test]
fn nothing_is_lost_while_the_collector_is_away() {
    run(true);
}
