use proptest::prelude::*;

use super::*;
use crate::{
    samples::{Scope, ZoneError, ZoneKind},
    units::Watts,
};

const RANGE: u64 = 65_532_610_987;

fn zone(socket: u32) -> ZoneInfo {
    ZoneInfo {
        key: ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(socket) },
        hw_id: format!("intel-rapl:{socket}"),
        parent: None,
        range: Microjoules(RANGE),
        unit: Microjoules(16),
        max_power: Watts(1_000.0),
    }
}

fn second(n: u64) -> Instant {
    Instant { monotonic: Nanos::from_secs(n), boottime: Nanos::from_secs(n), wall: Nanos(0) }
}

fn good(tracker: &mut ZoneTracker, socket: u32, at: Instant, value: u64) {
    let info = zone(socket);
    tracker.observe(&info, &ZoneReading { key: info.key, at, counter: Ok(Microjoules(value)) });
}

fn failed(tracker: &mut ZoneTracker, socket: u32, at: Instant) {
    let info = zone(socket);
    tracker.observe(&info, &ZoneReading { key: info.key, at, counter: Err(ZoneError::Retry) });
}

/// Energy in µJ, then seconds covered, reset, gap, error.
fn only(tracker: &mut ZoneTracker) -> (u64, [u64; 4]) {
    let samples = tracker.close();
    assert_eq!(samples.len(), 1);
    let whole = |span: Nanos| span.0 / 1_000_000_000;
    let [reset, gap, error, _] = samples[0].unknown.map(|(_, span)| whole(span));
    (samples[0].energy.0, [whole(samples[0].covered), reset, gap, error])
}

#[test]
fn polls_within_an_interval_add_up() {
    let mut tracker = ZoneTracker::default();
    good(&mut tracker, 0, second(0), RANGE - 100);
    assert_eq!(only(&mut tracker), (0, [0; 4]), "the first reading only marks the start");
    good(&mut tracker, 0, second(1), RANGE - 50);
    good(&mut tracker, 0, second(2), 50);
    assert_eq!(only(&mut tracker), (150, [2, 0, 0, 0]));
    good(&mut tracker, 0, second(3), 70);
    assert_eq!(only(&mut tracker), (20, [1, 0, 0, 0]), "an interval starts where the last one ended");
    assert_eq!(only(&mut tracker), (0, [0; 4]), "no reading, nothing known");
}

#[test]
fn an_error_costs_only_its_zone_and_is_made_good() {
    let mut tracker = ZoneTracker::default();
    for socket in 0..2 {
        good(&mut tracker, socket, second(0), 100);
    }
    failed(&mut tracker, 0, second(1));
    good(&mut tracker, 1, second(1), 700);
    let samples = tracker.close();
    assert_eq!((samples[0].energy, samples[0].covered, samples[0].unknown_time()), Default::default());
    assert_eq!((samples[1].energy, samples[1].covered), (Microjoules(600), Nanos::from_secs(1)));
    good(&mut tracker, 0, second(2), 1_100);
    let samples = tracker.close();
    assert_eq!((samples[0].energy, samples[0].covered), (Microjoules(1_000), Nanos::from_secs(2)));
    assert_eq!(samples[0].unknown_time(), Nanos(0));
}

#[test]
fn what_no_good_read_will_settle_is_unknown() {
    let mut tracker = ZoneTracker::default();
    good(&mut tracker, 0, second(0), 100);
    good(&mut tracker, 0, second(1), 300);
    tracker.give_up();
    failed(&mut tracker, 0, second(3));
    failed(&mut tracker, 0, second(4));
    tracker.give_up();
    tracker.give_up();
    assert_eq!(only(&mut tracker), (200, [1, 0, 0, 3]));
    good(&mut tracker, 0, second(6), 400);
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 2]), "time that was given up is not counted again");
}

#[test]
fn an_error_that_lasts_too_long_is_unknown_time() {
    let mut tracker = ZoneTracker::default();
    good(&mut tracker, 0, second(0), 100);
    failed(&mut tracker, 0, second(30));
    assert_eq!(only(&mut tracker), (0, [0; 4]), "30 kJ could still be told apart");
    failed(&mut tracker, 0, second(40));
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 40]), "40 kJ is over half the range");
    failed(&mut tracker, 0, second(50));
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 10]), "each further interval counts as it passes");
    good(&mut tracker, 0, second(60), 200);
    good(&mut tracker, 0, second(61), 300);
    assert_eq!(only(&mut tracker), (100, [1, 0, 0, 10]));
}

fn restarted(tracker: &mut ZoneTracker, at: Instant) {
    let info = zone(0);
    tracker.observe(&info, &ZoneReading { key: info.key, at, counter: Err(ZoneError::Restarted) });
}

#[test]
fn a_counter_that_began_anew_is_not_compared_with_what_it_was() {
    let mut tracker = ZoneTracker::default();
    good(&mut tracker, 0, second(0), 100);
    restarted(&mut tracker, second(2));
    good(&mut tracker, 0, second(2), 150);
    good(&mut tracker, 0, second(3), 170);
    assert_eq!(only(&mut tracker), (20, [1, 2, 0, 0]), "150 is no 50 more than 100");
    failed(&mut tracker, 0, second(4));
    restarted(&mut tracker, second(6));
    good(&mut tracker, 0, second(6), 0);
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 3]));
}

#[test]
fn an_error_shows_while_it_lasts() {
    let mut tracker = ZoneTracker::default();
    good(&mut tracker, 0, second(0), 100);
    failed(&mut tracker, 0, second(4));
    assert_eq!(only(&mut tracker), (0, [0; 4]), "the next read may still tell");
    failed(&mut tracker, 0, second(8));
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 8]), "a whole interval without one good read");
    failed(&mut tracker, 0, second(12));
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 4]));
    good(&mut tracker, 0, second(13), 900);
    good(&mut tracker, 0, second(14), 950);
    failed(&mut tracker, 0, second(16));
    assert_eq!(only(&mut tracker), (50, [1, 0, 0, 1]));
    good(&mut tracker, 0, second(17), 980);
    assert_eq!(only(&mut tracker), (30, [3, 0, 0, 0]), "a new fault is made good again");
}

#[test]
fn a_gap_behind_failed_reads_is_an_error() {
    let mut tracker = ZoneTracker::default();
    good(&mut tracker, 0, second(0), 100);
    failed(&mut tracker, 0, second(15));
    good(&mut tracker, 0, second(40), 200);
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 40]));
}

#[test]
fn a_zone_that_never_worked_counts_from_when_it_was_known() {
    let mut tracker = ZoneTracker::default();
    failed(&mut tracker, 0, second(5));
    failed(&mut tracker, 0, second(7));
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 2]));
    good(&mut tracker, 0, second(8), 9);
    assert_eq!(only(&mut tracker), (0, [0, 0, 0, 1]));
}

#[test]
fn resets_and_suspends_are_told_apart() {
    let mut tracker = ZoneTracker::default();
    good(&mut tracker, 0, second(0), RANGE / 2);
    good(&mut tracker, 0, second(1), 0);
    let woken = Instant { boottime: Nanos::from_secs(3_602), ..second(2) };
    good(&mut tracker, 0, woken, 10);
    assert_eq!(only(&mut tracker), (0, [0, 1, 3_601, 0]), "the time asleep is unknown, too");
}

proptest! {
    #[test]
    fn no_time_is_lost(steps in proptest::collection::vec((1..60_u64, proptest::option::of(0..RANGE), any::<bool>()), 1..50)) {
        let mut tracker = ZoneTracker::default();
        let (mut now, mut settled) = (0, Nanos(0));
        good(&mut tracker, 0, second(0), 0);
        let mut settle = |tracker: &mut ZoneTracker| {
            for sample in tracker.close() {
                settled += sample.covered + sample.unknown_time();
            }
        };
        for (wait, value, close) in steps {
            now += wait;
            match value {
                Some(value) => good(&mut tracker, 0, second(now), value),
                None => failed(&mut tracker, 0, second(now)),
            }
            if close {
                settle(&mut tracker);
            }
        }
        good(&mut tracker, 0, second(now + 1), 0);
        settle(&mut tracker);
        prop_assert_eq!(settled, Nanos::from_secs(now + 1));
    }
}
