//! Cumulative totals per workload and zone: they only grow.
//!
//! A workload's triplet is the key, so all cgroups, ids and restarts that map to it share one account.
//! The ledger is a value: [`Record`] is what is kept of it across a restart of the agent.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::books::{Attribution, ZoneBooks};
use crate::{
    identity::{Triplet, Workload},
    samples::{
        OnCpu, ZoneKey, ZoneKind,
        disk::{DiskUse, Ownership},
        process::ProcessUse,
        tcp::{OpenNow, TcpUse},
        threads::ThreadUse,
        zone::UnknownReason,
    },
    units::{Grams, Microjoules, Nanos},
};

mod record;

pub use record::Record;

/// One workload's totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Who.
    pub workload: Arc<Workload>,
    /// The cgroup seen last, for workloads that have one.
    pub cgroup: Option<Cgroup>,
    /// On-CPU time.
    pub cpu: Nanos,
    /// Of it, while the other thread of the core was busy, too; 0 where that is not known.
    #[serde(default)]
    pub shared: Nanos,
    /// Active energy by kind of zone, all sockets together.
    pub energy: BTreeMap<ZoneKind, Microjoules>,
    /// Operational carbon.
    pub operational: Grams,
    /// Idle energy for what it reserved, by kind of zone; no kind before it had a part.
    #[serde(default)]
    pub idle: BTreeMap<ZoneKind, Microjoules>,
    /// What its threads did, as long as that was counted; `None`: it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<Box<ThreadUse>>,
    /// Its block I/O, as long as that was counted, by how it is known to be its own; empty: it did none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disk: BTreeMap<Ownership, DiskUse>,
    /// Its connections, as long as they were counted; `None`: it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Box<TcpUse>>,
    /// Its processes, as long as they were counted; `None`: none of them did anything that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Box<ProcessUse>>,
}

/// A cgroup, by id and by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Id in the unified hierarchy.
    pub id: u64,
    /// Path from its root.
    pub path: String,
}

/// One zone's totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneAccount {
    /// Which zone.
    pub key: ZoneKey,
    /// What the meter counted.
    pub measured: Microjoules,
    /// Of it, idle: what was handed out to workloads among it.
    pub idle: Microjoules,
    /// Of idle, handed out.
    #[serde(default)]
    pub idle_handed_out: Microjoules,
    /// Of it, billed to nobody.
    pub residual: Microjoules,
    /// Time that `measured` accounts for. 0: the zone told nothing so far, and its zeros are no figures.
    pub covered: Nanos,
    /// Time whose energy is unknown, by reason.
    pub unknown: BTreeMap<UnknownReason, Nanos>,
}

/// What one workload used in an interval, beside the energy that the attribution gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Who.
    pub workload: Arc<Workload>,
    /// Where it was seen.
    pub cgroup: Option<Cgroup>,
    /// On-CPU time.
    pub cpu: OnCpu,
    /// Operational carbon of its energy.
    pub operational: Grams,
    /// What its threads did; `None`: that is not counted.
    pub threads: Option<ThreadUse>,
    /// Its block I/O, by how it is known to be its own.
    pub disk: BTreeMap<Ownership, DiskUse>,
    /// What its connections did; `None`: nothing, or they are not counted.
    pub tcp: Option<TcpUse>,
    /// Those that are open at the end; `None`: it has none, or that is unknown.
    pub open: Option<OpenNow>,
    /// What its processes did; `None`: nothing, or they are not counted.
    pub processes: Option<ProcessUse>,
}

/// All totals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    accounts: BTreeMap<Triplet, Account>,
    zones: BTreeMap<ZoneKey, ZoneAccount>,
    /// Energy of retired accounts, by kind of zone.
    retired: BTreeMap<ZoneKind, Microjoules>,
    /// And their parts of idle.
    retired_idle: BTreeMap<ZoneKind, Microjoules>,
}

impl Ledger {
    /// Adds an interval. `entries` are in the order of the attribution's parts; `nobody` takes what is
    /// unattributed. An entry for which there is no part gets no figure of active energy: 0 would say that it used none.
    pub fn post(&mut self, attribution: &Attribution, entries: &[Entry], nobody: &Entry) {
        for entry in entries.iter().chain([nobody]) {
            self.account(entry);
        }
        for books in &attribution.zones {
            let parts = books.parts.iter().copied().zip(entries);
            for (energy, entry) in parts.chain([(books.unattributed, nobody)]) {
                if let Some(account) = self.accounts.get_mut(&entry.workload.id) {
                    let total = account.energy.entry(books.sample.key.kind).or_default();
                    *total += energy;
                }
            }
            self.post_idle(books, entries);
            let zone = self.zones.entry(books.sample.key).or_insert_with(|| ZoneAccount::new(books.sample.key));
            zone.measured += books.sample.energy;
            zone.idle += books.idle;
            zone.idle_handed_out += books.idle_handed_out();
            zone.residual += books.residual();
            zone.covered += books.sample.covered;
            for (reason, span) in books.sample.unknown {
                *zone.unknown.entry(reason).or_default() += span;
            }
        }
    }

    fn post_idle(&mut self, books: &ZoneBooks, entries: &[Entry]) {
        for (part, entry) in books.idle_parts.iter().zip(entries).filter(|(part, _)| part.0 > 0) {
            if let Some(account) = self.accounts.get_mut(&entry.workload.id) {
                *account.idle.entry(books.sample.key.kind).or_default() += *part;
            }
        }
    }

    fn account(&mut self, entry: &Entry) {
        let account = self.accounts.entry(entry.workload.id.clone()).or_insert_with(|| Account {
            workload: Arc::clone(&entry.workload),
            cgroup: None,
            cpu: Nanos(0),
            shared: Nanos(0),
            energy: BTreeMap::new(),
            operational: Grams(0.0),
            idle: BTreeMap::new(),
            threads: None,
            disk: BTreeMap::new(),
            tcp: None,
            processes: None,
        });
        if entry.cgroup.is_some() {
            account.cgroup.clone_from(&entry.cgroup);
        }
        account.cpu += entry.cpu.time;
        account.shared += entry.cpu.shared;
        account.operational = grown(account.operational, entry.operational);
        if let Some(threads) = &entry.threads {
            account.threads.get_or_insert_default().add(threads);
        }
        for (ownership, done) in &entry.disk {
            account.disk.entry(*ownership).or_default().add(done);
        }
        if let Some(tcp) = &entry.tcp {
            account.tcp.get_or_insert_default().add(tcp);
        }
        if let Some(processes) = &entry.processes {
            account.processes.get_or_insert_default().add(processes);
        }
    }

    /// Forgets a workload that every receiver knows to be gone. If it comes back, it counts from 0; that its
    /// energy was billed stays in the books.
    pub fn retire(&mut self, id: &Triplet) {
        let Some(account) = self.accounts.remove(id) else { return };
        for (kind, energy) in account.energy {
            *self.retired.entry(kind).or_default() += energy;
        }
        for (kind, energy) in account.idle {
            *self.retired_idle.entry(kind).or_default() += energy;
        }
    }

    /// What came since `before`, an earlier state of the same ledger from which nobody was retired meanwhile; workloads
    /// that used nothing are left out. It closes if both do.
    pub fn since(&self, before: &Self) -> Self {
        let accounts = self.accounts.iter().map(|(id, now)| (id.clone(), now.since(before.accounts.get(id))));
        let zones = self.zones.iter().map(|(key, now)| (*key, now.since(before.zones.get(key))));
        Self {
            accounts: accounts.filter(|(_, account)| account.is_used()).collect(),
            zones: zones.collect(),
            retired: BTreeMap::new(),
            retired_idle: BTreeMap::new(),
        }
    }

    /// Energy of retired workloads, by kind of zone.
    pub fn retired(&self) -> &BTreeMap<ZoneKind, Microjoules> {
        &self.retired
    }

    /// Their parts of idle, by kind of zone.
    pub fn retired_idle(&self) -> &BTreeMap<ZoneKind, Microjoules> {
        &self.retired_idle
    }

    /// Every workload's totals, by triplet.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// One workload's totals.
    pub fn account_of(&self, id: &Triplet) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// Every zone's totals, by key.
    pub fn zones(&self) -> impl Iterator<Item = &ZoneAccount> {
        self.zones.values()
    }

    /// Whether, per kind of zone, workloads (retired ones among them) + idle + residual = measured, and the workloads'
    /// parts of idle are what was handed out of it. It holds by construction; a report states it only after asking.
    pub fn closes(&self) -> bool {
        let active =
            |zone: &ZoneAccount| i128::from(zone.measured.0) - i128::from(zone.idle.0) - i128::from(zone.residual.0);
        let handed_out = |zone: &ZoneAccount| i128::from(zone.idle_handed_out.0);
        let accounts = || self.accounts.values();
        self.is_spent(active, accounts().flat_map(|account| &account.energy).chain(&self.retired))
            && self.is_spent(handed_out, accounts().flat_map(|account| &account.idle).chain(&self.retired_idle))
            && self.zones().all(|zone| zone.idle_handed_out <= zone.idle)
    }

    /// Whether what `part` says of the zones is what was billed, per kind of zone.
    fn is_spent<'a>(
        &self,
        part: impl Fn(&ZoneAccount) -> i128,
        billed: impl Iterator<Item = (&'a ZoneKind, &'a Microjoules)>,
    ) -> bool {
        let mut open: BTreeMap<ZoneKind, i128> = BTreeMap::new();
        for zone in self.zones.values() {
            *open.entry(zone.key.kind).or_default() += part(zone);
        }
        for (kind, energy) in billed {
            *open.entry(*kind).or_default() -= i128::from(energy.0);
        }
        open.values().all(|rest| *rest == 0)
    }
}

/// A total that falls, or that is no number and makes the whole record unreadable, is worse than a lost addend.
fn grown(total: Grams, by: Grams) -> Grams {
    Grams((total.0 + by.0.max(0.0)).min(f64::MAX))
}

impl Account {
    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self.clone() };
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            shared: self.shared.saturating_sub(before.shared),
            energy: grown_by(&self.energy, &before.energy, Microjoules::saturating_sub),
            operational: Grams((self.operational.0 - before.operational.0).max(0.0)),
            idle: grown_by(&self.idle, &before.idle, Microjoules::saturating_sub),
            threads: grown_since(self.threads.as_deref(), before.threads.as_deref(), ThreadUse::since),
            disk: self.disk.iter().map(|(of, now)| (*of, since(now, before.disk.get(of)))).collect(),
            tcp: grown_since(self.tcp.as_deref(), before.tcp.as_deref(), TcpUse::since),
            processes: grown_since(self.processes.as_deref(), before.processes.as_deref(), ProcessUse::since),
            ..self.clone()
        }
    }

    /// All its block I/O.
    pub fn disk_total(&self) -> DiskUse {
        let mut all = DiskUse::default();
        self.disk.values().for_each(|done| all.add(done));
        all
    }

    /// Whether it cost anything, or did what is counted: it may have slept alone.
    pub fn is_used(&self) -> bool {
        self.cpu.0 > 0
            || self.disk.values().any(DiskUse::is_any)
            || self.tcp.as_ref().is_some_and(|done| done.is_any())
            || self.processes.as_ref().is_some_and(|done| done.is_any())
            || self.energy.values().chain(self.idle.values()).any(|energy| energy.0 > 0)
    }
}

fn grown_since<T: Clone>(now: Option<&T>, before: Option<&T>, since: impl Fn(&T, &T) -> T) -> Option<Box<T>> {
    now.map(|now| Box::new(before.map_or_else(|| now.clone(), |before| since(now, before))))
}

fn since(now: &DiskUse, before: Option<&DiskUse>) -> DiskUse {
    before.map_or_else(|| now.clone(), |before| now.since(before))
}

fn grown_by<K: Copy + Ord, V: Copy + Default>(
    now: &BTreeMap<K, V>,
    before: &BTreeMap<K, V>,
    minus: impl Fn(V, V) -> V,
) -> BTreeMap<K, V> {
    now.iter().map(|(key, value)| (*key, minus(*value, before.get(key).copied().unwrap_or_default()))).collect()
}

impl ZoneAccount {
    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self.clone() };
        Self {
            key: self.key,
            measured: self.measured.saturating_sub(before.measured),
            idle: self.idle.saturating_sub(before.idle),
            idle_handed_out: self.idle_handed_out.saturating_sub(before.idle_handed_out),
            residual: self.residual.saturating_sub(before.residual),
            covered: self.covered.saturating_sub(before.covered),
            unknown: grown_by(&self.unknown, &before.unknown, Nanos::saturating_sub),
        }
    }

    const fn new(key: ZoneKey) -> Self {
        let none = Microjoules(0);
        Self {
            key,
            measured: none,
            idle: none,
            idle_handed_out: none,
            residual: none,
            covered: Nanos(0),
            unknown: BTreeMap::new(),
        }
    }

    /// Energy beyond idle.
    pub fn active(&self) -> Microjoules {
        self.measured.saturating_sub(self.idle)
    }
}

#[cfg(test)]
mod tests;
