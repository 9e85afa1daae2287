//! The entries of one CPU while it is read.

use std::collections::BTreeMap;

use wattrace_common::sched::WorkKey;

use crate::{samples::TimeReading, units::Nanos};

/// Time by key on one CPU. A key stands in the table or in the overflow map, never in both.
pub(super) struct Entries {
    cpu: u32,
    by_key: BTreeMap<WorkKey, TimeReading>,
}

impl Entries {
    pub(super) const fn new(cpu: u32) -> Self {
        Self { cpu, by_key: BTreeMap::new() }
    }

    /// Time, and what of it was shared with the sibling.
    pub(super) fn push(&mut self, key: WorkKey, (time, shared): (u64, u64), comm: [u8; 16]) {
        self.set(TimeReading { cpu: self.cpu, key, time: Nanos(time), shared: Nanos(shared), comm });
    }

    /// Replaces what was read of this key before.
    pub(super) fn set(&mut self, entry: TimeReading) {
        self.by_key.insert(entry.key, entry);
    }

    /// Adds an open slice.
    pub(super) fn add(&mut self, key: WorkKey, (open, shared): (u64, u64)) {
        let none = TimeReading { cpu: self.cpu, key, time: Nanos(0), shared: Nanos(0), comm: [0; 16] };
        let entry = self.by_key.entry(key).or_insert(none);
        entry.time += Nanos(open);
        entry.shared += Nanos(shared);
    }

    pub(super) fn into_list(self) -> Vec<TimeReading> {
        self.by_key.into_values().collect()
    }
}
