//! Who used the CPUs where kernel programs cannot be loaded: from `cpu.stat` of every cgroup, and `/proc/PID/stat` of
//! the processes that are in no cgroup but the root. Read once an interval; a tick does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use wattrace_common::sched::{Work, WorkKey};

use super::sources::Loss;
use crate::{
    clock,
    probes::{
        bpf::{CgroupChange, ChangeKind},
        cgroupfs::{
            self,
            usage::{self, Usages},
        },
        process, procfs,
    },
    samples::files::{FilesReading, GroupReading, ProcessReading},
    units::Nanos,
};

/// Which processes are read one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processes {
    /// Those of the root cgroup; all others are in the totals of their cgroups.
    OfRoot,
    /// All: there are no cgroups.
    All,
    /// None: which are in the root cgroup cannot be told from here.
    Hidden,
}

/// What is read, and what is kept to tell births and deaths of cgroups.
#[derive(Debug)]
pub struct Files {
    /// Why there are no kernel programs.
    pub reason: String,
    /// Which processes are read one by one.
    pub processes: Processes,
    mount: Option<PathBuf>,
    hz: u64,
    /// Cgroups of the last walk and who is above each, in its order.
    known: Vec<(u64, u64)>,
    changes: Vec<CgroupChange>,
    /// Totals and directories of cgroups that could not be read.
    unreadable_cgroups: u64,
    /// The same of processes.
    unreadable_processes: u64,
    own: Option<WorkKey>,
}

impl Files {
    /// Reads nothing yet.
    pub fn open(root: &Path, mount: Option<&Path>, hz: u64, reason: String) -> Self {
        let processes = match mount {
            None => Processes::All,
            // A pid of `cgroup.procs` is one of our own namespace, one of the host's `/proc` is the host's.
            Some(mount) if usage::is_root(mount) && process::in_initial_pid_namespace(root) => Processes::OfRoot,
            Some(_) => Processes::Hidden,
        };
        Self {
            reason,
            processes,
            mount: mount.map(Path::to_owned),
            hz,
            known: Vec::new(),
            changes: Vec::new(),
            unreadable_cgroups: 0,
            unreadable_processes: 0,
            own: None,
        }
    }

    /// The name metrics and messages use.
    pub const fn mode(&self) -> &'static str {
        if self.mount.is_some() { "cgroupfs" } else { "procfs" }
    }

    /// All totals as they stand now.
    pub fn read(&mut self, root: &Path) -> FilesReading {
        let from = clock::now();
        let groups = self.mount.clone().map(|mount| self.read_groups(&mount, from.monotonic)).unwrap_or_default();
        let processes = self.read_processes(root);
        self.own = self.find_own(root, &processes);
        FilesReading { from: from.boottime, groups, processes }
    }

    /// Cgroups that were found to be new or gone since this was last asked.
    pub fn take_changes(&mut self) -> Vec<CgroupChange> {
        std::mem::take(&mut self.changes)
    }

    /// What could not be read, since the start.
    pub fn losses(&self) -> Vec<Loss> {
        let unreadable = |name: &str, count| Loss { name: format!("{name}.unreadable"), count, loses: true };
        vec![unreadable("cgroupfs", self.unreadable_cgroups), unreadable("procfs", self.unreadable_processes)]
    }

    /// The key under which this process was counted at the last reading.
    pub const fn own_key(&self) -> Option<WorkKey> {
        self.own
    }

    fn read_groups(&mut self, mount: &Path, now: Nanos) -> Vec<GroupReading> {
        let usages = usage::read(mount);
        self.unreadable_cgroups += usages.errors;
        let mut groups = self.with_hidden(&usages);
        let there: BTreeSet<u64> = groups.iter().map(|group| group.id).collect();
        let before: BTreeSet<u64> = self.known.iter().map(|(id, _)| *id).collect();
        let change = |kind, id, path| CgroupChange { kind, id, path, at: now };
        let born = usages.groups.iter().filter(|(group, _)| !before.contains(&group.id));
        let born = born.map(|(group, directory)| {
            change(ChangeKind::Born, group.id, Some(cgroupfs::cgroup_path(mount, directory)))
        });
        self.changes.extend(born);
        let gone = self.known.iter().filter(|(id, _)| !there.contains(id));
        self.changes.extend(gone.clone().map(|(id, _)| change(ChangeKind::Died, *id, None)));
        let bereft: BTreeSet<u64> = gone.map(|(_, parent)| *parent).collect();
        let places: BTreeMap<u64, &PathBuf> = usages.groups.iter().map(|(group, place)| (group.id, place)).collect();
        for group in groups.iter_mut().filter(|group| bereft.contains(&group.id)) {
            // Unreadable counts as inhabited: then those that are gone are billed no more than was seen of them.
            let tasks = places.get(&group.id).map(|place| usage::processes(place));
            group.has_tasks = tasks.is_none_or(|tasks| tasks.map_or(true, |tasks| !tasks.is_empty()));
        }
        self.known = groups.iter().map(|group| (group.id, group.parent)).collect();
        groups
    }

    /// With those that are behind a directory that could not be listed this time: they are not gone for that.
    fn with_hidden(&self, usages: &Usages) -> Vec<GroupReading> {
        let mut groups: Vec<GroupReading> = usages.groups.iter().map(|(group, _)| *group).collect();
        let there: BTreeSet<u64> = groups.iter().map(|group| group.id).collect();
        let is_blind = groups.is_empty();
        let mut blind: BTreeSet<u64> = groups.iter().filter(|group| !group.is_listed).map(|group| group.id).collect();
        for (id, parent) in &self.known {
            if !there.contains(id) && (is_blind || blind.contains(parent)) {
                blind.insert(*id);
                groups.push(GroupReading { id: *id, parent: *parent, ..GroupReading::default() });
            }
        }
        groups
    }

    fn read_processes(&mut self, root: &Path) -> Vec<ProcessReading> {
        let pids = match (self.processes, &self.mount) {
            (Processes::OfRoot, Some(mount)) => usage::processes(mount),
            (Processes::All, _) => procfs::pids(root),
            (Processes::OfRoot | Processes::Hidden, _) => return Vec::new(),
        };
        let Ok(pids) = pids else {
            self.unreadable_processes += 1;
            return Vec::new();
        };
        let mut found = Vec::with_capacity(pids.len());
        for pid in pids {
            match procfs::process(root, pid, self.hz) {
                Ok(process) => found.extend(process),
                Err(_) => self.unreadable_processes += 1,
            }
        }
        found
    }

    fn find_own(&self, root: &Path, processes: &[ProcessReading]) -> Option<WorkKey> {
        let mount = self.mount.as_deref();
        let me = process::expected(root, mount, mount.and_then(process::root_cgroup).unwrap_or(process::ROOT_CGROUP));
        let is_me = |key: &WorkKey| matches!(key.decode(), Work::Process { tgid, .. } if Some(tgid) == me.tgid);
        let process = processes.iter().map(|process| process.process).find(is_me);
        me.cgroup.map(WorkKey::cgroup).or(process)
    }
}

#[cfg(test)]
mod tests;
