//! Totals go in, deltas come out: none twice, none lost, none below zero.

use proptest::{collection::vec, option, prelude::*};
use wattrace_common::sched::Work;

use super::*;
use crate::samples::{CpuReading, TimeReading};

mod places;

const A: WorkKey = WorkKey::cgroup(100);
const B: WorkKey = WorkKey::cgroup(200);
const LEFT: Place = Place { socket: 0, die: 0 };
const RIGHT: Place = Place { socket: 1, die: 0 };

fn at(nanos: u64) -> Instant {
    Instant { monotonic: Nanos(nanos), boottime: Nanos(nanos), wall: Nanos(0) }
}

/// CPU 0 sits left, all others right.
fn cpu(cpu: u32, busy: Option<u64>, idle: Option<u64>) -> CpuReading {
    let place = if cpu == 0 { LEFT } else { RIGHT };
    CpuReading { cpu, place, busy: busy.map(Nanos), idle: idle.map(Nanos), shared: Nanos(0), online: idle.is_some() }
}

fn time(cpu: u32, key: WorkKey, time: u64) -> TimeReading {
    TimeReading { cpu, key, time: Nanos(time), shared: Nanos(0), comm: [0; 16] }
}

fn reading(now: u64, cpus: &[CpuReading], times: &[TimeReading]) -> Reading {
    Reading { at: at(now), cpus: cpus.to_vec(), times: times.to_vec(), ..Reading::default() }
}

/// Times of which nothing is shared.
fn alone<const N: usize>(times: [(Place, u64); N]) -> BTreeMap<Place, OnCpu> {
    times.map(|(place, time)| (place, OnCpu::alone(Nanos(time)))).into()
}

/// Readings of one key on CPU 0, one nanosecond apart; `None`: the key was not there.
fn observe(tracker: &mut UsageTracker, totals: &[Option<u64>]) {
    for (now, total) in (0..).zip(totals) {
        let times: Vec<_> = total.iter().map(|total| time(0, A, *total)).collect();
        tracker.observe(&reading(now, &[cpu(0, Some(0), Some(0))], &times));
    }
}

/// Time of a key in an interval, by place; `None`: it is absent.
fn work(sample: &UsageSample, key: WorkKey) -> Option<Vec<(Place, u64)>> {
    Some(sample.work.get(&key)?.iter().map(|(place, time)| (*place, time.time.0)).collect())
}

/// What a row is about, the totals read, the time booked.
type Row<'a> = (&'a str, &'a [Option<u64>], Option<u64>);

#[test]
fn totals_of_one_key() {
    let max = Some(u64::MAX);
    let rows: [Row<'_>; 12] = [
        ("the first reading is where counting starts", &[Some(5)], None),
        ("it grew", &[Some(5), Some(9)], Some(4)),
        ("it stood still", &[Some(5), Some(5)], None),
        ("it first shows up later: from 0", &[None, Some(7)], Some(7)),
        ("it first shows up later, without time", &[None, Some(0)], None),
        ("it is missing in between", &[Some(5), None, Some(9)], Some(4)),
        ("several readings in one interval", &[Some(5), Some(6), Some(6), Some(9)], Some(4)),
        ("it falls, and catches up exactly", &[Some(5), Some(9), Some(8), Some(9)], Some(4)),
        ("it falls, and ends above", &[Some(5), Some(9), Some(8), Some(7), Some(12)], Some(7)),
        ("it falls, and stays below", &[Some(5), Some(9), Some(7), Some(8)], Some(4)),
        ("it falls below where it started", &[Some(5), Some(3), Some(6)], Some(1)),
        ("the largest numbers", &[Some(0), max, Some(0), max], max),
    ];
    for (name, totals, expected) in rows {
        let mut tracker = UsageTracker::default();
        observe(&mut tracker, totals);
        let expected = expected.map(|time| vec![(LEFT, time)]);
        assert_eq!(work(&tracker.close(), A), expected, "{name}");
    }
}

#[test]
fn an_interval_starts_where_the_last_one_ended() {
    let mut tracker = UsageTracker::default();
    for (now, total) in [(10, 100), (20, 130)] {
        tracker.observe(&reading(now, &[cpu(0, Some(total), Some(0))], &[time(0, A, total)]));
    }
    let first = tracker.close();
    assert_eq!((first.from, first.to, first.span()), (at(10), at(20), Nanos(10)));
    assert_eq!((work(&first, A), first.busy_total()), (Some(vec![(LEFT, 30)]), Nanos(30)));
    tracker.observe(&reading(35, &[cpu(0, Some(131), Some(0))], &[time(0, A, 131)]));
    let second = tracker.close();
    assert_eq!((second.from, second.to), (at(20), at(35)));
    assert_eq!((work(&second, A), second.busy_total()), (Some(vec![(LEFT, 1)]), Nanos(1)));
    let nothing = tracker.close();
    assert_eq!((nothing.from, nothing.to, nothing.span()), (at(35), at(35), Nanos(0)));
    assert_eq!((nothing.work.len(), nothing.busy_total(), nothing.unaccounted()), (0, Nanos(0), None));
}

#[test]
fn shared_time_goes_with_its_time() {
    let mut tracker = UsageTracker::default();
    let sharing =
        |on: u32, key: WorkKey, total: u64, shared: u64| TimeReading { shared: Nanos(shared), ..time(on, key, total) };
    let busy = |on: u32, total: u64, shared: u64| CpuReading { shared: Nanos(shared), ..cpu(on, Some(total), Some(0)) };
    tracker.observe(&reading(0, &[busy(0, 100, 40), busy(1, 50, 0)], &[sharing(0, A, 100, 40), sharing(1, B, 50, 0)]));
    tracker.observe(&reading(1, &[busy(0, 110, 45), busy(1, 60, 5)], &[sharing(0, A, 110, 45), sharing(1, B, 60, 5)]));
    // B's shared time is ahead of its time, and waits for it.
    tracker.observe(&reading(
        2,
        &[busy(0, 120, 45), busy(1, 62, 12)],
        &[sharing(0, A, 120, 45), sharing(1, B, 62, 12)],
    ));
    let on = |time, shared| OnCpu { time: Nanos(time), shared: Nanos(shared) };
    let sample = tracker.close();
    assert_eq!(sample.busy, BTreeMap::from([(LEFT, on(20, 5)), (RIGHT, on(12, 7))]));
    assert_eq!(sample.work[&A], BTreeMap::from([(LEFT, on(20, 5))]));
    assert_eq!(sample.work[&B], BTreeMap::from([(RIGHT, on(12, 7))]));
    tracker.observe(&reading(
        3,
        &[busy(0, 120, 45), busy(1, 72, 12)],
        &[sharing(0, A, 120, 45), sharing(1, B, 72, 12)],
    ));
    let sample = tracker.close();
    assert_eq!(sample.work, BTreeMap::from([(B, BTreeMap::from([(RIGHT, on(10, 5))]))]));
}

#[test]
fn a_suspend_is_not_part_of_the_span() {
    let mut tracker = UsageTracker::default();
    tracker.observe(&reading(10, &[], &[]));
    let woken = Instant { boottime: Nanos(5_000), ..at(30) };
    tracker.observe(&Reading { at: woken, ..Reading::default() });
    assert_eq!(tracker.close().span(), Nanos(20));
}

#[test]
fn each_socket_has_its_own_time() {
    let mut tracker = UsageTracker::default();
    let cpus =
        |left, right, other| [cpu(0, Some(left), Some(0)), cpu(1, Some(right), Some(0)), cpu(2, Some(other), Some(0))];
    tracker.observe(&reading(0, &cpus(10, 20, 30), &[time(0, A, 10), time(1, A, 20), time(2, B, 30)]));
    let times = [time(0, A, 11), time(1, A, 22), time(2, A, 4), time(2, B, 38), time(9, B, 16)];
    tracker.observe(&reading(1, &cpus(11, 22, 42), &times));
    let sample = tracker.close();
    assert_eq!(sample.busy, alone([(LEFT, 1), (RIGHT, 14)]));
    assert_eq!(work(&sample, A), Some(vec![(LEFT, 1), (RIGHT, 6)]), "4 ns on CPU 2 are new");
    assert_eq!(work(&sample, B), Some(vec![(LEFT, 16), (RIGHT, 8)]), "CPU 9 is in no topology: socket 0");
}

#[test]
fn a_cpu_that_was_not_seen_at_first_counts_from_zero() {
    let mut tracker = UsageTracker::default();
    tracker.observe(&reading(0, &[cpu(0, Some(3), Some(0)), cpu(1, None, None)], &[]));
    tracker.observe(&reading(50, &[cpu(0, Some(13), Some(40)), cpu(1, Some(20), Some(30))], &[]));
    let sample = tracker.close();
    assert_eq!(sample.busy, alone([(LEFT, 10), (RIGHT, 20)]));
    assert_eq!((sample.idle, sample.cpus), (Nanos(40), 2), "what CPU 1 idled before it was seen is unknown");
}

#[test]
fn an_offline_cpu_does_not_idle() {
    let mut tracker = UsageTracker::default();
    let mut then = |now, busy, idle: Option<u64>| {
        tracker.observe(&reading(now, &[cpu(0, Some(0), Some(now)), cpu(1, Some(busy), idle)], &[]));
        let sample = tracker.close();
        (sample.cpus, sample.idle.0 - sample.span().0, sample.busy_total().0)
    };
    assert_eq!(then(0, 5, Some(50)), (2, 0, 0));
    assert_eq!(then(100, 15, Some(140)), (2, 90, 10));
    assert_eq!(then(200, 35, None), (1, 0, 20), "its last work before it went offline counts");
    assert_eq!(then(300, 35, None), (1, 0, 0));
    assert_eq!(then(400, 36, Some(440)), (2, 0, 1), "300 ns in the dark are no idle time");
    assert_eq!(then(500, 37, Some(539)), (2, 99, 1));
}

#[test]
fn busy_and_idle_are_held_until_they_catch_up() {
    let mut tracker = UsageTracker::default();
    let mut sum = (0, 0);
    for (busy, idle) in [(10, 100), (30, 150), (29, 149), (28, 160), (45, 155), (50, 170)] {
        tracker.observe(&reading(0, &[cpu(0, Some(busy), Some(idle))], &[]));
        let sample = tracker.close();
        sum = (sum.0 + sample.busy_total().0, sum.1 + sample.idle.0);
    }
    assert_eq!(sum, (40, 70));
}

#[test]
fn what_is_forgotten_starts_from_zero() {
    let mut tracker = UsageTracker::default();
    let cpus = [cpu(0, Some(0), Some(0)), cpu(1, Some(0), Some(0))];
    tracker.observe(&reading(0, &cpus, &[time(0, A, 50), time(1, A, 60), time(0, B, 70)]));
    tracker.forget(&BTreeSet::from([A]));
    tracker.observe(&reading(1, &cpus, &[time(0, A, 3), time(0, B, 71)]));
    tracker.forget(&BTreeSet::from([A]));
    tracker.observe(&reading(2, &cpus, &[time(0, A, 4), time(1, A, 8), time(0, B, 72)]));
    let sample = tracker.close();
    assert_eq!(work(&sample, A), Some(vec![(LEFT, 7), (RIGHT, 8)]), "what was booked stays booked");
    assert_eq!(work(&sample, B), Some(vec![(LEFT, 2)]));
}

#[test]
fn quiet_keys_are_known_and_did_not_run() {
    let quiet = |tracker: &UsageTracker| tracker.quiet().into_iter().collect::<Vec<_>>();
    let mut tracker = UsageTracker::default();
    let cpus = [cpu(0, Some(0), Some(0)), cpu(1, Some(0), Some(0))];
    tracker.observe(&reading(0, &cpus, &[time(0, A, 5), time(1, A, 5), time(0, B, 5)]));
    assert_eq!(quiet(&tracker), [A, B], "nobody has run since the first reading");
    tracker.observe(&reading(1, &cpus, &[time(0, A, 5), time(1, A, 6), time(0, B, 5)]));
    assert_eq!(quiet(&tracker), [B], "one CPU is enough");
    tracker.close();
    assert_eq!(quiet(&tracker), [B], "the end of an interval changes nothing");
    tracker.observe(&reading(2, &cpus, &[]));
    assert_eq!(quiet(&tracker), [A, B], "it ran, but not since the last reading");
    tracker.forget(&BTreeSet::from([A, B]));
    assert_eq!(quiet(&tracker), []);
}

#[test]
fn unaccounted_is_a_share_of_the_cpus_time() {
    let share = |busy, idle, cpus, span| {
        let (busy, idle) = (alone([(LEFT, busy), (RIGHT, busy)]), Nanos(idle));
        UsageSample { to: at(span), cpus, busy, idle, ..UsageSample::default() }.unaccounted()
    };
    assert_eq!(share(50, 100, 2, 100), Some(0.0));
    assert_eq!(share(45, 90, 2, 100), Some(0.1), "too little");
    assert_eq!(share(55, 110, 2, 100), Some(0.1), "too much");
    assert_eq!(share(50, 100, 2, 0), None);
    assert_eq!(share(50, 100, 0, 100), None);
    assert!(share(u64::MAX, u64::MAX, u64::MAX, u64::MAX).is_some_and(f64::is_finite));
}

#[test]
fn utilization_is_the_busy_share() {
    let share = |busy, cpus, span| {
        UsageSample { to: at(span), cpus, busy: alone([(LEFT, busy), (RIGHT, busy)]), ..UsageSample::default() }
            .utilization()
    };
    assert_eq!(share(50, 2, 100), Some(0.5));
    assert_eq!(share(0, 2, 100), Some(0.0));
    assert_eq!(share(101, 2, 100), Some(1.0), "clock noise is no more than all");
    assert_eq!((share(50, 2, 0), share(50, 0, 100)), (None, None));
}

#[test]
fn names_come_with_the_processes_of_the_interval() {
    let mut tracker = UsageTracker::default();
    let process = WorkKey::process(7, 1 << 40);
    let named = TimeReading { comm: *b"postgres\0\0\0\0\0\0\0\0", ..time(0, process, 5) };
    tracker.observe(&reading(0, &[], &[named, time(0, A, 5)]));
    assert_eq!(tracker.close().comms, BTreeMap::from([(process, named.comm)]));
    tracker.observe(&reading(1, &[], &[time(0, A, 6)]));
    assert_eq!(tracker.close().comms.len(), 0);
    assert!(matches!(process.decode(), Work::Process { tgid: 7, .. }));
}

/// Sum over all places of a key's time.
fn total(sample: &UsageSample, key: WorkKey) -> u128 {
    sample.work.get(&key).into_iter().flatten().map(|(_, time)| u128::from(time.time.0)).sum()
}

proptest! {
    /// Whatever the order of rises and falls, and wherever intervals end, the way from the start to the
    /// highest total is booked.
    #[test]
    fn booked_once_and_never_below_zero(
        steps in vec((option::of(prop_oneof![4 => 0..1_000_u64, 1 => any::<u64>()]), any::<bool>()), 1..60),
    ) {
        let mut tracker = UsageTracker::default();
        let mut booked = 0;
        for (total_now, close) in &steps {
            let times: Vec<_> = total_now.iter().map(|total| time(0, A, *total)).collect();
            tracker.observe(&reading(0, &[], &times));
            if *close {
                booked += total(&tracker.close(), A);
            }
        }
        booked += total(&tracker.close(), A);
        let start = steps[0].0.unwrap_or(0);
        let highest = steps.iter().filter_map(|(total, _)| *total).fold(start, u64::max);
        prop_assert_eq!(booked, u128::from(highest - start));
    }

    /// Whatever totals say, no interval shares more than it has, and over all of them no more is shared than a total showed.
    #[test]
    fn shared_is_never_more_than_time(
        steps in vec(((0..1_000_u64, 0..2_000_u64), any::<bool>()), 1..60),
    ) {
        let mut tracker = UsageTracker::default();
        let mut booked = 0;
        for ((total, shared), close) in &steps {
            let times = [TimeReading { shared: Nanos(*shared), ..time(0, A, *total) }];
            tracker.observe(&reading(0, &[], &times));
            if *close {
                let on_cpu: OnCpu = tracker.close().work.into_values().flat_map(BTreeMap::into_values).sum();
                prop_assert!(on_cpu.shared <= on_cpu.time);
                booked += on_cpu.shared.0;
            }
        }
        let highest = steps.iter().map(|((_, shared), _)| *shared).max().unwrap();
        prop_assert!(booked <= highest - steps[0].0.1);
    }

    /// Three CPUs on two sockets that always say who ran, keys that are given back, intervals that end
    /// anywhere.
    #[test]
    fn what_cpus_say_and_what_keys_say_agree(
        steps in vec((vec((0..3_usize, 1..6_u64, 0..1_000_u64), 0..8), any::<bool>(), any::<bool>()), 1..40),
    ) {
        let mut tracker = UsageTracker::default();
        let (mut now, mut busy, mut times) = (0, [0_u64; 3], BTreeMap::<(u32, WorkKey), u64>::new());
        for (slices, close, reclaim) in steps {
            now += 10_000;
            for (cpu, key, time) in slices {
                busy[cpu] += time;
                *times.entry((u32::try_from(cpu).unwrap(), WorkKey::cgroup(key))).or_default() += time;
            }
            let cpus: Vec<_> = (0..).zip(busy).map(|(at, busy)| cpu(at, Some(busy), Some(now - busy))).collect();
            let times_now: Vec<_> = times.iter().map(|((cpu, key), total)| time(*cpu, *key, *total)).collect();
            tracker.observe(&reading(now, &cpus, &times_now));
            if reclaim {
                let quiet = tracker.quiet();
                times.retain(|(_, key), _| !quiet.contains(key));
                tracker.forget(&quiet);
            }
            if close {
                let sample = tracker.close();
                let mut owned = BTreeMap::<Place, OnCpu>::new();
                for (place, time) in sample.work.values().flatten() {
                    *owned.entry(*place).or_default() += *time;
                }
                prop_assert_eq!(sample.unaccounted().unwrap_or(0.0).to_bits(), 0);
                let mut busy = sample.busy;
                busy.retain(|_, busy| busy.time.0 > 0);
                prop_assert_eq!(owned, busy);
            }
        }
    }

    /// Many CPUs with the largest totals: sums stay at the largest value.
    #[test]
    fn nothing_overflows(totals in vec((0..4_u32, any::<u64>(), any::<u64>()), 1..30)) {
        let mut tracker = UsageTracker::default();
        tracker.observe(&reading(0, &[], &[]));
        for (on, busy, key) in totals {
            let times = [time(on, A, u64::MAX), time(on, WorkKey(key), busy)];
            tracker.observe(&reading(u64::MAX, &[cpu(on, Some(busy), Some(u64::MAX))], &times));
            tracker.observe(&reading(u64::MAX, &[cpu(on, Some(busy), None)], &[]));
            tracker.observe(&reading(u64::MAX, &[cpu(on, Some(busy), Some(0))], &[]));
        }
        let sample = tracker.close();
        prop_assert!(sample.busy_total() >= sample.busy.values().map(|busy| busy.time).max().unwrap_or_default());
        prop_assert!(sample.work[&A].values().all(|on_cpu| on_cpu.time == Nanos(u64::MAX)));
    }
}
