//! Processes: from totals since attach to what was done in an interval, by owner.
//!
//! Totals never fall; where one seems to, nothing is booked until it is reached again. It stops at owners' keys: whose a
//! cgroup or a name is, identity knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wattrace_common::process::{ActorKey, ExitReason};

use super::{ActorReading, ProcessTotals, Reading, figures::Figures};

/// What was done: in an interval, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessUse {
    /// How many processes, and how much.
    pub totals: ProcessTotals,
}

/// What was done in one interval. Who did nothing is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSample {
    /// By owner.
    pub work: BTreeMap<ActorKey, ProcessUse>,
    /// Names, of the keys of names.
    pub comms: BTreeMap<ActorKey, [u8; 16]>,
}

impl Figures for ProcessTotals {
    fn figures(&self) -> impl Iterator<Item = &u64> {
        let Self { forks, execs, exits, short_lived, exited_cpu } = self;
        [forks, execs].into_iter().chain(exits).chain([short_lived, &exited_cpu.0])
    }

    fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { forks, execs, exits, short_lived, exited_cpu } = self;
        [forks, execs].into_iter().chain(exits).chain([short_lived, &mut exited_cpu.0])
    }
}

impl ProcessTotals {
    /// Processes that ended this way.
    pub fn exits_of(&self, reason: ExitReason) -> u64 {
        self.exits.get(reason as usize).copied().unwrap_or(0)
    }
}

impl ProcessUse {
    /// Adds what others did, or the same ones later.
    pub fn add(&mut self, other: &Self) {
        self.totals.add_all(&other.totals);
    }

    /// What came since `before`, an earlier sum of the same.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        before.clone().grow(self)
    }

    /// Whether anything was done.
    pub fn is_any(&self) -> bool {
        self.totals.has_any()
    }

    fn grow(&mut self, totals: &Self) -> Self {
        Self { totals: self.totals.grow(&totals.totals) }
    }
}

impl From<&ActorReading> for ProcessUse {
    fn from(reading: &ActorReading) -> Self {
        Self { totals: reading.totals.clone() }
    }
}

/// What is kept between readings.
#[derive(Clone, Debug, Default)]
pub struct ProcessTracker {
    /// Highest totals seen, by owner.
    work: BTreeMap<ActorKey, ProcessUse>,
    /// `None`: processes are not counted, or have not been read yet.
    sample: Option<ProcessSample>,
}

impl ProcessTracker {
    /// Takes a reading. The first one that counts processes only marks where counting starts; what first shows up later
    /// began after it, so that it counts in full.
    pub fn observe(&mut self, reading: &Reading) {
        let Some(processes) = &reading.processes else {
            *self = Self::default();
            return;
        };
        let is_first = self.sample.is_none();
        let sample = self.sample.get_or_insert_default();
        for one in processes {
            let totals = ProcessUse::from(one);
            let start = || if is_first { totals.clone() } else { ProcessUse::default() };
            let delta = self.work.entry(one.key).or_insert_with(start).grow(&totals);
            if delta.is_any() {
                sample.work.entry(one.key).or_default().add(&delta);
                sample.comms.insert(one.key, one.comm);
            }
        }
    }

    /// Forgets owners whose counters the reader has given back to the kernel: should one return, it starts from 0.
    pub fn forget(&mut self, owners: &BTreeSet<ActorKey>) {
        self.work.retain(|owner, _| !owners.contains(owner));
    }

    /// Ends the interval; `None`: processes are not counted.
    pub fn close(&mut self) -> Option<ProcessSample> {
        self.sample.as_mut().map(std::mem::take)
    }
}

#[cfg(test)]
pub(crate) mod tests;
