//! Reads what was counted of processes, and gives rows of owners that are gone or quiet back.

use std::collections::BTreeSet;

use wattrace_common::process::ActorKey;

use crate::samples::ActorReading;

/// The maps of processes.
pub struct ProcessMaps {}

impl ProcessMaps {
    /// What the processes of every owner did.
    pub fn read(&mut self) -> Vec<ActorReading> {
        Vec::new()
    }

    /// Share of the rows of owners that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        0.0
    }

    /// Gives the rows of owners back that did nothing between the last two readings, or since, and that are dead cgroups, or
    /// names. Should one of them do something after all, it begins anew: whoever keeps its last values must forget them.
    pub fn release(&mut self, _is_dead: impl Fn(u64) -> bool) -> BTreeSet<ActorKey> {
        BTreeSet::new()
    }
}
