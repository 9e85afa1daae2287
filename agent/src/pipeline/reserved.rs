//! Who reserved how many CPUs: the quotas of the living cgroups, as they stand at the end of an interval. They are read
//! only where idle energy is billed by them. What a quota reserves, `attribution::reserved` decides.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use super::{
    Pipeline,
    sources::{Found, Loss, Sched, Sources},
};
use crate::{
    attribution::{
        ledger::Cgroup,
        reserved::{IdlePolicy, Quota, reservations},
    },
    identity::{Kind, Living, PATH_MAX, Registry, Workload, bounded},
    probes::{FileError, cgroupfs, parse::cgroup::below},
    samples::usage::UsageSample,
    units::{MicroCpus, Nanos},
};

/// What is kept between two intervals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reserved {
    pub(super) policy: IdlePolicy,
    /// Quotas that are no quota.
    malformed: u64,
    /// Cgroups whose quota could not be read.
    unreadable: u64,
}

/// What one cgroup reserves for itself.
#[derive(Clone, Debug)]
pub(super) struct Reservation {
    pub(super) workload: Arc<Workload>,
    pub(super) cgroup: Cgroup,
    pub(super) cpus: MicroCpus,
}

impl Reserved {
    /// Nothing was read yet. With it, what to say where nothing can be reserved here.
    pub(super) fn new(policy: IdlePolicy, sources: &Sources) -> (Self, Option<String>) {
        let why = match &sources.cgroups {
            Err(why) => Some(why.clone()),
            Ok(mount) => match cgroupfs::has_cpu_controller(mount) {
                Ok(true) => None,
                Ok(false) => Some(format!(
                    "the hierarchy at {} has no cpu controller: mount the controllers of version 2, or set it to \"separate\"",
                    mount.display()
                )),
                Err(error) => Some(error.to_string()),
            },
        };
        let remark = why.filter(|_| policy == IdlePolicy::ByRequest);
        let remark = remark.map(|why| format!("energy.idle_policy: all idle energy stays with the node: {why}"));
        (Self { policy, malformed: 0, unreadable: 0 }, remark)
    }

    /// What was lost since the start.
    pub(super) fn losses(&self) -> Vec<Loss> {
        if self.policy == IdlePolicy::Separate {
            return Vec::new();
        }
        let counts = [("malformed", self.malformed), ("unreadable", self.unreadable)];
        counts.map(|(why, count)| Loss { name: format!("reservations.{why}"), count, loses: true }).into()
    }

    /// The quotas of all living cgroups that have one, with whose they are, by path.
    fn quotas(&mut self, mount: &Path, sources: &Sources, registry: &Registry) -> Vec<(Quota, u64, Arc<Workload>)> {
        let mut quotas = Vec::new();
        for living in registry.living() {
            match quota(mount, sources, living) {
                Ok(Some(quota)) => quotas.push((quota, living.id, Arc::clone(living.workload))),
                Ok(None) => {}
                Err(FileError::Malformed { .. }) => self.malformed += 1,
                Err(FileError::Read { .. }) => self.unreadable += 1,
            }
        }
        quotas.sort_by(|(one, id, _), (other, id2, _)| (&one.path, id).cmp(&(&other.path, id2)));
        quotas
    }
}

/// The quota of one cgroup; none for one that was removed meanwhile. Where that cannot be told, it is an error.
fn quota(mount: &Path, sources: &Sources, living: Living<'_>) -> Result<Option<Quota>, FileError> {
    let read = |path: &str| {
        let cpus = cgroupfs::read_cpu_max(&below(mount, Path::new(path)))?;
        Ok(cpus.map(|cpus| Quota { path: path.to_owned(), cpus }))
    };
    match read(living.path) {
        // Its name may have been too long, or not fit to be shown: then the path that is known is not that on disk.
        Err(error) if cgroupfs::is_removed(&error) => match sources.find_cgroup(living.id) {
            Found::Path(path) if path != **living.path => read(&path),
            Found::Path(_) | Found::Gone => Ok(None),
            Found::Unknown => Err(error),
        },
        other => other,
    }
}

impl Pipeline {
    /// What is reserved now, cgroup by cgroup. Quotas around workloads, such as that of a slice, bound those within
    /// them; what is left of them is nobody's.
    pub(super) fn reservations(&mut self, usage: &UsageSample) -> Vec<Reservation> {
        let Some(mount) = self.sources.cgroups.clone().ok().filter(|_| self.reserved.policy == IdlePolicy::ByRequest)
        else {
            return Vec::new();
        };
        if !hears_of_cgroups(&self.sources) {
            self.reserved.unreadable += walk(&mount, &mut self.registry, usage.to.monotonic);
        }
        let found = self.reserved.quotas(&mount, &self.sources, &self.registry);
        let quotas: Vec<Quota> = found.iter().map(|(quota, _, _)| quota.clone()).collect();
        let own = reservations(&quotas, MicroCpus::whole(usage.cpus));
        let made = found.into_iter().zip(own).map(|((quota, id, workload), cpus)| Reservation {
            workload,
            cgroup: Cgroup { id, path: bounded(&quota.path, PATH_MAX) },
            cpus,
        });
        made.filter(|made| made.cpus.0 > 0 && made.workload.kind != Kind::Unattributed).collect()
    }
}

/// Whether births and deaths of cgroups are told.
fn hears_of_cgroups(sources: &Sources) -> bool {
    match &sources.sched {
        Sched::Btf(programs) => programs.cgroups.is_ok(),
        Sched::Files(_) => true,
    }
}

/// Looks for births and deaths that nobody tells; returns how many directories could not be read.
fn walk(mount: &Path, registry: &mut Registry, now: Nanos) -> u64 {
    let walk = cgroupfs::walk(mount);
    walk.found.iter().for_each(|(id, path)| registry.learn(*id, path));
    let there: BTreeSet<u64> = walk.found.iter().map(|(id, _)| *id).collect();
    let gone: Vec<u64> = registry.living().map(|living| living.id).filter(|id| !there.contains(id)).collect();
    // What lies below a directory that could not be read may live.
    gone.into_iter().filter(|_| walk.errors == 0).for_each(|id| registry.died(id, now));
    walk.errors
}
