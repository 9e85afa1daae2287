//! The books close to the microjoule, each zone at its own price.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::samples::{
    Scope::{self, Die, Machine, Socket},
    ZoneKind::{self, Core, Dram, Package, Platform, Server, Uncore},
    zone::UnknownReason,
};

const SECOND: Nanos = Nanos::from_secs(1);

fn zone(kind: ZoneKind, scope: Scope, energy: u64) -> ZoneSample {
    let unknown = UnknownReason::ALL.map(|reason| (reason, Nanos(0)));
    ZoneSample { key: ZoneKey { kind, scope }, energy: Microjoules(energy), covered: SECOND, unknown }
}

/// Time by (socket, die).
fn times(times: &[((u32, u32), u64)]) -> BTreeMap<Place, OnCpu> {
    times
        .iter()
        .map(|((socket, die), time)| (Place { socket: *socket, die: *die }, OnCpu::alone(Nanos(*time))))
        .collect()
}

fn no_floor(_: ZoneKey) -> Watts {
    Watts(0.0)
}

/// Idle, parts and unattributed of a zone's books, µJ.
fn shares(books: &ZoneBooks) -> (u64, Vec<u64>, u64) {
    (books.idle.0, books.parts.iter().map(|part| part.0).collect(), books.unattributed.0)
}

/// One zone of socket 0 without floor: what each workload gets, what nobody gets, the excess.
fn one(energy: u64, busy: u64, work: &[u64]) -> (Vec<u64>, u64, u64) {
    let work = work.iter().map(|time| times(&[((0, 0), *time)])).collect();
    let usage = Usage { busy: times(&[((0, 0), busy)]), work, gain: SmtGain::default() };
    let attribution = attribute(&[zone(Package, Socket(0), energy)], no_floor, &usage);
    let (_, parts, unattributed) = shares(&attribution.zones[0]);
    (parts, unattributed, attribution.zones[0].excess.0)
}

#[test]
fn one_zone_by_hand() {
    let rows: [(&str, _, _); 11] = [
        ("all time is owned", one(100, 80, &[60, 20]), (vec![75, 25], 0, 0)),
        ("a quarter is not", one(100, 80, &[40, 20]), (vec![50, 25], 25, 0)),
        ("nobody owns any", one(100, 80, &[]), (vec![], 100, 0)),
        ("a workload without time", one(100, 80, &[0, 80]), (vec![0, 100], 0, 0)),
        ("more claimed than worked", one(100, 80, &[60, 40]), (vec![60, 40], 0, 20)),
        ("nothing worked", one(100, 0, &[0, 0]), (vec![0, 0], 100, 0)),
        ("nothing worked, noise claimed", one(100, 0, &[3, 0]), (vec![0, 0], 100, 3)),
        ("no energy", one(0, 80, &[60]), (vec![0], 0, 0)),
        ("a remainder goes to the earlier", one(10, 3, &[1, 1, 1]), (vec![4, 3, 3], 0, 0)),
        ("or to nobody, whose share is larger", one(10, 6, &[1, 2]), (vec![2, 3], 5, 0)),
        ("the largest numbers", one(u64::MAX, u64::MAX, &[u64::MAX; 2]), (vec![1 << 63, (1 << 63) - 1], 0, 0)),
    ];
    for (name, found, expected) in rows {
        assert_eq!(found, expected, "{name}");
    }
}

/// Two sockets of two CPUs for one second: A works on socket 0, B on both.
fn two_sockets() -> Usage {
    let (left, right) = ((0, 0), (1, 0));
    Usage {
        busy: times(&[(left, 1_500_000_000), (right, 1_000_000_000)]),
        work: vec![times(&[(left, 500_000_000)]), times(&[(left, 750_000_000), (right, 1_000_000_000)])],
        gain: SmtGain::default(),
    }
}

#[test]
fn each_socket_is_billed_at_its_own_price() {
    let zones = [
        zone(Package, Socket(0), 100_000_000),
        zone(Package, Socket(1), 40_000_000),
        zone(Dram, Socket(1), 7),
        zone(Server, Machine, 350_000_000),
    ];
    let floor = |key: ZoneKey| match key.scope {
        Socket(0) => Watts(25.0),
        Socket(_) if key.kind == Package => Watts(10.0),
        _ => Watts(0.0),
    };
    let attribution = attribute(&zones, floor, &two_sockets());
    let found: Vec<_> = attribution.zones.iter().map(shares).collect();
    let expected = [
        (25_000_000, vec![25_000_000, 37_500_000], 12_500_000),
        (10_000_000, vec![0, 30_000_000], 0),
        (0, vec![0, 7], 0),
        // 2.5 s in all: 0.5 s, 1.75 s and 0.25 s.
        (0, vec![70_000_000, 245_000_000], 35_000_000),
    ];
    assert_eq!(found, expected);
    assert_eq!(attribution.unattributed, OnCpu::alone(Nanos(250_000_000)));
}

#[test]
fn each_die_is_billed_at_its_own_price() {
    let usage = Usage {
        busy: times(&[((0, 0), 10), ((0, 1), 30), ((1, 0), 40)]),
        work: vec![times(&[((0, 0), 10), ((1, 0), 20)]), times(&[((0, 1), 30), ((1, 0), 20)])],
        gain: SmtGain::default(),
    };
    let die = |die| Die(Place { socket: 0, die });
    let zones = [zone(Package, die(0), 500), zone(Package, die(1), 900), zone(Dram, Socket(0), 400)];
    let found: Vec<_> = attribute(&zones, no_floor, &usage).zones.iter().map(shares).collect();
    assert_eq!(found, [(0, vec![500, 0], 0), (0, vec![0, 900], 0), (0, vec![100, 300], 0)]);
}

#[test]
fn a_zone_inside_or_around_another_is_left_out() {
    let kinds = [Core, Package, Platform, Uncore, Dram, Server];
    let zones = kinds.map(|kind| zone(kind, Socket(0), 1_000));
    let shared: Vec<_> =
        attribute(&zones, no_floor, &two_sockets()).zones.iter().map(|books| books.sample.key.kind).collect();
    assert_eq!(shared, [Package, Dram, Server]);
    assert_eq!(attribute(&[], no_floor, &Usage::default()), Attribution::default());
}

#[test]
fn idle_is_the_floor_over_the_time_that_is_known() {
    let idle = |watts, energy, covered| {
        let sample = ZoneSample { covered, ..zone(Package, Socket(0), energy) };
        let books = attribute(&[sample], |_| Watts(watts), &two_sockets()).zones.remove(0);
        (books.idle.0, books.active().0)
    };
    let rows: [(&str, _, _); 9] = [
        ("no floor", idle(0.0, 900, SECOND), (0, 900)),
        ("a microwatt", idle(1e-6, 900, SECOND), (1, 899)),
        ("half the interval is unknown", idle(10.0, 30_000_000, Nanos::from_millis(500)), (5_000_000, 25_000_000)),
        ("nothing is known", idle(10.0, 900, Nanos(0)), (0, 900)),
        ("more than was used", idle(10.0, 900, SECOND), (900, 0)),
        ("huge", idle(f64::MAX, u64::MAX, Nanos(u64::MAX)), (u64::MAX, 0)),
        ("infinite", idle(f64::INFINITY, 900, Nanos(1)), (900, 0)),
        ("not a number", idle(f64::NAN, 900, SECOND), (0, 900)),
        ("negative", idle(-5.0, 900, SECOND), (0, 900)),
    ];
    for (name, found, expected) in rows {
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn time_that_nobody_owns_is_not_hidden_by_noise_on_another_socket() {
    let usage = Usage {
        busy: times(&[((0, 0), 50), ((1, 0), 30)]),
        work: vec![times(&[((0, 0), 70)])],
        gain: SmtGain::default(),
    };
    let zones = [zone(Package, Socket(0), 10), zone(Package, Socket(1), 10)];
    let attribution = attribute(&zones, no_floor, &usage);
    assert_eq!(shares(&attribution.zones[1]), (0, vec![0], 10));
    assert_eq!(attribution.unattributed, OnCpu::alone(Nanos(30)), "who gets the energy has the time");
}

#[test]
fn the_residual_is_what_the_bills_leave() {
    let mut books = attribute(&[zone(Package, Socket(0), 900)], no_floor, &two_sockets()).zones.remove(0);
    assert_eq!((books.active(), books.residual()), (Microjoules(900), Microjoules(0)));
    books.parts[0] = Microjoules(0);
    assert_eq!(books.residual(), Microjoules(300));
}

/// Two CPUs of one core for 1 s, energy by what each workload ran, and shared, in milliseconds.
fn on_one_core(gain: f64, energy: u64, busy: (u64, u64), work: &[(u64, u64)]) -> (Vec<u64>, u64, OnCpu) {
    let place = Place { socket: 0, die: 0 };
    let on_cpu = |(time, shared): &(u64, u64)| {
        BTreeMap::from([(place, OnCpu { time: Nanos::from_millis(*time), shared: Nanos::from_millis(*shared) })])
    };
    let usage = Usage { busy: on_cpu(&busy), work: work.iter().map(on_cpu).collect(), gain: SmtGain::new(gain) };
    let attribution = attribute(&[zone(Package, Socket(0), energy)], no_floor, &usage);
    let (_, parts, unattributed) = shares(&attribution.zones[0]);
    (parts, unattributed, attribution.unattributed)
}

#[test]
fn who_shares_a_core_is_billed_less() {
    let none = OnCpu::default();
    let rows = [
        // One thread alone for 1 s, two together for 0.5 s: weights 1, 0.2875 and 0.2875.
        (
            "alone and together",
            (2_000, 1_000),
            vec![(1_000, 0), (500, 500), (500, 500)],
            vec![1_000, 287, 288],
            0,
            none,
        ),
        ("both of all", (2_000, 2_000), vec![(1_000, 1_000); 2], vec![788, 787], 0, none),
        ("one of them is nobody's", (2_000, 2_000), vec![(1_000, 1_000)], vec![787], 788, OnCpu::new(SECOND, SECOND)),
        (
            "who shares is known by the CPUs alone",
            (2_000, 2_000),
            vec![(1_000, 0), (1_000, 1_000)],
            vec![1_000, 575],
            0,
            none,
        ),
    ];
    for (name, busy, work, parts, nobody, rest) in rows {
        let found = on_one_core(0.15, 1_575, busy, &work);
        let close =
            found.0.iter().zip(&parts).all(|(found, part)| found.abs_diff(*part) <= 1) && found.1.abs_diff(nobody) <= 1;
        assert!(close && found.0.len() == parts.len() && found.2 == rest, "{name}: {found:?}");
        assert_eq!(found.0.iter().sum::<u64>() + found.1, 1_575, "{name}");
    }
    let cores = on_one_core(1.0, 2_000, (2_000, 1_000), &[(1_000, 0), (500, 500), (500, 500)]);
    assert_eq!(cores.0, [1_000, 500, 500], "threads count as cores");
}

#[test]
fn rounding_leaves_nothing_to_nobody() {
    let place = Place { socket: 0, die: 0 };
    let shared = |nanos| BTreeMap::from([(place, OnCpu::new(Nanos(nanos), Nanos(nanos)))]);
    let usage = Usage { busy: shared(9), work: vec![shared(3), shared(3), shared(3)], gain: SmtGain::new(0.0) };
    let books = attribute(&[zone(Package, Socket(0), 900)], no_floor, &usage).zones.remove(0);
    assert_eq!((shares(&books), books.excess), ((0, vec![300; 3], 0), Nanos(1)));
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..1_000_000_u64, 2 => 0..10_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn floor() -> impl Strategy<Value = f64> {
    let odd = prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, f64::MAX, f64::MIN_POSITIVE]);
    prop_oneof![2 => Just(0.0), 4 => (0..1_000_000_u32).prop_map(f64::from), 1 => odd]
}

/// Up to three sockets of up to two dies.
fn gain() -> impl Strategy<Value = SmtGain> {
    prop_oneof![2 => Just(SmtGain::default()), 1 => (0.0..=1.0).prop_map(SmtGain::new)]
}

/// Time of which none, any part or more than there is is shared.
fn on_cpu() -> impl Strategy<Value = OnCpu> {
    (amount(), prop_oneof![Just(0), amount()])
        .prop_map(|(time, shared)| OnCpu { time: Nanos(time), shared: Nanos(shared) })
}

fn by_place() -> impl Strategy<Value = BTreeMap<Place, OnCpu>> {
    let place = (0..3_u32, 0..2_u32).prop_map(|(socket, die)| Place { socket, die });
    prop::collection::btree_map(place, on_cpu(), 0..6)
}

/// Mostly few workloads, now and then up to 10,000 of a few patterns.
fn work() -> impl Strategy<Value = Vec<BTreeMap<Place, OnCpu>>> {
    let size = prop_oneof![20 => 0..30_usize, 1 => 1_000..=10_000_usize];
    (vec(by_place(), 1..20), size).prop_map(|(patterns, size)| patterns.into_iter().cycle().take(size).collect())
}

fn zones() -> impl Strategy<Value = Vec<(ZoneSample, Watts)>> {
    let kind = prop::sample::select(vec![Package, Dram, Server, Core, Platform]);
    let scope = prop_oneof![
        Just(Machine),
        (0..3_u32).prop_map(Socket),
        (0..3_u32, 0..2_u32).prop_map(|(socket, die)| Die(Place { socket, die })),
    ];
    let zones = prop::collection::btree_map((kind, scope), (amount(), amount(), floor()), 0..8);
    zones.prop_map(|zones| {
        let sample = |((kind, scope), (energy, covered, floor))| {
            (ZoneSample { covered: Nanos(covered), ..zone(kind, scope, energy) }, Watts(floor))
        };
        zones.into_iter().map(sample).collect()
    })
}

/// What the zone's time weighs, its parts as 64 bits hold them.
fn on(scope: Scope, times: &BTreeMap<Place, OnCpu>, gain: SmtGain) -> u128 {
    let on_zone = || times.iter().filter(|(place, _)| scope.covers(**place)).map(|(_, on_cpu)| on_cpu);
    let narrow = |sum: u128| Nanos(u64::try_from(sum).unwrap_or(u64::MAX));
    let time = narrow(on_zone().map(|on_cpu| u128::from(on_cpu.time.0)).sum());
    let shared = narrow(on_zone().map(|on_cpu| u128::from(on_cpu.shared.0)).sum());
    u128::from(gain.weight(OnCpu { time, shared }).0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn books_close_for_any_input(zones in zones(), busy in by_place(), work in work(), gain in gain()) {
        let usage = Usage { busy, work, gain };
        let samples: Vec<_> = zones.iter().map(|(sample, _)| *sample).collect();
        let floors: BTreeMap<_, _> = zones.iter().map(|(sample, floor)| (sample.key, *floor)).collect();
        let attribution = attribute(&samples, |key| floors[&key], &usage);
        let is_shared = |sample: &&ZoneSample| ![Core, Platform].contains(&sample.key.kind);
        let shared: Vec<_> = samples.iter().filter(is_shared).copied().collect();
        prop_assert_eq!(attribution.zones.iter().map(|books| books.sample).collect::<Vec<_>>(), shared);
        for books in &attribution.zones {
            let measured = books.sample.energy;
            prop_assert_eq!(books.idle, measured.min(floors[&books.sample.key].during(books.sample.covered)));
            prop_assert_eq!(books.parts.len(), usage.work.len());
            let billed: u128 = books.parts.iter().map(|part| u128::from(part.0)).sum();
            let all = u128::from(books.idle.0) + billed + u128::from(books.unattributed.0);
            prop_assert_eq!(all, u128::from(measured.0));
            prop_assert_eq!(books.residual(), Microjoules(0));
        }
    }

    #[test]
    fn each_share_is_that_of_its_time(zones in zones(), busy in by_place(), work in work(), gain in gain()) {
        let usage = Usage { busy, work, gain };
        let samples: Vec<_> = zones.iter().map(|(sample, _)| *sample).collect();
        for books in attribute(&samples, no_floor, &usage).zones {
            let weights: Vec<u128> = usage.work.iter().map(|times| on(books.sample.key.scope, times, gain)).collect();
            let (busy, claimed) = (on(books.sample.key.scope, &usage.busy, gain), weights.iter().sum::<u128>());
            let worked = busy > 0;
            let excess = claimed.min(u128::from(u64::MAX)).saturating_sub(busy);
            prop_assert_eq!(u128::from(books.excess.0), excess);
            let rest = (busy.saturating_sub(claimed), books.unattributed);
            for (weight, part) in weights.into_iter().zip(books.parts).chain([rest]).filter(|_| worked) {
                let share = u128::from(books.sample.energy.0) * weight / busy.max(claimed);
                prop_assert!((share..=share + 1).contains(&u128::from(part.0)), "{part:?} for {weight} of {busy}");
                prop_assert!(weight > 0 || part.0 == 0);
            }
            prop_assert!(worked || books.unattributed == books.sample.energy);
        }
    }

    /// What happens elsewhere, to CPUs or to other zones, changes nobody's bill here.
    #[test]
    fn a_zone_depends_on_its_own_cpus_only(zones in zones(), busy in by_place(), work in work(), gain in gain()) {
        let usage = Usage { busy, work, gain };
        let samples: Vec<_> = zones.iter().map(|(sample, _)| *sample).collect();
        for books in attribute(&samples, no_floor, &usage).zones {
            let here = |times: &BTreeMap<Place, OnCpu>| {
                let mut times = times.clone();
                times.retain(|place, _| books.sample.key.scope.covers(*place));
                times
            };
            let alone = Usage { busy: here(&usage.busy), work: usage.work.iter().map(here).collect(), gain };
            prop_assert_eq!(&attribute(&[books.sample], no_floor, &alone).zones[0], &books);
        }
    }

    /// Per place, the time nobody owns is what is left of the CPUs' own.
    #[test]
    fn time_that_nobody_owns(busy in by_place(), work in work(), gain in gain()) {
        let usage = Usage { busy, work, gain };
        let on = |times: &BTreeMap<Place, OnCpu>, place| times.get(place).map_or(0, |on_cpu| u128::from(on_cpu.time.0));
        let claimed = |place| usage.work.iter().map(|times| on(times, place)).sum();
        let rest = usage.busy.iter().map(|(place, busy)| u128::from(busy.time.0).saturating_sub(claimed(place)));
        let expected = u64::try_from(rest.sum::<u128>()).unwrap_or(u64::MAX);
        prop_assert_eq!(attribute(&[], no_floor, &usage).unattributed.time, Nanos(expected));
    }
}
