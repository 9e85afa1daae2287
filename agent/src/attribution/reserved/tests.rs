//! No CPU is reserved twice, and no microjoule of idle energy is lost.

use proptest::{
    collection::{hash_map, vec},
    prelude::*,
};

use super::*;
use crate::{
    samples::{
        OnCpu, Place, Scope, ZoneKey, ZoneKind,
        zone::{UnknownReason, ZoneSample},
    },
    units::Nanos,
};

const CPU: u64 = 1_000_000;

fn quotas(rows: &[(&str, u64)]) -> Vec<Quota> {
    rows.iter().map(|(path, cpus)| Quota { path: (*path).to_owned(), cpus: MicroCpus(*cpus) }).collect()
}

fn own(rows: &[(&str, u64)], cpus: u64) -> Vec<u64> {
    reservations(&quotas(rows), MicroCpus::whole(cpus)).into_iter().map(|cpus| cpus.0).collect()
}

#[test]
fn quotas_side_by_side_are_as_they_are() {
    assert_eq!(own(&[("/a", CPU), ("/b.service", CPU / 2)], 4), [CPU, CPU / 2]);
    assert_eq!(own(&[], 4), [0; 0]);
}

#[test]
fn a_quota_within_a_quota_is_a_part_of_it() {
    for (rows, expected, why) in [
        (&[("/pod", 3 * CPU), ("/pod/one", CPU), ("/pod/two", CPU)][..], [CPU, CPU, CPU], "the rest is the outer's"),
        (&[("/pod/one", CPU), ("/pod", 2 * CPU), ("/pod/two", CPU)], [CPU, 0, CPU], "in any order"),
        (&[("/pod", CPU), ("/pod/one", CPU), ("/pod/two", CPU)], [0, CPU / 2, CPU / 2], "the outer binds"),
        (&[("/a", 2 * CPU), ("/a/x/b", CPU), ("/a/x/b/y/c", CPU / 4)], [CPU, 3 * CPU / 4, CPU / 4], "the nearest"),
        (&[("/a", CPU), ("/ab", CPU), ("/a b/c", CPU)], [CPU; 3], "names that begin alike are not within each other"),
        (&[("/", 2 * CPU), ("/a", CPU), ("/b", CPU / 2)], [CPU / 2, CPU, CPU / 2], "the root of a container"),
        (&[("/a", CPU), ("/a", CPU), ("/b", CPU)], [0, CPU, CPU], "what is told twice counts once"),
    ] {
        assert_eq!(own(rows, 8), expected, "{why}");
    }
}

#[test]
fn what_the_machine_has_not_is_shared() {
    assert_eq!(own(&[("/a", 3 * CPU), ("/b", CPU)], 2), [3 * CPU / 2, CPU / 2]);
    assert_eq!(own(&[("/a", u64::MAX), ("/b", u64::MAX)], 1), [CPU / 2, CPU / 2]);
    assert_eq!(own(&[("/a", 8 * CPU), ("/a/b", CPU)], 4), [3 * CPU, CPU], "the inner one fits");
    assert_eq!(own(&[("/a", CPU)], 0), [0]);
}

fn books(kind: ZoneKind, socket: u32, idle: u64) -> ZoneBooks {
    let sample = ZoneSample {
        key: ZoneKey { kind, scope: Scope::Die(Place { socket, die: 0 }) },
        energy: Microjoules(idle),
        covered: Nanos(1),
        unknown: UnknownReason::ALL.map(|reason| (reason, Nanos(0))),
    };
    let (idle, unattributed) = (Microjoules(idle), Microjoules(0));
    ZoneBooks { sample, idle, parts: Vec::new(), unattributed, idle_parts: Vec::new(), excess: Nanos(0) }
}

fn handed_out(idle: &[u64], reserved: &[u64], cpus: u64) -> Vec<Vec<u64>> {
    let zones = (0..).zip(idle).map(|(socket, idle)| books(ZoneKind::Package, socket, *idle)).collect();
    let mut attribution = Attribution { zones, unattributed: OnCpu::default() };
    let reserved: Vec<_> = reserved.iter().copied().map(MicroCpus).collect();
    attribution.hand_out_idle(&reserved, MicroCpus::whole(cpus));
    attribution.zones.iter().map(|books| books.idle_parts.iter().map(|part| part.0).collect()).collect()
}

#[test]
fn each_zone_gives_the_share_that_is_reserved_of_the_machine() {
    assert_eq!(handed_out(&[800, 80], &[CPU, 0, CPU / 2], 4), [[200, 0, 100], [20, 0, 10]]);
    assert_eq!(handed_out(&[10], &[CPU, CPU, CPU], 3), [[4, 3, 3]], "the remainder goes to the first");
    assert_eq!(handed_out(&[90], &[2 * CPU, CPU], 1), [[60, 30]], "more than there is shares all");
    assert_eq!(handed_out(&[90], &[], 4), [[0; 0]]);
    assert_eq!(handed_out(&[90], &[0, 0], 4), [[0, 0]]);
    assert_eq!(handed_out(&[90], &[CPU], 0), [[0; 0]], "a machine without CPUs");
}

/// Paths of a small tree, so that many lie within each other.
fn tree() -> impl Strategy<Value = Vec<Quota>> {
    let cpus = prop_oneof![6 => 0..4 * CPU, 1 => any::<u64>(), 1 => Just(u64::MAX)].prop_map(MicroCpus);
    let quotas = hash_map("(/[ab]){1,4}", cpus, 0..24);
    quotas.prop_map(|quotas| quotas.into_iter().map(|(path, cpus)| Quota { path, cpus }).collect())
}

fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

proptest! {
    #[test]
    fn nobody_has_more_than_any_quota_around_it(quotas in tree(), cpus in 0..64_u64) {
        let own = reservations(&quotas, MicroCpus::whole(cpus));
        prop_assert_eq!(own.len(), quotas.len());
        let sum = |path: &str| -> u128 {
            let within = quotas.iter().zip(&own).filter(|(quota, _)| is_within(&quota.path, path));
            within.map(|(_, own)| u128::from(own.0)).sum()
        };
        prop_assert!(sum("") <= u128::from(MicroCpus::whole(cpus).0));
        for quota in &quotas {
            prop_assert!(sum(&quota.path) <= u128::from(quota.cpus.0), "{}", quota.path);
        }
        let is_outermost = |quota: &&Quota| {
            quotas.iter().all(|other| other.path == quota.path || !is_within(&quota.path, &other.path))
        };
        let asked: u128 = quotas.iter().filter(is_outermost).map(|quota| u128::from(quota.cpus.0)).sum();
        prop_assert_eq!(sum(""), asked.min(u128::from(MicroCpus::whole(cpus).0)), "nothing is lost either");
    }

    #[test]
    fn idle_is_handed_out_or_kept(
        idle in vec(prop_oneof![any::<u64>(), 0..1_000_u64], 1..4),
        reserved in vec(prop_oneof![3 => 0..4 * CPU, 1 => Just(0), 1 => any::<u64>()], 0..40),
        cpus in 0..300_u64,
    ) {
        let whole: u128 = reserved.iter().map(|cpus| u128::from(*cpus)).sum();
        let machine = u128::from(MicroCpus::whole(cpus).0);
        for (idle, parts) in idle.iter().zip(handed_out(&idle, &reserved, cpus)) {
            let given: u128 = parts.iter().map(|part| u128::from(*part)).sum();
            prop_assert!(given <= u128::from(*idle));
            if machine > 0 && whole >= machine {
                prop_assert_eq!(given, u128::from(*idle), "all of it is reserved");
            }
            for (part, cpus) in parts.iter().zip(&reserved) {
                let product = u128::from(*idle) * u128::from(*cpus);
                let floor = product / whole.max(machine);
                prop_assert!((floor..=floor + 1).contains(&u128::from(*part)));
                prop_assert!(*cpus > 0 || *part == 0);
            }
        }
    }
}
