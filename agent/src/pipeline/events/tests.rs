//! What is held between two interval ends, and what it costs others.

use wattrace_common::events::{ClosedEvent, ExitEvent, Head};

use super::*;
use crate::{
    attribution::books::{Usage, attribute},
    samples::{
        OnCpu, Place, Scope, ZoneKey, ZoneKind,
        zone::{UnknownReason, ZoneSample},
    },
    units::{Grams, Microjoules, Watts},
};

fn exit(key: u64, at: u64) -> Event {
    Event::Exit(ExitEvent { head: Head { key, at, ..Head::default() }, ..ExitEvent::default() })
}

fn closed(key: u64) -> Event {
    Event::Closed(ClosedEvent { head: Head { key, ..Head::default() }, ..ClosedEvent::default() })
}

fn held(events: &mut Events) -> BTreeMap<Whose, Vec<Event>> {
    events.close().into_iter().map(|(whose, held)| (whose, held.events.into())).collect()
}

#[test]
fn events_keep_their_order_and_special_keys_of_two_kinds_stay_apart() {
    let mut events = Events::default();
    let (kernel, v1) = (ActorKey::KERNEL.0, OwnerKey::V1.0);
    assert_eq!(kernel, v1, "what this is about");
    events.take(vec![exit(7, 1), closed(v1), exit(7, 2)]);
    events.take(vec![exit(kernel, 3), exit(7, 4)]);
    let expected = [
        (Whose::Actor(7), vec![exit(7, 1), exit(7, 2), exit(7, 4)]),
        (Whose::Actor(kernel), vec![exit(kernel, 3)]),
        (Whose::Owner(v1), vec![closed(v1)]),
    ];
    assert_eq!(held(&mut events), expected.into());
    assert!(held(&mut events).is_empty());
    assert_eq!(events.dropped, 0);
}

#[test]
fn a_storm_is_bounded_and_costs_others_nothing() {
    let mut events = Events::default();
    let count = 20 * MOST / exit(1, 0).size();
    for at in 0..count as u64 {
        let of_others = (at.is_multiple_of(1_000)).then(|| exit(2 + at / 1_000 % 5, at));
        events.take([exit(1, at)].into_iter().chain(of_others).collect());
        assert!(events.size <= MOST);
    }
    let dropped = events.dropped;
    let mut kept = held(&mut events);
    let storm = kept.remove(&Whose::Actor(1)).unwrap();
    assert_eq!(storm.len() as u64 + dropped, count as u64);
    assert_eq!(storm.last(), Some(&exit(1, count as u64 - 1)), "the newest stay");
    assert_eq!(kept.values().map(Vec::len).sum::<usize>(), count.div_ceil(1_000));
}

fn entry(name: &str, seconds: u64) -> Entry {
    let id = Triplet { namespace: "test".to_owned(), name: name.to_owned(), instance: name.to_owned() };
    let workload = Workload { id, ..Workload::unattributed("host") };
    Entry {
        workload: Arc::new(workload),
        cgroup: None,
        cpu: OnCpu::alone(Nanos::from_secs(seconds)),
        operational: Grams(0.0),
        threads: None,
        disk: BTreeMap::new(),
        tcp: None,
        open: None,
        processes: None,
    }
}

#[test]
fn a_second_costs_what_the_workload_paid_for_its_own() {
    use UnknownReason::{AgentDown, Error, Gap, Reset};
    let entries = [entry("a", 3), entry("b", 1), entry("c", 0)];
    let place = Place::default();
    let work: Vec<_> = entries.iter().map(|entry| BTreeMap::from([(place, entry.cpu)])).collect();
    let usage = Usage { busy: [(place, OnCpu::alone(Nanos::from_secs(4)))].into(), work, ..Usage::default() };
    let zone = |covered| ZoneSample {
        key: ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(0) },
        energy: Microjoules(40_000_000),
        covered,
        unknown: [Reset, Gap, Error, AgentDown].map(|reason| (reason, Nanos(0))),
    };
    let priced = |covered, name: &str| {
        let attribution = attribute(&[zone(covered)], |_| Watts(0.0), &usage);
        let entry = entries.iter().find(|entry| entry.workload.id.name == name);
        let id = entry.map_or_else(|| Workload::unattributed("host").id, |entry| entry.workload.id.clone());
        price(&id, &entries, &attribution)
    };
    let second = Nanos::from_secs(4);
    assert_eq!(priced(second, "a"), Price::new(Microjoules(30_000_000), Nanos::from_secs(3)));
    assert_eq!(priced(second, "b"), Price::new(Microjoules(10_000_000), Nanos::from_secs(1)));
    assert_eq!(priced(second, "c"), None, "it did not run");
    assert_eq!(priced(second, "nobody"), None);
    assert_eq!(priced(Nanos(0), "a"), None, "no energy is known");
}
