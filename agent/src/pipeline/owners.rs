//! Whose the kernel's keys are: names, look-ups by id, and keys of workloads that are gone.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wattrace_common::{
    owner::OwnerKey,
    sched::{Work, WorkKey},
};

use super::{
    Pipeline,
    counted::Counted,
    disks,
    reserved::Reservation,
    sources::{Found, Loss},
};
use crate::{
    attribution::ledger::{Cgroup, Entry},
    clock,
    identity::{Triplet, Workload},
    probes::{
        bpf::{CgroupChange, ChangeKind},
        process,
    },
    samples::{
        OnCpu, Place,
        disk::{DiskSample, DiskUse, Ownership},
        threads::ThreadsSample,
        usage::UsageSample,
    },
    units::{Grams, MicroCpus, Nanos},
};

/// Intervals after which a workload without a cgroup that does not run counts as ended; where threads are counted, one
/// that has none. Should it run again, it goes on where it stopped.
const STILL_LIVE: u64 = 8;

/// Share of a CPU's table beyond which slots of dead workloads are given back.
const CROWDED: f64 = 0.5;

/// Growth of it from which new workloads are looked at: when the table is crowded, which of them are quiet must be known.
const GROWTH: f64 = 0.0625;

impl Pipeline {
    /// Takes births and deaths of cgroups.
    pub(super) fn learn(&mut self, changes: Vec<CgroupChange>) {
        for change in changes {
            match (change.kind, change.path) {
                (ChangeKind::Born, Some(path)) => self.registry.born(change.id, &path, change.at),
                (ChangeKind::Died, path) => {
                    if let Some(path) = path {
                        self.registry.born(change.id, &path, change.at);
                    }
                    self.registry.died(change.id, change.at);
                }
                // Repaired by its id when it is first used.
                (ChangeKind::Born, None) => {}
            }
        }
    }

    /// Gives the kernel's slots of workloads that are gone back, once its tables get crowded. A key must
    /// have been quiet for a whole tick: its last slice has been read.
    pub(super) fn relieve(&mut self) {
        self.relieve_rows();
        self.filled = self.fullness();
        // There are half as many rows of histograms as slots of a CPU's table.
        if self.sources.fullness().max(self.sources.histograms_fullness()) < CROWDED {
            self.crowded_since.clear();
            return;
        }
        let quiet = self.usage.quiet();
        let dead = quiet.intersection(&self.crowded_since).copied().filter(|key| self.is_dead(*key)).collect();
        let freed = self.sources.release(&dead);
        self.usage.forget(&freed);
        self.threads.forget(&freed);
        let quiet = quiet.difference(&freed).copied().collect();
        // Who died long ago has been forgotten. Only the next reading knows that nothing came after the look-up.
        self.repair(&quiet, clock::monotonic());
        self.crowded_since = quiet;
        self.filled = self.fullness();
    }

    fn relieve_rows(&mut self) {
        let (registry, [disk, tcp, processes]) = (&self.registry, self.sources.rows_fullness());
        let unknown = RefCell::new(BTreeSet::new());
        let is_dead = |id| {
            if registry.wants(id) {
                unknown.borrow_mut().insert(WorkKey::cgroup(id));
            }
            registry.is_dead(id)
        };
        if disk >= CROWDED {
            self.disks.tracker.forget(&self.sources.release_disk(is_dead));
        }
        if tcp >= CROWDED {
            self.tcp.forget(&self.sources.release_tcp(is_dead));
        }
        if processes >= CROWDED {
            self.processes.forget(&self.sources.release_processes(is_dead));
        }
        self.repair(&unknown.into_inner(), clock::monotonic());
    }

    /// Whether the kernel's tables fill up: then a tick reads everything, so that slots can be given back in time.
    pub(super) fn is_filling(&self) -> bool {
        is_filling(self.fullness(), self.filled)
    }

    /// Share of what is taken: of the fullest CPU's table, and of the rows of block I/O, connections and processes.
    fn fullness(&self) -> [f64; 4] {
        let [disk, tcp, processes] = self.sources.rows_fullness();
        [self.sources.fullness(), disk, tcp, processes]
    }

    fn is_dead(&self, key: WorkKey) -> bool {
        let root = &self.sources.root;
        match key.decode() {
            Work::Cgroup(id) => self.registry.is_dead(id),
            Work::Process { tgid, start } => {
                process::in_initial_pid_namespace(root) && process::is_gone(root, tgid, start)
            }
            Work::Idle | Work::Kernel | Work::Nobody | Work::Rest => false,
        }
    }

    /// What was lost since the start, by cause.
    pub fn losses(&self) -> Vec<Loss> {
        let counts = self.registry.counts();
        let identity = |name: &str, count, loses| Loss { name: format!("identity.{name}"), count, loses };
        let ours = [
            identity("unresolved", counts.unresolved, true),
            identity("refused", counts.refused, true),
            identity("forgotten", counts.forgotten, false),
        ];
        self.sources
            .losses()
            .into_iter()
            .chain(ours)
            .chain(self.reserved.losses())
            .chain(self.waits.losses())
            .chain(self.disks.losses())
            .collect()
    }

    /// Workloads whose totals can still grow: those with a cgroup that was not removed, and those that ran or had threads
    /// lately.
    pub fn live(&self) -> BTreeSet<Triplet> {
        let recent = self.seen.iter().filter(|(_, last)| self.intervals - **last < STILL_LIVE);
        self.registry.alive().map(|workload| workload.id.clone()).chain(recent.map(|(id, _)| id.clone())).collect()
    }

    pub(super) fn note_seen(&mut self, entries: &[Entry]) {
        self.intervals += 1;
        let now = self.intervals;
        self.seen.extend(entries.iter().map(|entry| (entry.workload.id.clone(), now)));
        self.seen.retain(|_, last| now - *last < STILL_LIVE);
    }

    /// Maps kernel keys to workloads; keys that map to the same one are added up. Who has reserved CPUs, threads that
    /// only waited, block I/O, connections or processes, is among them, whether it ran or not.
    pub(super) fn identify(
        &mut self,
        usage: &UsageSample,
        threads: Option<&ThreadsSample>,
        disk: &DiskSample,
        counted: &Counted,
    ) -> (Vec<Entry>, Vec<BTreeMap<Place, OnCpu>>, Vec<MicroCpus>) {
        // Who died so long ago that it was forgotten is dead as well: what seems to wait there is no work of nobody's.
        let waited = threads.into_iter().flat_map(|threads| threads.work.keys()).copied().collect();
        self.repair(&waited, usage.to.monotonic);
        let mut keys = present(usage, threads, |key| self.is_dead(key));
        // Requests of who is gone may end later.
        let named = disk.work.keys().filter_map(|owner| self.disks.named(*owner).ok());
        keys.extend(named.map(WorkKey::cgroup));
        // Those of connections and processes get no part by being looked up: who is not known is nobody.
        let more: BTreeSet<_> = counted.cgroups().map(WorkKey::cgroup).collect();
        self.repair(&more, usage.to.monotonic);
        self.repair(&keys, usage.to.monotonic);
        let mut found = self.owned(&keys, usage, threads, disk);
        self.add_counted(&mut found, counted);
        for Reservation { workload, cgroup, cpus } in self.reservations(usage) {
            let owned = found.entry(workload.id.clone()).or_insert_with(|| Owned::new(&workload));
            owned.entry.cgroup.get_or_insert(cgroup);
            owned.reserved += cpus;
        }
        let (entries, rest): (Vec<_>, Vec<_>) =
            found.into_values().map(|owned| (owned.entry, (owned.times, owned.reserved))).unzip();
        let (times, reserved) = rest.into_iter().unzip();
        (entries, times, reserved)
    }

    fn owned(
        &mut self,
        keys: &BTreeSet<WorkKey>,
        usage: &UsageSample,
        threads: Option<&ThreadsSample>,
        disk: &DiskSample,
    ) -> BTreeMap<Triplet, Owned> {
        let mut found: BTreeMap<Triplet, Owned> = BTreeMap::new();
        for key in keys {
            let comm = usage.comms.get(key).copied().unwrap_or_else(|| self.sources.comm(*key));
            let Some(resolved) = self.registry.resolve(*key, &comm) else { continue };
            let cgroup = match key.decode() {
                Work::Cgroup(id) => resolved.path.map(|path| Cgroup { id, path: path.to_string() }),
                _ => None,
            };
            let workload = resolved.workload;
            let done = self.done(*key, cgroup.as_ref(), disk);
            let owned = found.entry(workload.id.clone()).or_insert_with(|| Owned::new(&workload));
            owned.entry.cgroup = cgroup.or(owned.entry.cgroup.take());
            let mut running = OnCpu::default();
            for (place, time) in usage.work.get(key).into_iter().flatten() {
                running += *time;
                *owned.times.entry(*place).or_default() += *time;
            }
            owned.entry.cpu += running;
            if let Some(threads) = threads {
                let all = owned.entry.threads.get_or_insert_default();
                all.running += running.time;
                threads.work.get(key).into_iter().for_each(|threads| all.add(threads));
            }
            if let Some((ownership, done)) = done {
                owned.entry.disk.entry(ownership).or_default().add(done);
            }
        }
        found
    }

    /// The block I/O of a key, and how it is known to be its own.
    fn done<'a>(
        &mut self,
        key: WorkKey,
        cgroup: Option<&Cgroup>,
        disk: &'a DiskSample,
    ) -> Option<(Ownership, &'a DiskUse)> {
        let Work::Cgroup(id) = key.decode() else { return None };
        let done = disk.work.get(&OwnerKey::cgroup(id))?;
        let directory = disks::directory(&self.sources, cgroup.map(|cgroup| cgroup.path.as_str()));
        Some((self.disks.ownership(id, directory), done))
    }

    /// Looks up by id the cgroups that no event named.
    pub(super) fn repair(&mut self, keys: &BTreeSet<WorkKey>, now: Nanos) {
        for key in keys {
            let Work::Cgroup(id) = key.decode() else { continue };
            if !self.registry.wants(id) {
                continue;
            }
            match self.sources.find_cgroup(id) {
                Found::Path(path) => self.registry.learn(id, &path),
                Found::Gone => self.registry.died(id, now),
                // Asked again when it next shows up.
                Found::Unknown => {}
            }
        }
    }
}

/// Whether what is taken `now` calls for a reading, where it was `filled` after the last. Rows that stay taken do not: there may
/// be as many workloads, and those that are gone had two readings to be given back.
fn is_filling(now: [f64; 4], filled: [f64; 4]) -> bool {
    let [table, ..] = now;
    table >= CROWDED || now.iter().zip(filled).any(|(now, filled)| now - filled >= GROWTH)
}

/// Keys that ran, or have threads. Who is dead and did not run has none: what still seems to wait there is a thread of
/// which a switch was lost.
fn present(
    usage: &UsageSample,
    threads: Option<&ThreadsSample>,
    is_dead: impl Fn(WorkKey) -> bool,
) -> BTreeSet<WorkKey> {
    let waited = threads.into_iter().flat_map(|threads| threads.work.keys()).copied();
    let waited = waited.filter(|key| !usage.work.contains_key(key) && !is_dead(*key));
    usage.work.keys().copied().chain(waited).collect()
}

/// What one workload used and reserved.
pub(super) struct Owned {
    pub(super) entry: Entry,
    times: BTreeMap<Place, OnCpu>,
    reserved: MicroCpus,
}

impl Owned {
    pub(super) fn new(workload: &Arc<Workload>) -> Self {
        let workload = Arc::clone(workload);
        let entry = Entry {
            workload,
            cgroup: None,
            cpu: OnCpu::default(),
            operational: Grams(0.0),
            threads: None,
            disk: BTreeMap::new(),
            tcp: None,
            open: None,
            processes: None,
        };
        Self { entry, times: BTreeMap::new(), reserved: MicroCpus(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::threads::ThreadUse;

    #[test]
    fn each_kind_of_rows_that_fills_up_calls_for_a_reading() {
        let filled = [0.25; 4];
        assert!(!is_filling(filled, filled));
        for at in 0..4 {
            let mut now = filled;
            now[at] += GROWTH;
            assert!(is_filling(now, filled), "{at}");
        }
        assert!(is_filling([CROWDED, 0.0, 0.0, 0.0], [CROWDED, 0.0, 0.0, 0.0]));
        assert!(!is_filling([0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]), "there are as many");
    }

    #[test]
    fn who_only_slept_is_there_unless_it_is_dead() {
        let [ran, slept, died, ran_and_died] = [1, 2, 3, 4].map(WorkKey::cgroup);
        let usage = UsageSample {
            work: [ran, ran_and_died].map(|key| (key, BTreeMap::new())).into(),
            ..UsageSample::default()
        };
        let threads = ThreadsSample {
            work: [slept, died, ran_and_died].map(|key| (key, ThreadUse::default())).into(),
            ..ThreadsSample::default()
        };
        let is_dead = |key| key == died || key == ran_and_died;
        assert_eq!(present(&usage, Some(&threads), is_dead), [ran, slept, ran_and_died].into());
        assert_eq!(present(&usage, None, is_dead), [ran, ran_and_died].into());
    }
}
