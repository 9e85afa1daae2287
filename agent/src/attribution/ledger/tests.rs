//! Totals only grow, close, survive a restart, and are what the machine really used.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};
use wattrace_common::{
    owner::OwnerKey,
    sched::{Work, WorkKey},
    threads::State,
};

use self::any::{account, whole, zone_account};
use self::world::{Event, Fate, Truth, World, floor_milliwatts};
use super::*;
use crate::{
    attribution::{
        books::{self, Usage},
        weight::SmtGain,
    },
    identity::Kind,
    samples::{
        Place, Scope,
        disk::DiskTracker,
        threads::ThreadsTracker,
        usage::UsageTracker,
        zone::{ZoneSample, ZoneTracker},
    },
    units::{MicroCpus, Watts},
};

mod any;
mod counted;
mod disk;
mod idle;
mod threads;
mod world;

/// Eight cgroups, five workloads: a service is restarted, and comes back as another cgroup.
fn workload(cgroup: u64) -> Arc<Workload> {
    let (kind, name) = match cgroup {
        0 => (Kind::Unattributed, "unattributed".to_owned()),
        _ => (Kind::SystemdUnit, format!("unit-{}.service", cgroup % 5)),
    };
    let id = Triplet { namespace: "wattrace".to_owned(), name: name.clone(), instance: "host".to_owned() };
    Arc::new(Workload { id, kind, name })
}

fn entry(cgroup: u64, cpu: u64) -> Entry {
    let seen = (cgroup > 0).then(|| Cgroup { id: cgroup, path: format!("/{cgroup}") });
    // A third of a nanogram per nanosecond has no short decimal form.
    Entry {
        workload: workload(cgroup),
        cgroup: seen,
        cpu: OnCpu::new(Nanos(cpu), Nanos(cpu / 3)),
        operational: Grams(cpu as f64 / 3e9),
        threads: None,
        disk: BTreeMap::new(),
        tcp: None,
        open: None,
        processes: None,
    }
}

const PACKAGE: ZoneKey = ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(0) };

/// One zone's interval: what was measured, idle, each workload's part; the rest is nobody's.
fn interval(key: ZoneKey, measured: u64, idle: u64, parts: &[u64], lost: u64) -> Attribution {
    let unknown = UnknownReason::ALL.map(|reason| match reason {
        UnknownReason::Reset => (reason, Nanos(lost)),
        UnknownReason::Error => (reason, Nanos(1)),
        UnknownReason::Gap | UnknownReason::AgentDown => (reason, Nanos(0)),
    });
    let sample = ZoneSample { key, energy: Microjoules(measured), covered: Nanos(1), unknown };
    let parts: Vec<_> = parts.iter().map(|part| Microjoules(*part)).collect();
    let unattributed = Microjoules(measured - idle) - parts.iter().copied().sum();
    let books =
        ZoneBooks { sample, idle: Microjoules(idle), parts, unattributed, idle_parts: Vec::new(), excess: Nanos(0) };
    Attribution { zones: vec![books], unattributed: OnCpu::default() }
}

/// Time and energy of a cgroup's workload.
fn totals(ledger: &Ledger, cgroup: u64) -> Option<(u64, Vec<(ZoneKind, u64)>)> {
    let account = ledger.accounts.get(&workload(cgroup).id)?;
    Some((account.cpu.0, account.energy.iter().map(|(kind, energy)| (*kind, energy.0)).collect()))
}

#[test]
fn all_cgroups_of_a_workload_share_one_account() {
    use ZoneKind::{Dram, Package};
    let mut ledger = Ledger::default();
    assert!(ledger.closes(), "nothing is closed");
    // 1 and 6 are the same unit, at once; 2 is another one.
    let entries = [entry(1, 100), entry(2, 20), entry(6, 3)];
    ledger.post(&interval(PACKAGE, 1_000, 400, &[300, 200, 60], 5), &entries, &entry(0, 7));
    assert_eq!(totals(&ledger, 1), Some((103, vec![(Package, 360)])));
    assert_eq!(totals(&ledger, 2), Some((20, vec![(Package, 200)])));
    assert_eq!(totals(&ledger, 0), Some((7, vec![(Package, 40)])));
    // It returns as 6 alone; other sockets and zones add to the same account.
    ledger.post(
        &interval(ZoneKey { scope: Scope::Socket(1), ..PACKAGE }, 50, 0, &[50], 0),
        &[entry(6, 1)],
        &entry(0, 0),
    );
    ledger.post(&interval(ZoneKey { kind: Dram, ..PACKAGE }, 9, 2, &[6], 0), &[entry(6, 1)], &entry(0, 0));
    ledger.post(&interval(PACKAGE, 10, 10, &[], 2), &[], &entry(0, 0));
    assert_eq!(totals(&ledger, 1), Some((105, vec![(Package, 410), (Dram, 6)])));
    assert_eq!(totals(&ledger, 0), Some((7, vec![(Package, 40), (Dram, 1)])));
    let cgroup = ledger.accounts[&workload(1).id].cgroup.clone();
    assert_eq!(cgroup, Some(Cgroup { id: 6, path: "/6".to_owned() }), "where it was seen last");
    let zones: Vec<_> = ledger.zones().map(|zone| (zone.measured.0, zone.idle.0, zone.active().0)).collect();
    assert_eq!(zones, [(1_010, 410, 600), (50, 0, 50), (9, 2, 7)]);
    let unknown = &ledger.zones[&PACKAGE].unknown;
    assert_eq!((unknown[&UnknownReason::Reset], unknown[&UnknownReason::Error]), (Nanos(7), Nanos(2)));
    assert!(ledger.closes());
}

#[test]
fn what_came_since_is_what_was_posted_since() {
    let mut ledger = Ledger::default();
    let post = |ledger: &mut Ledger, busy: u64| {
        ledger.post(&interval(PACKAGE, 100, 40, &[50, 0], 3), &[entry(1, busy), entry(2, 0)], &entry(0, 0));
    };
    let mut alone = Ledger::default();
    post(&mut alone, 7);
    alone.accounts.remove(&workload(2).id);
    ledger.post(&interval(PACKAGE, 1_000, 400, &[300, 200], 5), &[entry(1, 100), entry(2, 20)], &entry(0, 7));
    let gone = workload(2).id.clone();
    ledger.retire(&gone);
    let before = ledger.clone();
    assert_eq!(ledger.since(&before).accounts().count(), 0);
    post(&mut ledger, 7);
    let since = ledger.since(&before);
    assert!(since.closes());
    assert_eq!(since.zones, alone.zones);
    let used = |ledger: &Ledger| -> Vec<_> {
        ledger.accounts().map(|account| (account.workload.name.clone(), account.cpu, account.energy.clone())).collect()
    };
    assert_eq!(used(&since), used(&alone));
}

#[test]
fn books_that_do_not_close_say_so() {
    let closes = |parts: &[u64], entries: &[Entry], more: u64| {
        let mut ledger = Ledger::default();
        let mut attribution = interval(PACKAGE, 100, 40, parts, 0);
        attribution.zones[0].unattributed += Microjoules(more);
        ledger.post(&attribution, entries, &entry(0, 0));
        ledger.closes()
    };
    assert!(closes(&[50], &[entry(1, 1)], 0));
    assert!(!closes(&[50], &[], 0), "a part without a workload");
    assert!(!closes(&[50], &[entry(1, 1)], 1), "billed more than measured");
}

#[test]
fn a_retired_workload_starts_again_and_the_books_stay_closed() {
    let mut ledger = Ledger::default();
    let entries = [entry(1, 100), entry(2, 20)];
    ledger.post(&interval(PACKAGE, 1_000, 400, &[300, 200], 0), &entries, &entry(0, 7));
    let gone = workload(1).id.clone();
    ledger.retire(&gone);
    ledger.retire(&gone);
    assert_eq!(totals(&ledger, 1), None);
    assert_eq!(ledger.retired(), &BTreeMap::from([(ZoneKind::Package, Microjoules(300))]));
    assert!(ledger.closes());
    ledger.post(&interval(PACKAGE, 10, 0, &[10], 0), &[entry(1, 5)], &entry(0, 0));
    assert_eq!(totals(&ledger, 1), Some((5, vec![(ZoneKind::Package, 10)])));
    assert!(ledger.closes());
    assert_eq!(restored(&ledger), ledger);
}

#[test]
fn what_was_billed_to_nobody_is_a_residual() {
    let mut attribution = interval(PACKAGE, 100, 40, &[50], 0);
    attribution.zones[0].parts[0] = Microjoules(20);
    let mut ledger = Ledger::default();
    ledger.post(&attribution, &[entry(1, 1)], &entry(0, 0));
    assert_eq!((ledger.zones[&PACKAGE].residual, ledger.closes()), (Microjoules(30), true));
}

#[test]
fn totals_at_their_end_stay_there() {
    let mut ledger = Ledger::default();
    for _ in 0..3 {
        let all = Entry { operational: Grams(f64::MAX), ..entry(1, u64::MAX) };
        ledger.post(&interval(PACKAGE, u64::MAX, 0, &[u64::MAX], u64::MAX), &[all], &entry(0, u64::MAX));
        assert_eq!(totals(&ledger, 1), Some((u64::MAX, vec![(ZoneKind::Package, u64::MAX)])));
        assert_eq!(ledger.zones[&PACKAGE].unknown[&UnknownReason::Reset], Nanos(u64::MAX));
        assert_eq!(restored(&ledger), ledger);
    }
}

#[test]
fn grams_that_make_no_sense_spoil_no_total() {
    let mut ledger = Ledger::default();
    for grams in [0.1, f64::NAN, -5.0, f64::NEG_INFINITY, 0.2] {
        let entry_of = Entry { operational: Grams(grams), ..entry(1, 1) };
        ledger.post(&Attribution::default(), &[entry_of], &entry(0, 0));
        assert_eq!(restored(&ledger), ledger, "{grams}");
    }
    assert!((ledger.accounts[&workload(1).id].operational.0 - 0.3).abs() < 1e-9);
}

/// The agent: what it keeps in memory, and what it has written.
#[derive(Default)]
struct Agent {
    usage: UsageTracker,
    threads: ThreadsTracker,
    disk: DiskTracker,
    zones: ZoneTracker,
    ledger: Ledger,
}

impl Agent {
    fn read(&mut self, world: &mut World, fates: impl Fn(usize) -> Fate) {
        let reading = world.reading();
        self.usage.observe(&reading);
        self.threads.observe(&reading);
        self.disk.observe(&reading);
        for (zone, reading) in world.read_meters(fates) {
            self.zones.observe(&zone, &reading);
        }
    }

    fn close(&mut self) {
        let sample = self.usage.close();
        let mut threads = self.threads.close().unwrap_or_default().work;
        let disk = self.disk.close().unwrap_or_default().work;
        let keys: BTreeSet<WorkKey> = sample
            .work
            .keys()
            .chain(threads.keys())
            .copied()
            .chain(disk.keys().map(|owner| WorkKey(owner.0)))
            .collect();
        let work = keys.iter().map(|key| sample.work.get(key).cloned().unwrap_or_default()).collect();
        let usage = Usage { busy: sample.busy, work, gain: SmtGain::default() };
        let floor = |key| Watts(floor_milliwatts(key) as f64 / 1e3);
        let mut attribution = books::attribute(&self.zones.close(), floor, &usage);
        let times = usage.work.iter().map(|times| times.values().copied().sum());
        let done = |key: &WorkKey| match key.decode() {
            Work::Cgroup(id) => disk.get(&OwnerKey::cgroup(id)).map(|done| (Ownership::Cgroup, done.clone())),
            _ => None,
        };
        let made = |(key, cpu): (&WorkKey, OnCpu)| Entry {
            cpu,
            threads: threads.remove(key),
            disk: done(key).into_iter().collect(),
            ..entry(key.0, 0)
        };
        let entries: Vec<_> = keys.iter().zip(times).map(made).collect();
        // Some reserve nothing; once enough run, more is reserved than the two CPUs there are.
        let reserved = |entry: &Entry| MicroCpus(entry.cgroup.as_ref().map_or(0, |seen| seen.id % 3 * 333_333));
        attribution.hand_out_idle(&entries.iter().map(reserved).collect::<Vec<_>>(), MicroCpus::whole(2));
        self.ledger.post(&attribution, &entries, &Entry { cpu: attribution.unattributed, ..entry(0, 0) });
    }

    fn reclaim(&mut self, world: &mut World) {
        let quiet = self.usage.quiet();
        world.reclaim(|cgroup| quiet.contains(&WorkKey::cgroup(cgroup)));
        self.usage.forget(&quiet);
        self.threads.forget(&quiet);
        self.disk.forget(&quiet.iter().map(|key| OwnerKey::cgroup(key.0)).collect());
    }

    /// Only what was written comes back.
    fn restart(&mut self) {
        *self = Self { ledger: restored(&self.ledger), ..Self::default() };
    }
}

fn restored(ledger: &Ledger) -> Ledger {
    let written = serde_json::to_vec(&Record::from(ledger)).unwrap();
    serde_json::from_slice::<Record>(&written).unwrap().into()
}

fn slept(account: &Account) -> Nanos {
    account.threads.as_ref().map_or(Nanos(0), |threads| threads.state(State::Sleeping))
}

/// Whether no total of `before` is missing from `after`, or larger there.
fn grew(before: &Ledger, after: &Ledger) -> bool {
    let accounts = before.accounts.iter().all(|(id, old)| {
        after.accounts.get(id).is_some_and(|new| {
            let energy = old.energy.iter().all(|(kind, energy)| new.energy.get(kind) >= Some(energy));
            let idle = old.idle.iter().all(|(kind, energy)| new.idle.get(kind) >= Some(energy));
            let slept = slept(new) >= slept(old);
            let read = disk::read(new) >= disk::read(old);
            energy
                && idle
                && slept
                && read
                && new.cpu >= old.cpu
                && new.shared >= old.shared
                && new.operational >= old.operational
        })
    });
    let zones = before.zones.iter().all(|(key, old)| {
        after.zones.get(key).is_some_and(|new| {
            let unknown = old.unknown.iter().all(|(reason, span)| new.unknown.get(reason) >= Some(span));
            let handed_out = new.idle_handed_out >= old.idle_handed_out;
            unknown
                && handed_out
                && new.measured >= old.measured
                && new.idle >= old.idle
                && new.residual >= old.residual
        })
    });
    accounts && zones
}

/// Compares every account's time and every zone's energy with what the machine knows.
fn is_true(ledger: &Ledger, truth: &Truth) -> Result<(), TestCaseError> {
    let by_workload = |by_cgroup: &BTreeMap<u64, u64>| {
        by_cgroup.iter().fold(BTreeMap::new(), |mut sums: BTreeMap<Triplet, Nanos>, (cgroup, nanos)| {
            *sums.entry(workload(*cgroup).id.clone()).or_default() += Nanos(*nanos);
            sums
        })
    };
    let (mut cpu, mut sleep) = (by_workload(&truth.cpu), by_workload(&truth.slept));
    for account in ledger.accounts() {
        prop_assert_eq!(slept(account), sleep.remove(&account.workload.id).unwrap_or_default());
        if account.workload.kind != Kind::Unattributed {
            prop_assert_eq!(disk::read(account), account.cpu.0, "a byte for each nanosecond");
        }
        prop_assert_eq!(account.cpu, cpu.remove(&account.workload.id).unwrap_or_default(), "{:?}", account.workload.id);
    }
    prop_assert_eq!(cpu.values().copied().sum::<Nanos>(), Nanos(0), "time without an account");
    prop_assert_eq!(sleep, BTreeMap::new());
    let shared = truth.energy.iter().filter(|(key, _)| key.kind.is_attributed());
    let expected: Vec<_> = shared.map(|(key, (measured, idle))| (*key, *measured, *idle)).collect();
    let found: Vec<_> = ledger.zones().map(|zone| (zone.key, zone.measured.0, zone.idle.0)).collect();
    prop_assert_eq!(found, expected);
    for kind in [ZoneKind::Package, ZoneKind::Dram] {
        let billed: Microjoules = ledger.accounts().filter_map(|account| account.energy.get(&kind)).copied().sum();
        let used =
            truth.energy.iter().filter(|(key, _)| key.kind == kind).map(|(_, (energy, idle))| energy - idle).sum();
        prop_assert_eq!(billed, Microjoules(used));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Wraps, resets, gaps, suspends, failed reads, cgroups that come and go, CPUs that come and go, kills.
    #[test]
    fn whatever_happens_the_ledger_grows_closes_and_is_true(schedule in world::schedule()) {
        let (mut world, mut agent) = (World::new(), Agent::default());
        agent.read(&mut world, |_| Fate::Fine);
        for step in schedule {
            world.run(&step);
            agent.read(&mut world, |zone| step.fate(zone));
            let before = agent.ledger.clone();
            match step.event {
                Event::Nothing => continue,
                Event::Restart => {
                    agent.restart();
                    world = world.restart();
                    prop_assert_eq!(&agent.ledger, &before);
                    agent.read(&mut world, |_| Fate::Fine);
                    continue;
                }
                Event::Close => {}
                Event::Reclaim => agent.reclaim(&mut world),
            }
            agent.close();
            prop_assert!(grew(&before, &agent.ledger), "{before:?}\n{:?}", agent.ledger);
            prop_assert!(agent.ledger.closes());
            prop_assert_eq!(agent.ledger.zones().map(|zone| zone.residual).sum::<Microjoules>(), Microjoules(0));
            is_true(&agent.ledger, world.close())?;
        }
    }
    /// Every number, name and zone comes back from the file as it was.
    #[test]
    fn a_record_survives_json(accounts in vec(account(), 0..8), zones in vec(zone_account(), 0..8)) {
        let ledger = Ledger::from(Record { accounts, zones, ..Record::default() });
        let record = Record::from(&ledger);
        let written = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Record>(&written).unwrap(), &record);
        prop_assert_eq!(restored(&ledger), ledger);
    }
}
