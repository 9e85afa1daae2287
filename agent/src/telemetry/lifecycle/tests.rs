//! Series are born once, end once, and their last value waits for whoever has not got it.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::telemetry::{
    catalog::{WORKLOAD_CARBON, WORKLOAD_CPU_TIME, WORKLOAD_POWER, WORKLOAD_SCHED_WAIT_DURATION},
    snapshot::Histogram,
};

fn now(seconds: u64) -> Instant {
    let at = Nanos::from_secs(seconds);
    Instant { monotonic: at, boottime: at, wall: at + Nanos::from_secs(1_000_000) }
}

fn triplet(name: &str) -> Triplet {
    Triplet { namespace: "test".to_owned(), name: name.to_owned(), instance: name.to_owned() }
}

fn resource(name: &str) -> Arc<Resource> {
    let id = triplet(name);
    Arc::new(Resource { attributes: id.attributes().into(), id })
}

fn point(metric: &'static Metric, attributes: &[&'static str], value: f64) -> Point {
    let attributes = attributes.iter().map(|value| Cow::Borrowed(*value)).collect();
    Point { metric, attributes, value: Value::Number(value) }
}

/// A workload that used this much CPU time and that power.
fn used(name: &str, live: bool, cpu: f64) -> Described {
    let points = vec![point(&WORKLOAD_POWER, &["package"], cpu), point(&WORKLOAD_CPU_TIME, &["false"], cpu)];
    Described { resource: resource(name), live, points }
}

/// Phase and value of each series of a workload, in the order of the catalogue.
fn shown(told: &Told, name: &str) -> Vec<(Phase, f64)> {
    let entity = told.snapshot.entities.iter().filter(|entity| entity.resource.id.name == name);
    let value = |series: &Series| match series.value {
        Value::Number(value) => (series.phase, value),
        Value::Histogram(_) => panic!("no histogram here"),
    };
    entity.flat_map(|entity| &entity.series).map(value).collect()
}

#[test]
fn a_life() {
    use Phase::{Born, Ended, Gone, Live};
    let mut life = Lifecycle::new(now(0));
    let mut step = |second, live, cpu, acknowledged| {
        life.acknowledge(acknowledged);
        let told = life.tell(now(second), vec![used("a", live, cpu)]);
        (shown(&told, "a"), told.forgotten.len())
    };
    assert_eq!(step(15, true, 1.0, 0), (vec![(Born, 1.0), (Born, 1.0)], 0));
    assert_eq!(step(30, true, 2.0, 1), (vec![(Live, 2.0), (Live, 2.0)], 0));
    // Its power is gone at once; what it used last is the final value.
    assert_eq!(step(45, false, 3.0, 2), (vec![(Gone, 2.0), (Ended, 3.0)], 0));
    assert_eq!(step(60, false, 3.0, 2), (vec![(Ended, 3.0)], 0));
    // A late addend makes another final value: snapshots 3 and 4 do not hold it.
    assert_eq!(step(75, false, 3.5, 4), (vec![(Ended, 3.5)], 0));
    assert_eq!(step(90, false, 3.5, 4), (vec![(Ended, 3.5)], 0));
    assert_eq!(step(105, false, 3.5, 5), (vec![(Gone, 3.5)], 1));
    // Retired, it starts again.
    assert_eq!(step(120, true, 0.5, 7), (vec![(Born, 0.5), (Born, 0.5)], 0));
}

#[test]
fn one_that_returns_goes_on_counting() {
    let mut life = Lifecycle::new(now(0));
    let start = |told: &Told| told.snapshot.entities[0].series.last().unwrap().start;
    let first = life.tell(now(15), vec![used("a", true, 1.0)]);
    life.tell(now(30), vec![used("a", false, 1.0)]);
    let back = life.tell(now(45), vec![used("a", true, 2.0)]);
    assert_eq!(shown(&back, "a"), [(Phase::Born, 2.0), (Phase::Live, 2.0)]);
    assert_eq!(start(&first), start(&back));
    // The end before does not count: that value was not final.
    life.acknowledge(2);
    let ended = life.tell(now(60), vec![used("a", false, 2.0)]);
    assert_eq!(shown(&ended, "a").last(), Some(&(Phase::Ended, 2.0)));
    life.acknowledge(3);
    assert_eq!(shown(&life.tell(now(75), vec![used("a", false, 2.0)]), "a"), [(Phase::Ended, 2.0)]);
}

#[test]
fn one_that_is_not_described_ends_too() {
    let mut life = Lifecycle::new(now(0));
    life.tell(now(15), vec![used("a", true, 1.0)]);
    assert_eq!(shown(&life.tell(now(30), vec![]), "a"), [(Phase::Gone, 1.0), (Phase::Ended, 1.0)]);
    life.acknowledge(u64::MAX);
    let gone = life.tell(now(45), vec![]);
    assert_eq!((shown(&gone, "a"), gone.forgotten), (vec![(Phase::Gone, 1.0)], vec![triplet("a")]));
    assert!(life.is_empty());
}

#[test]
fn a_life_within_one_interval_is_told() {
    let mut life = Lifecycle::new(now(0));
    assert_eq!(shown(&life.tell(now(15), vec![used("a", false, 1.0)]), "a"), [(Phase::Born, 1.0)]);
    assert_eq!(shown(&life.tell(now(30), vec![used("a", false, 1.0)]), "a"), [(Phase::Ended, 1.0)]);
    life.acknowledge(1);
    assert_eq!(shown(&life.tell(now(45), vec![used("a", false, 1.0)]), "a"), [(Phase::Gone, 1.0)]);
}

#[test]
fn a_series_of_a_living_entity_ends_alone() {
    let mut life = Lifecycle::new(now(0));
    let mut both = used("a", true, 1.0);
    both.points.push(point(&WORKLOAD_CARBON, &["operational"], 5.0));
    life.tell(now(15), vec![both]);
    let told = life.tell(now(30), vec![used("a", true, 1.0)]);
    assert_eq!(shown(&told, "a"), [(Phase::Live, 1.0), (Phase::Ended, 5.0), (Phase::Live, 1.0)]);
    life.acknowledge(2);
    let told = life.tell(now(45), vec![used("a", true, 1.0)]);
    assert_eq!(shown(&told, "a")[1], (Phase::Gone, 5.0));
    assert_eq!(told.forgotten, []);
}

#[test]
fn a_sum_that_fell_starts_again() {
    let mut life = Lifecycle::new(now(0));
    life.tell(now(15), vec![used("a", true, 9.0)]);
    let told = life.tell(now(30), vec![used("a", true, 1.0)]);
    let series = &told.snapshot.entities[0].series[1];
    assert_eq!((series.phase, series.start), (Phase::Born, now(15).wall + Nanos::from_millis(1)));
}

#[test]
fn ends_are_bounded_in_time_and_number() {
    let mut life = Lifecycle { ended_max: 2, ..Lifecycle::new(now(0)) };
    let dead = |names: &[&str]| names.iter().map(|name| used(name, false, 1.0)).collect::<Vec<_>>();
    life.tell(now(15), dead(&["b", "c"]));
    let told = life.tell(now(30), dead(&["a", "b", "c"]));
    assert_eq!((told.forgotten, life.dropped()), (vec![triplet("b")], 1), "the oldest");
    assert_eq!(shown(&life.tell(now(45), dead(&["a", "c"])), "c"), [(Phase::Ended, 1.0)]);
    let told = life.tell(now(15 + 24 * 3_600), dead(&["a", "c"]));
    assert_eq!((told.forgotten, life.dropped()), (vec![triplet("c")], 2), "a day old");
    assert_eq!(life.len(), 1);
}

#[test]
fn a_histogram_goes_on_after_a_restart() {
    use Phase::{Born, Ended, Gone, Live};
    let mut life = Lifecycle::new(now(0));
    let waits = |zero| {
        let value = Value::Histogram(Histogram { zero, ..Histogram::default() });
        let points = vec![Point { metric: &WORKLOAD_SCHED_WAIT_DURATION, attributes: Vec::new(), value }];
        vec![Described { resource: resource("a"), live: true, points }]
    };
    let one = |told: Told| {
        let series = told.snapshot.entities[0].series[0].clone();
        (series.phase, series.start, series.value)
    };
    let (phase, start, _) = one(life.tell(now(15), waits(7)));
    assert_eq!(phase, Born);
    let again = |life: &Lifecycle, second| {
        let text = serde_json::to_string(&life.record()).unwrap();
        Lifecycle::restore(serde_json::from_str(&text).unwrap(), now(second))
    };
    let mut life = again(&again(&life, 20), 25);
    assert_eq!(one(life.tell(now(30), waits(7))).0, Live, "nothing was added meanwhile");
    let mut life = again(&life, 35);
    let mut other = life.clone();
    let (phase, same, value) = one(life.tell(now(45), waits(9)));
    assert_eq!((phase, same), (Live, start));
    assert_eq!(value, Value::Histogram(Histogram { zero: 9, ..Histogram::default() }));
    // Counted anew by somebody who lost the totals.
    assert_eq!(one(other.clone().tell(now(45), waits(3))).0, Born);
    // Of one that is not described again only the count is known: an output that wants a histogram shows nothing.
    assert!(matches!(one(other.tell(now(45), vec![])), (Ended, _, Value::Number(_))));
    other.acknowledge(u64::MAX);
    assert_eq!(one(other.tell(now(60), vec![])).0, Gone);
}

#[test]
fn a_restart_changes_no_start() {
    let mut life = Lifecycle::new(now(0));
    let before = life.tell(now(15), vec![used("a", true, 1.0), used("b", true, 2.0)]);
    life.acknowledge(1);
    let mut life = Lifecycle::restore(life.record(), now(20));
    let after = life.tell(now(30), vec![used("a", true, 1.5), used("c", true, 1.0)]);
    assert_eq!(after.snapshot.number, 2);
    assert_eq!(shown(&after, "a"), [(Phase::Born, 1.5), (Phase::Live, 1.5)]);
    // It lived before, and nobody told of it after: its final value is the one that was kept.
    assert_eq!(shown(&after, "b"), [(Phase::Ended, 2.0)]);
    let starts = |told: &Told| told.snapshot.entities[0].series[1].start;
    assert_eq!(starts(&before), starts(&after));
    assert_eq!(after.snapshot.entities[2].series[1].start, now(20).wall + Nanos::from_millis(1));
    assert_eq!(Lifecycle::restore(life.record(), now(30)).record(), life.record());
}

/// What happens until a snapshot: per workload whether it lives and what it used; what was acknowledged; clocks.
type Step = (Vec<(bool, u32)>, u64, i64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let workloads = vec((prop::bool::weighted(0.6), 0..3_u32), 4);
    vec((workloads, 0..4_u64, prop_oneof![8 => Just(15_i64), 1 => -90_000..90_000_i64]), 1..60)
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What a receiver of all snapshots knows.
#[derive(Default)]
struct Receiver {
    last: Nanos,
    /// Start and last value of series that are not gone.
    open: BTreeMap<(Triplet, &'static str), (Nanos, f64)>,
    /// First snapshot with the final value.
    waiting: BTreeMap<Triplet, u64>,
}

impl Receiver {
    /// One birth before any other point, sums that do not fall, time that goes forward.
    fn take(&mut self, snapshot: &Snapshot) -> Result<(), TestCaseError> {
        prop_assert!(snapshot.at > self.last, "time");
        for entity in &snapshot.entities {
            for series in &entity.series {
                let Value::Number(value) = series.value else { panic!("a number") };
                let key = (entity.resource.id.clone(), series.metric.name);
                prop_assert_eq!(series.phase == Phase::Born, !self.open.contains_key(&key), "one birth");
                let (start, before) =
                    self.open.insert(key.clone(), (series.start, value)).unwrap_or((series.start, 0.0));
                prop_assert!(series.start < snapshot.at && series.start == start);
                prop_assert!(series.phase != Phase::Born || series.start > self.last);
                prop_assert!(value >= before || series.metric.kind == Kind::Gauge, "sums");
                if series.phase == Phase::Gone {
                    self.open.remove(&key);
                }
            }
        }
        self.last = snapshot.at;
        Ok(())
    }

    /// An account is told with its total, until a snapshot that holds its final value is acknowledged.
    fn finds(
        &mut self,
        told: &Told,
        name: &str,
        live: bool,
        total: f64,
        acknowledged: u64,
    ) -> Result<(), TestCaseError> {
        let id = triplet(name);
        let found = told.snapshot.entities.iter().find(|entity| entity.resource.id == id);
        let cpu = found.and_then(|entity| entity.series.last()).expect("an account is told");
        prop_assert_eq!(&cpu.value, &Value::Number(total));
        if live {
            prop_assert!(matches!(cpu.phase, Phase::Born | Phase::Live));
            self.waiting.remove(&id);
            return Ok(());
        }
        let first = *self.waiting.entry(id.clone()).or_insert(told.snapshot.number);
        prop_assert_eq!(cpu.phase == Phase::Gone, first <= acknowledged, "until it is acknowledged");
        prop_assert_eq!(cpu.phase == Phase::Gone, told.forgotten.contains(&id));
        Ok(())
    }
}

proptest! {
    /// Whoever dies and returns when, and whatever the wall clock does.
    #[test]
    fn lives_are_whole(steps in steps(), restart in 0..60_usize) {
        let mut life = Lifecycle::new(now(0));
        let mut receiver = Receiver::default();
        let mut totals = [0_u32; 4];
        let (mut wall, mut acknowledged) = (1_000_000_i64, 0);
        for (at, (workloads, behind, step)) in steps.into_iter().enumerate() {
            let number = at as u64 + 1;
            acknowledged = number.saturating_sub(behind + 1).max(acknowledged);
            life.acknowledge(acknowledged);
            wall += step;
            let clocks = Instant { wall: Nanos::from_secs(wall.unsigned_abs()), ..now(number * 15) };
            if at == restart {
                life = Lifecycle::restore(life.record(), clocks);
                receiver.open.retain(|(_, metric), _| *metric == WORKLOAD_CPU_TIME.name);
                // Ends are not kept: a final value has to arrive once more.
                receiver.waiting.clear();
            }
            for (total, (live, more)) in totals.iter_mut().zip(&workloads) {
                *total += if *live { more + 1 } else { 0 };
            }
            let known: Vec<_> = (0..4).filter(|of| totals[*of] > 0).collect();
            let described = known.iter().map(|of| used(NAMES[*of], workloads[*of].0, f64::from(totals[*of])));
            let told = life.tell(clocks, described.collect());
            prop_assert_eq!(told.snapshot.number, number);
            receiver.take(&told.snapshot)?;
            for of in known {
                receiver.finds(&told, NAMES[of], workloads[of].0, f64::from(totals[of]), acknowledged)?;
                if told.forgotten.contains(&triplet(NAMES[of])) {
                    totals[of] = 0;
                    receiver.waiting.remove(&triplet(NAMES[of]));
                }
            }
        }
    }
}
