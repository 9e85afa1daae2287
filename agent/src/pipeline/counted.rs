//! Whose connections and processes are: from the kernel's keys to workloads.

use std::collections::BTreeMap;

use wattrace_common::{
    owner::{Owner, OwnerKey},
    process::{Actor, ActorKey},
    sched::{Work, WorkKey},
};

use super::{Pipeline, owners::Owned};
use crate::{
    attribution::ledger::{Cgroup, Entry, Ledger},
    identity::Triplet,
    samples::{
        process::{ProcessSample, ProcessUse},
        tcp::{OpenNow, TcpSample, TcpUse},
    },
};

/// What was counted in an interval; where something is not counted, nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    tcp: TcpSample,
    processes: ProcessSample,
    root_cgroup: u64,
}

/// What one workload did.
#[derive(Clone, Debug, Default)]
struct Did {
    tcp: Option<TcpUse>,
    open: Option<OpenNow>,
    processes: Option<ProcessUse>,
}

impl Did {
    fn add_to(&self, entry: &mut Entry) {
        if let Some(tcp) = &self.tcp {
            entry.tcp.get_or_insert_default().add(tcp);
        }
        if let Some(open) = &self.open {
            entry.open.get_or_insert_default().add(open);
        }
        if let Some(processes) = &self.processes {
            entry.processes.get_or_insert_default().add(processes);
        }
    }
}

impl Counted {
    pub(super) fn new(tcp: Option<TcpSample>, processes: Option<ProcessSample>, root_cgroup: u64) -> Self {
        Self { tcp: tcp.unwrap_or_default(), processes: processes.unwrap_or_default(), root_cgroup }
    }

    /// The cgroups among them that can be a workload: that of the root is everybody's.
    pub(super) fn cgroups(&self) -> impl Iterator<Item = u64> {
        let owners = self.tcp.work.keys().chain(self.tcp.open.iter().flat_map(BTreeMap::keys));
        let owners = owners.filter_map(|owner| self.cgroup_of(*owner));
        let actors = self.processes.work.keys().filter_map(|actor| match actor.decode() {
            Actor::Cgroup(id) => Some(id),
            Actor::Nobody | Actor::Kernel | Actor::Named => None,
        });
        owners.chain(actors)
    }

    /// Connections that are open, by workload: none are of those whose connections all ended.
    pub(super) fn open(&self, entries: &[Entry], ledger: &Ledger) -> BTreeMap<Triplet, OpenNow> {
        let had = ledger.accounts().filter(|account| self.tcp.open.is_some() && account.tcp.is_some());
        let had = had.map(|account| (account.workload.id.clone(), OpenNow::default()));
        let have = entries.iter().filter_map(|entry| Some((entry.workload.id.clone(), entry.open?)));
        had.chain(have).collect()
    }

    fn cgroup_of(&self, owner: OwnerKey) -> Option<u64> {
        match owner.decode() {
            Owner::Cgroup(id) if id != self.root_cgroup => Some(id),
            Owner::Cgroup(_) | Owner::V1 | Owner::Nobody => None,
        }
    }

    /// What was done, by whose work it is: names come with the key of processes.
    fn by_key(&self) -> BTreeMap<(WorkKey, [u8; 16]), Did> {
        let mut found: BTreeMap<_, Did> = BTreeMap::new();
        let key_of = |owner| (self.cgroup_of(owner).map_or(WorkKey::NOBODY, WorkKey::cgroup), [0; 16]);
        for (owner, done) in &self.tcp.work {
            found.entry(key_of(*owner)).or_default().tcp.get_or_insert_default().add(done);
        }
        for (owner, open) in self.tcp.open.iter().flatten().filter(|(_, open)| **open != OpenNow::default()) {
            found.entry(key_of(*owner)).or_default().open.get_or_insert_default().add(open);
        }
        for (actor, done) in &self.processes.work {
            let comm = self.processes.comms.get(actor).copied().unwrap_or_default();
            found.entry(work_of(*actor, comm)).or_default().processes.get_or_insert_default().add(done);
        }
        found
    }
}

/// Which process of a name it was is not counted: any stands for all.
fn work_of(actor: ActorKey, comm: [u8; 16]) -> (WorkKey, [u8; 16]) {
    match actor.decode() {
        Actor::Nobody => (WorkKey::NOBODY, [0; 16]),
        Actor::Kernel => (WorkKey::KERNEL, [0; 16]),
        Actor::Cgroup(id) => (WorkKey::cgroup(id), [0; 16]),
        Actor::Named => (WorkKey::process(1, 0), comm),
    }
}

impl Pipeline {
    /// Ends the interval for connections and processes.
    pub(super) fn close_counted(&mut self) -> Counted {
        Counted::new(self.tcp.close(), self.processes.close(), self.disks.root_cgroup)
    }

    /// Adds what was done to those who did it.
    pub(super) fn add_counted(&mut self, found: &mut BTreeMap<Triplet, Owned>, counted: &Counted) {
        for ((key, comm), did) in counted.by_key() {
            let Some(resolved) = self.registry.resolve(key, &comm) else { continue };
            let workload = resolved.workload;
            let owned = found.entry(workload.id.clone()).or_insert_with(|| Owned::new(&workload));
            if let (Work::Cgroup(id), Some(path)) = (key.decode(), resolved.path) {
                owned.entry.cgroup.get_or_insert_with(|| Cgroup { id, path: path.to_string() });
            }
            did.add_to(&mut owned.entry);
        }
    }
}

#[cfg(test)]
mod tests;
