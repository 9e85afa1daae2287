//! Block I/O of an interval: how far it is known whose it was, and devices by name. Files are read at the end of each
//! interval: a few for each device, and two for each cgroup that did block I/O.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use wattrace_common::owner::{Owner, OwnerKey};

use super::{
    Pipeline,
    sources::{Loss, Sources},
};
use crate::{
    clock,
    probes::{
        cgroupfs,
        disks::{self, Device},
        parse::cgroup::below,
        process,
    },
    samples::{
        DeviceNumber, Reading,
        disk::{
            DeviceUse, DiskSample, DiskTracker, DiskUse, GroupFacts, MachineDisks, OTHER_DEVICES, Ownership,
            load::DiskLoadTracker,
        },
    },
};

/// Cgroups that are looked at in an interval; of others it is not known for whom they stand.
const MOST_GROUPS: usize = 1_024;

/// What is kept between two intervals.
#[derive(Clone, Debug, Default)]
pub(super) struct Disks {
    pub(super) tracker: DiskTracker,
    loads: DiskLoadTracker,
    /// Names of devices when last looked at.
    names: BTreeMap<DeviceNumber, String>,
    /// Of cgroups that did block I/O in the last interval, when they were last there.
    facts: BTreeMap<u64, GroupFacts>,
    /// And in this one.
    asked: BTreeMap<u64, Option<GroupFacts>>,
    /// Whose cgroup is no workload's.
    pub(super) root_cgroup: u64,
    malformed: u64,
    unreadable: u64,
    beyond: u64,
}

impl Disks {
    /// Counts from here.
    pub(super) fn begin(sources: &Sources) -> Self {
        let mount = sources.cgroups.as_ref().ok();
        let root_cgroup = mount.and_then(|mount| process::root_cgroup(mount)).unwrap_or(process::ROOT_CGROUP);
        let mut disks = Self { root_cgroup, ..Self::default() };
        disks.devices(&sources.root, None);
        disks
    }

    pub(super) fn observe(&mut self, reading: &Reading) {
        self.tracker.observe(reading);
    }

    /// Ends the interval: what was done by owner, and the devices by name.
    pub(super) fn close(&mut self, root: &Path) -> (DiskSample, MachineDisks) {
        let sample = self.tracker.close();
        let machine = self.devices(root, sample.as_ref());
        self.facts = std::mem::take(&mut self.asked).into_iter().filter_map(|(id, facts)| Some((id, facts?))).collect();
        (sample.unwrap_or_default(), machine)
    }

    fn devices(&mut self, root: &Path, sample: Option<&DiskSample>) -> MachineDisks {
        let devices = disks::read(root, clock::monotonic);
        self.malformed += devices.malformed;
        self.unreadable += devices.unreadable;
        self.beyond = self.beyond.max(devices.beyond);
        let names = devices.found.iter().filter_map(|Device { name, number, .. }| Some(((*number)?, name.clone())));
        let names: BTreeMap<_, _> = names.collect();
        // One that is gone meanwhile still has the name that it had.
        let before = std::mem::replace(&mut self.names, names);
        let name = |number| self.names.get(&number).or_else(|| before.get(&number));
        let work = sample.map(|sample| by_name(sample, name));
        let looks = devices.found.into_iter().map(|device| (device.name, device.counts, device.at));
        MachineDisks { work, loads: self.loads.observe(looks) }
    }

    /// The cgroup that an owner is, or what it is instead.
    pub(super) fn named(&self, owner: OwnerKey) -> Result<u64, Ownership> {
        match owner.decode() {
            Owner::Nobody => Err(Ownership::None),
            Owner::V1 => Err(Ownership::V1),
            Owner::Cgroup(id) if id == self.root_cgroup => Err(Ownership::Root),
            Owner::Cgroup(id) => Ok(id),
        }
    }

    /// What belongs to no workload that can be named.
    pub(super) fn nobodys(&self, sample: &DiskSample) -> BTreeMap<Ownership, DiskUse> {
        let mut found: BTreeMap<Ownership, DiskUse> = BTreeMap::new();
        for (owner, done) in &sample.work {
            if let Err(ownership) = self.named(*owner) {
                found.entry(ownership).or_default().add(done);
            }
        }
        found
    }

    /// For whom the cgroup of this id and path stands. One that is gone stood for whom it last did.
    pub(super) fn ownership(&mut self, id: u64, directory: Option<PathBuf>) -> Ownership {
        if self.asked.len() >= MOST_GROUPS && !self.asked.contains_key(&id) {
            return Ownership::Unknown;
        }
        let read = || cgroupfs::io_facts(&directory?).ok();
        let before = self.facts.get(&id).copied();
        Ownership::of_group(*self.asked.entry(id).or_insert_with(|| read().or(before)))
    }

    /// What could not be told since the start. No energy or time is missing for it.
    pub(super) fn losses(&self) -> [Loss; 3] {
        let counts = [("malformed", self.malformed), ("unreadable", self.unreadable), ("beyond", self.beyond)];
        counts.map(|(why, count)| Loss { name: format!("disks.{why}"), count, loses: false })
    }
}

impl Pipeline {
    /// Why the block I/O of workloads is not told as theirs, where block I/O is counted.
    pub fn disk_shortcoming(&self) -> Option<String> {
        self.disks
            .tracker
            .is_counting()
            .then(|| shortcoming(self.sources.cgroups.as_deref().map_err(String::as_str)))?
    }
}

/// Why the block I/O of nobody, or hardly anybody, can be named; `None`: it can.
pub fn shortcoming(cgroups: Result<&Path, &str>) -> Option<String> {
    let mount = match cgroups {
        Ok(mount) => mount,
        Err(why) => return Some(format!("whose block I/O is cannot be told: {why}")),
    };
    if cgroupfs::has_io_controller(mount).is_ok_and(|has| !has) {
        let why = "whose block I/O is cannot be told: the unified hierarchy has no io controller, which a version 1 hierarchy (blkio) may have; start the kernel with cgroup_no_v1=blkio";
        return Some(why.to_owned());
    }
    let is_short = Ownership::of_group(cgroupfs::io_facts(mount).ok()) == Ownership::Ancestor;
    is_short.then(|| format!(
        "all block I/O is the root cgroup's, so that of workloads is in `unattributed`: the io controller is not enabled below it; set IOAccounting=yes for services of systemd (DefaultIOAccounting=yes for all), or write +io to {}",
            mount.join("cgroup.subtree_control").display()
        )
    )
}

/// Where the cgroup of this path is.
pub(super) fn directory(sources: &Sources, path: Option<&str>) -> Option<PathBuf> {
    Some(below(sources.cgroups.as_ref().ok()?, Path::new(path?)))
}

fn by_name<'a>(sample: &DiskSample, name: impl Fn(DeviceNumber) -> Option<&'a String>) -> BTreeMap<String, DeviceUse> {
    let mut found: BTreeMap<String, DeviceUse> = BTreeMap::new();
    for (number, done) in &sample.devices {
        let name = match number {
            None => OTHER_DEVICES.to_owned(),
            Some(number) => name(*number).cloned().unwrap_or_else(|| format!("{}:{}", number.major, number.minor)),
        };
        found.entry(name).or_default().add(done);
    }
    found
}

#[cfg(test)]
mod tests;
