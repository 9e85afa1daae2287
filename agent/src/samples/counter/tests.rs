use proptest::prelude::*;

use super::*;

const RANGE: u64 = 262_143_328_850;
const SECOND: Nanos = Nanos::from_secs(1);

/// 1 kW and a 62 µJ unit: after one second `B` is 1,000,000,062 µJ.
const BOUNDS: Bounds = Bounds { range: Microjoules(RANGE), unit: Microjoules(62), max_power: Watts(1_000.0) };
const MOST: u64 = 1_000_000_062;

fn at(monotonic: Nanos) -> Instant {
    Instant { monotonic, boottime: monotonic, wall: Nanos(0) }
}

fn suspended(monotonic: Nanos, asleep: Nanos) -> Instant {
    Instant { monotonic, boottime: monotonic + asleep, wall: Nanos(0) }
}

fn over(span: Nanos, before: u64, after: u64, bounds: Bounds) -> Step {
    step(Some((Microjoules(before), at(SECOND))), (Microjoules(after), at(SECOND + span)), &bounds)
}

#[test]
fn counter_rows() {
    let delta = |energy| Step::Delta(Microjoules(energy));
    let wrapped = |energy| Step::Wrapped(Microjoules(energy));
    let rows = [
        ("equal", 500, 500, delta(0)),
        ("rising", 500, 700, delta(200)),
        ("exactly B", 0, MOST, delta(MOST)),
        ("one over B", 0, MOST + 1, Step::Reset),
        ("wrapped by one", RANGE, 1, wrapped(1)),
        ("wrapped onto zero", RANGE, 0, wrapped(0)),
        ("wrapped by exactly B", RANGE - MOST, 0, wrapped(MOST)),
        ("wrapped by one over B", RANGE - MOST - 1, 0, Step::Reset),
        ("reset to zero", RANGE / 2, 0, Step::Reset),
        ("reset to a higher value", 500, RANGE / 2, Step::Reset),
        ("falling by one", 500, 499, Step::Reset),
        ("both above the range", RANGE + 10, RANGE + 20, delta(10)),
        ("from far above the range", u64::MAX, 0, Step::Reset),
        ("to the largest value", 0, u64::MAX, Step::Reset),
    ];
    for (name, before, after, expected) in rows {
        assert_eq!(over(SECOND, before, after, BOUNDS), expected, "{name}");
    }
}

#[test]
fn nothing_before_is_first() {
    assert_eq!(step(None, (Microjoules(5), at(SECOND)), &BOUNDS), Step::First);
}

#[test]
fn half_the_range_is_where_a_gap_begins() {
    let bounds = |range| Bounds { range: Microjoules(range), ..BOUNDS };
    assert_eq!(over(SECOND, 5, 6, bounds(2 * MOST)), Step::Gap, "B is exactly R/2");
    assert_eq!(over(SECOND, 5, 6, bounds(2 * MOST + 1)), Step::Delta(Microjoules(1)), "B is just under R/2");
    assert_eq!(over(SECOND, 5, 6, bounds(0)), Step::Gap, "no range is known");
    assert_eq!(over(Nanos(0), 5, 6, bounds(0)), Step::Gap, "no range is known, no time passed");
}

#[test]
fn no_time_allows_one_unit() {
    assert_eq!(over(Nanos(0), 500, 500, BOUNDS), Step::Delta(Microjoules(0)));
    assert_eq!(over(Nanos(0), 500, 562, BOUNDS), Step::Delta(Microjoules(62)));
    assert_eq!(over(Nanos(0), 500, 563, BOUNDS), Step::Reset);
}

#[test]
fn a_suspend_is_a_gap_and_clock_noise_is_not() {
    let from = Some((Microjoules(500), at(SECOND)));
    let woken = |asleep| (Microjoules(600), suspended(SECOND + SECOND, asleep));
    assert_eq!(step(from, woken(Nanos::from_millis(10)), &BOUNDS), Step::Delta(Microjoules(100)));
    assert_eq!(step(from, woken(Nanos(10_000_001)), &BOUNDS), Step::Gap);
    assert_eq!(step(from, woken(Nanos::from_secs(3600)), &BOUNDS), Step::Gap);
}

#[test]
fn a_clock_that_goes_back_is_a_gap() {
    let later = Some((Microjoules(500), at(SECOND + Nanos(1))));
    assert_eq!(step(later, (Microjoules(500), at(SECOND)), &BOUNDS), Step::Gap);
    let behind = Instant { monotonic: SECOND + SECOND, boottime: Nanos(0), wall: Nanos(0) };
    assert_eq!(step(Some((Microjoules(500), at(SECOND))), (Microjoules(500), behind), &BOUNDS), Step::Gap);
}

#[test]
fn limits_that_say_nothing_are_ignored() {
    let watts = |limits: &[f64]| limits.iter().copied().map(Watts).collect::<Vec<_>>();
    let rows = [
        (1, watts(&[]), 1_000.0),
        (0, watts(&[]), 1_000.0),
        (1, watts(&[0.0, 165.0]), 1_000.0),
        (1, watts(&[600.0, 0.0]), 1_200.0),
        (1, watts(&[1_500.0]), 3_000.0),
        (1, watts(&[1_500.1, 4_095.0]), 1_000.0),
        (1, watts(&[f64::NAN, f64::INFINITY, -7.0]), 1_000.0),
        (4, watts(&[600.0]), 4_000.0),
    ];
    for (sockets, limits, expected) in rows {
        assert!((max_power(sockets, limits.clone()).0 - expected).abs() < 1e-9, "{sockets} sockets, {limits:?}");
    }
}

#[test]
fn the_smallest_zone_sets_the_pace() {
    let dram = Bounds { range: Microjoules(65_712_999_613), ..BOUNDS };
    assert_eq!(poll_interval([BOUNDS]), Some(Nanos(65_535_832_212)));
    assert_eq!(poll_interval([BOUNDS, dram]), Some(Nanos(16_428_249_903)));
    assert_eq!(poll_interval([Bounds { range: Microjoules(0), ..BOUNDS }]), None);
    assert_eq!(poll_interval([]), None);
}

fn any_instant() -> impl Strategy<Value = Instant> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(monotonic, boottime, wall)| Instant {
        monotonic: Nanos(monotonic),
        boottime: Nanos(boottime),
        wall: Nanos(wall),
    })
}

proptest! {
    #[test]
    fn any_input_has_a_step_and_energy_stays_within_the_bound(
        before in any::<u64>(), after in any::<u64>(), from in any_instant(), to in any_instant(),
        range in any::<u64>(), unit in any::<u64>(), power in any::<f64>(),
    ) {
        let bounds = Bounds { range: Microjoules(range), unit: Microjoules(unit), max_power: Watts(power) };
        match step(Some((Microjoules(before), from)), (Microjoules(after), to), &bounds) {
            Step::Delta(energy) | Step::Wrapped(energy) => prop_assert!(u128::from(energy.0) * 2 < u128::from(range)),
            Step::First => prop_assert!(false, "there was an earlier reading"),
            Step::Reset | Step::Gap => {}
        }
    }

    #[test]
    fn a_polled_counter_loses_nothing(
        start in 0..RANGE, watts in proptest::collection::vec(0.0..1_000.0_f64, 1..200),
    ) {
        let pace = poll_interval([BOUNDS]).unwrap_or_default();
        let mut previous = (Microjoules(start), at(Nanos(0)));
        let (mut truth, mut seen) = (0_u64, 0_u64);
        for power in watts {
            let used = Watts(power).during(pace).0;
            truth += used;
            let now = (Microjoules((previous.0.0 + used) % RANGE), at(previous.1.monotonic + pace));
            match step(Some(previous), now, &BOUNDS) {
                Step::Delta(energy) | Step::Wrapped(energy) => seen += energy.0,
                other => prop_assert!(false, "{other:?}"),
            }
            previous = now;
        }
        prop_assert_eq!(truth, seen);
    }
}
