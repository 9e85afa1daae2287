//! Events between two interval ends, and whose they are. What they say is `telemetry`'s.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use wattrace_common::{
    events::ExitEvent,
    owner::OwnerKey,
    process::{Actor, ActorKey},
    sched::WorkKey,
};

use super::Pipeline;
use crate::{
    attribution::{
        books::Attribution,
        ledger::{Cgroup, Entry},
    },
    identity::{Resolved, Triplet, Workload},
    samples::{Event, Exec, lives::work_key},
    telemetry::events::{Happened, Price},
    units::Nanos,
};

/// Bytes of events that are held at most: some 30,000 without arguments.
const MOST: usize = 4 << 20;

/// Whose an event is, as the kernel says it: the two kinds of key have special ones that mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Actor(u64),
    Owner(u64),
}

impl Whose {
    const fn of(event: &Event) -> Self {
        match event {
            Event::Exec(exec) => Self::Actor(exec.head.key),
            Event::Exit(exit) => Self::Actor(exit.head.key),
            Event::Closed(closed) => Self::Owner(closed.head.key),
        }
    }
}

/// Those of one owner.
#[derive(Clone, Debug, Default)]
struct Held {
    events: VecDeque<Event>,
    size: usize,
}

/// Events that wait for the end of their interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    held: BTreeMap<Whose, Held>,
    size: usize,
    dropped: u64,
}

impl Events {
    /// Keeps them until the interval ends. Who has the most makes room: a storm in one workload costs another none.
    pub(super) fn take(&mut self, events: Vec<Event>) {
        for event in events {
            let size = event.size();
            let held = self.held.entry(Whose::of(&event)).or_default();
            held.events.push_back(event);
            held.size += size;
            self.size += size;
            while self.size > MOST && self.shed() {}
        }
    }

    /// Drops the older half of what the owner with the most has. False when there is nothing.
    fn shed(&mut self) -> bool {
        let Some(most) = self.held.values_mut().max_by_key(|held| held.size) else { return false };
        let half = most.events.len().div_ceil(2);
        let size: usize = most.events.drain(..half).map(|event| event.size()).sum();
        most.size = most.size.saturating_sub(size);
        self.size = self.size.saturating_sub(size);
        self.dropped += half as u64;
        half > 0
    }

    fn close(&mut self) -> BTreeMap<Whose, Held> {
        self.size = 0;
        std::mem::take(&mut self.held)
    }
}

impl Pipeline {
    /// Events that were dropped because there were too many in an interval, since the start.
    pub fn dropped_events(&self) -> u64 {
        self.events.dropped
    }

    /// Ends the interval for events: by workload, each with what its CPU time cost, where that is to be told and known.
    pub(super) fn happened(&mut self, entries: &[Entry], attribution: &Attribution, now: Nanos) -> Vec<Happened> {
        let held = self.events.close();
        let cgroups: BTreeSet<WorkKey> =
            held.keys().filter_map(|whose| self.cgroup_of(*whose)).map(WorkKey::cgroup).collect();
        self.repair(&cgroups, now);
        let mut found: BTreeMap<Triplet, Happened> = BTreeMap::new();
        for (whose, held) in held {
            for event in held.events {
                let (workload, cgroup) = self.whose(whose, &event);
                let fresh = |workload| Happened { workload, cgroup: None, price: None, events: Vec::new() };
                let happened = found.entry(workload.id.clone()).or_insert_with(|| fresh(workload));
                happened.cgroup = happened.cgroup.take().or(cgroup);
                happened.events.push(event);
            }
        }
        if self.tells_process_energy {
            for (id, happened) in &mut found {
                happened.price = price(id, entries, attribution);
            }
        }
        found.into_values().collect()
    }

    fn cgroup_of(&self, whose: Whose) -> Option<u64> {
        match whose {
            Whose::Actor(key) => match ActorKey(key).decode() {
                Actor::Cgroup(id) => Some(id),
                Actor::Nobody | Actor::Kernel | Actor::Named => None,
            },
            Whose::Owner(key) => self.disks.named(OwnerKey(key)).ok(),
        }
    }

    fn whose(&mut self, whose: Whose, event: &Event) -> (Arc<Workload>, Option<Cgroup>) {
        let (key, comm) = match (self.cgroup_of(whose), whose, event) {
            (Some(id), ..) => (WorkKey::cgroup(id), [0; 16]),
            (None, Whose::Actor(key), Event::Exec(_) | Event::Exit(_)) => named(ActorKey(key), event),
            _ => (WorkKey::NOBODY, [0; 16]),
        };
        let resolved = self.registry.resolve(key, &comm);
        let Some(Resolved { workload, path }) = resolved else { return (self.registry.unattributed(), None) };
        let cgroup = self.cgroup_of(whose).zip(path).map(|(id, path)| Cgroup { id, path: path.to_string() });
        (workload, cgroup)
    }
}

/// The key under which the time of such a process is booked, and its name.
const fn named(key: ActorKey, event: &Event) -> (WorkKey, [u8; 16]) {
    match event {
        Event::Exec(Exec { who, .. }) | Event::Exit(ExitEvent { who, .. }) => (work_key(key, who), who.comm),
        Event::Closed(_) => (WorkKey::NOBODY, [0; 16]),
    }
}

/// What the CPU time of a workload cost; `None`: no zone told its energy, or it did not run.
fn price(id: &Triplet, entries: &[Entry], attribution: &Attribution) -> Option<Price> {
    let place = entries.iter().position(|entry| entry.workload.id == *id)?;
    let known = attribution.zones.iter().filter(|zone| zone.sample.covered.0 > 0);
    let parts: Vec<_> = known.filter_map(|zone| zone.parts.get(place).copied()).collect();
    let energy = (!parts.is_empty()).then(|| parts.into_iter().sum())?;
    Price::new(energy, entries.get(place)?.cpu.time)
}

#[cfg(test)]
mod tests;
