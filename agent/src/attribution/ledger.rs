//! Cumulative totals per workload and zone: they only grow.
//!
//! A workload's triplet is the key, so all cgroups, ids and restarts that map to it share one account.
//! The ledger is a value: [`Record`] is what is kept of it across a restart of the agent.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::books::Attribution;
use crate::{
    identity::{Triplet, Workload},
    samples::{ZoneKey, ZoneKind, zone::UnknownReason},
    units::{Grams, Microjoules, Nanos},
};

/// One workload's totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Who.
    pub workload: Arc<Workload>,
    /// The cgroup seen last, for workloads that have one.
    pub cgroup: Option<Cgroup>,
    /// On-CPU time.
    pub cpu: Nanos,
    /// Active energy by kind of zone, all sockets together.
    pub energy: BTreeMap<ZoneKind, Microjoules>,
    /// Operational carbon.
    pub operational: Grams,
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
    /// Of it, idle.
    pub idle: Microjoules,
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
    pub cpu: Nanos,
    /// Operational carbon of its energy.
    pub operational: Grams,
}

/// All totals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    accounts: BTreeMap<Triplet, Account>,
    zones: BTreeMap<ZoneKey, ZoneAccount>,
    /// Energy of retired accounts, by kind of zone.
    retired: BTreeMap<ZoneKind, Microjoules>,
}

/// What is kept of a ledger across a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Every workload's totals.
    pub accounts: Vec<Account>,
    /// Every zone's totals.
    pub zones: Vec<ZoneAccount>,
    /// Energy of retired accounts, by kind of zone.
    #[serde(default)]
    pub retired: BTreeMap<ZoneKind, Microjoules>,
}

impl Ledger {
    /// Adds an interval. `entries` are in the order of the attribution's parts; `nobody` takes what is
    /// unattributed.
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
            let zone = self.zones.entry(books.sample.key).or_insert_with(|| ZoneAccount::new(books.sample.key));
            zone.measured += books.sample.energy;
            zone.idle += books.idle;
            zone.residual += books.residual();
            zone.covered += books.sample.covered;
            for (reason, span) in books.sample.unknown {
                *zone.unknown.entry(reason).or_default() += span;
            }
        }
    }

    fn account(&mut self, entry: &Entry) {
        let account = self.accounts.entry(entry.workload.id.clone()).or_insert_with(|| Account {
            workload: Arc::clone(&entry.workload),
            cgroup: None,
            cpu: Nanos(0),
            energy: BTreeMap::new(),
            operational: Grams(0.0),
        });
        if entry.cgroup.is_some() {
            account.cgroup.clone_from(&entry.cgroup);
        }
        account.cpu += entry.cpu;
        account.operational = grown(account.operational, entry.operational);
    }

    /// Forgets a workload that every receiver knows to be gone. If it comes back, it counts from 0; that its
    /// energy was billed stays in the books.
    pub fn retire(&mut self, id: &Triplet) {
        let Some(account) = self.accounts.remove(id) else { return };
        for (kind, energy) in account.energy {
            *self.retired.entry(kind).or_default() += energy;
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
        }
    }

    /// Energy of retired workloads, by kind of zone.
    pub fn retired(&self) -> &BTreeMap<ZoneKind, Microjoules> {
        &self.retired
    }

    /// Every workload's totals, by triplet.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// Every zone's totals, by key.
    pub fn zones(&self) -> impl Iterator<Item = &ZoneAccount> {
        self.zones.values()
    }

    /// Whether, per kind of zone, workloads (retired ones among them) + idle + residual = measured. It holds by
    /// construction; a report states it only after asking.
    pub fn closes(&self) -> bool {
        let mut open: BTreeMap<ZoneKind, i128> = BTreeMap::new();
        for zone in self.zones.values() {
            let spoken_for = i128::from(zone.idle.0) + i128::from(zone.residual.0);
            *open.entry(zone.key.kind).or_default() += i128::from(zone.measured.0) - spoken_for;
        }
        for (kind, energy) in self.accounts.values().flat_map(|account| &account.energy).chain(&self.retired) {
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
            energy: grown_by(&self.energy, &before.energy, Microjoules::saturating_sub),
            operational: Grams((self.operational.0 - before.operational.0).max(0.0)),
            ..self.clone()
        }
    }

    fn is_used(&self) -> bool {
        self.cpu.0 > 0 || self.energy.values().any(|energy| energy.0 > 0)
    }
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
            residual: self.residual.saturating_sub(before.residual),
            covered: self.covered.saturating_sub(before.covered),
            unknown: grown_by(&self.unknown, &before.unknown, Nanos::saturating_sub),
        }
    }

    const fn new(key: ZoneKey) -> Self {
        let none = Microjoules(0);
        Self { key, measured: none, idle: none, residual: none, covered: Nanos(0), unknown: BTreeMap::new() }
    }

    /// Energy beyond idle.
    pub fn active(&self) -> Microjoules {
        self.measured.saturating_sub(self.idle)
    }
}

impl From<&Ledger> for Record {
    fn from(ledger: &Ledger) -> Self {
        let (accounts, zones) = (ledger.accounts().cloned().collect(), ledger.zones().cloned().collect());
        Self { accounts, zones, retired: ledger.retired.clone() }
    }
}

impl From<Record> for Ledger {
    fn from(record: Record) -> Self {
        let accounts = record.accounts.into_iter().map(|account| (account.workload.id.clone(), account));
        let zones = record.zones.into_iter().map(|zone| (zone.key, zone));
        Self { accounts: accounts.collect(), zones: zones.collect(), retired: record.retired }
    }
}

#[cfg(test)]
mod tests;
