//! How much tasks waited in an interval: of the machine, and of who ran. Read at the end of each interval, one file for
//! each workload that ran: of others nothing is asked, which costs nothing.

use std::{collections::BTreeMap, path::Path};

use super::sources::{Loss, Sources};
use crate::{
    attribution::ledger::Entry,
    clock,
    identity::{Registry, Triplet},
    probes::{FileError, pressure},
    samples::pressure::{Pressure, PressureTracker, Resource, Stalled},
    units::Nanos,
};

/// Shares of one interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pressures {
    /// Of the machine.
    pub node: Vec<(Resource, Pressure)>,
    /// Of workloads that ran: of the CPU.
    pub workloads: BTreeMap<Triplet, Pressure>,
}

/// What is kept between two intervals.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    node: PressureTracker<Resource>,
    /// By id of the cgroup.
    cgroups: PressureTracker<u64>,
    /// Files that held something else.
    malformed: u64,
    /// Files that are there and could not be read.
    unreadable: u64,
}

impl Waits {
    /// Reads what can be read, for an interval of this length.
    pub(super) fn read(
        &mut self,
        sources: &Sources,
        entries: &[Entry],
        interval: Nanos,
        registry: &Registry,
    ) -> Pressures {
        let node = self.read_node(&sources.root, interval);
        self.cgroups.forget(|id| registry.is_dead(id));
        let Ok(mount) = &sources.cgroups else { return Pressures { node, ..Pressures::default() } };
        let workloads = entries.iter().filter_map(|entry| {
            // Reserved CPUs, too, make an entry.
            let cgroup = entry.cgroup.as_ref().filter(|_| entry.cpu.time.0 > 0)?;
            let stalled = self.known(pressure::cgroup_cpu(mount, &cgroup.path))?;
            let found = self.cgroups.observe(cgroup.id, stalled, clock::monotonic(), interval)?;
            Some((entry.workload.id.clone(), found))
        });
        let workloads = workloads.collect();
        Pressures { node, workloads }
    }

    /// The machine's alone.
    pub(super) fn read_node(&mut self, root: &Path, interval: Nanos) -> Vec<(Resource, Pressure)> {
        let read = |resource| {
            let stalled = self.known(pressure::node(root, resource))?;
            Some((resource, self.node.observe(resource, stalled, clock::monotonic(), interval)?))
        };
        Resource::ALL.into_iter().filter_map(read).collect()
    }

    fn known(&mut self, read: Result<Option<Stalled>, FileError>) -> Option<Stalled> {
        read.unwrap_or_else(|error| {
            match error {
                FileError::Malformed { .. } => self.malformed += 1,
                FileError::Read { .. } => self.unreadable += 1,
            }
            None
        })
    }

    /// What could not be told since the start. No energy or time is missing for it.
    pub(super) fn losses(&self) -> [Loss; 2] {
        let counts = [("malformed", self.malformed), ("unreadable", self.unreadable)];
        counts.map(|(why, count)| Loss { name: format!("pressure.{why}"), count, loses: false })
    }
}
