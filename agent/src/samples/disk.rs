//! Block I/O: from totals since attach to what was done in an interval, by owner and by device.
//!
//! Totals never fall; where one seems to, nothing is booked until it is reached again. It stops at owners' keys and device
//! numbers: whose a cgroup is, identity knows, and names of devices come with [`load`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wattrace_common::{
    block::{DIRECTIONS, Direction, Failure, OTHER},
    owner::OwnerKey,
};

use super::{
    DeviceNumber, DiskDeviceReading, DiskTotals, DiskWorkReading, Durations, Reading, figures::Figures, usage::grown,
};

pub mod load;
mod ownership;

pub use ownership::{GroupFacts, Ownership};

/// Name of requests that have no direction.
pub const NO_DIRECTION: &str = "other";

/// Name of devices that there was no room for, together.
pub const OTHER_DEVICES: &str = "other";

/// What was done: in an interval, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// How many requests and how much.
    pub totals: DiskTotals,
    /// How long they took, by [`DIRECTIONS`]; `None`: there was no room for that.
    pub durations: Option<[Durations; DIRECTIONS.len()]>,
}

/// What one device did: in an interval, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceUse {
    /// Times that the kernel asked for a request again.
    pub requeues: u64,
    /// How long requests took, by [`DIRECTIONS`].
    pub durations: [Durations; DIRECTIONS.len()],
}

/// What was done in one interval. Who did nothing is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskSample {
    /// By owner.
    pub work: BTreeMap<OwnerKey, DiskUse>,
    /// By device; `None`: those that there was no room for, together.
    pub devices: BTreeMap<Option<DeviceNumber>, DeviceUse>,
}

/// The devices of the machine in one interval, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineDisks {
    /// What was done; `None`: it is not counted.
    pub work: Option<BTreeMap<String, DeviceUse>>,
    /// How busy they were, as far as that is known.
    pub loads: BTreeMap<String, load::DiskLoad>,
}

/// Names of the places of figures by direction, with [`Direction`] where there is one.
pub fn places() -> impl Iterator<Item = (&'static str, usize)> {
    let directions = DIRECTIONS.into_iter().map(Direction::name).enumerate();
    directions.chain([(OTHER, NO_DIRECTION)]).map(|(at, name)| (name, at))
}

impl DiskTotals {
    /// Requests, of all directions and of none.
    pub fn requests(&self) -> u64 {
        self.operations.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Bytes of one direction.
    pub fn bytes_of(&self, direction: Direction) -> u64 {
        self.bytes.get(direction as usize).copied().unwrap_or(0)
    }

    /// Completions with this error.
    pub fn errors_of(&self, failure: Failure) -> u64 {
        self.errors.get(failure as usize).copied().unwrap_or(0)
    }
}

impl Figures for DiskTotals {
    fn figures(&self) -> impl Iterator<Item = &u64> {
        self.operations.iter().chain(&self.bytes).chain(&self.unmeasured).chain(&self.errors)
    }

    fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { operations, bytes, unmeasured, errors } = self;
        operations.iter_mut().chain(bytes).chain(unmeasured).chain(errors)
    }
}

impl DiskUse {
    /// Adds what others did, or the same ones later.
    pub fn add(&mut self, other: &Self) {
        self.totals.add_all(&other.totals);
        if let Some(durations) = &other.durations {
            let sums = self.durations.get_or_insert_default();
            sums.iter_mut().zip(durations).for_each(|(sum, other)| sum.add(other));
        }
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
        let durations = totals.durations.as_ref();
        Self {
            totals: self.totals.grow(&totals.totals),
            durations: durations.map(|totals| grow_all(self.durations.get_or_insert_default(), totals)),
        }
    }
}

impl DeviceUse {
    /// Adds what others did, or the same one later.
    pub fn add(&mut self, other: &Self) {
        self.requeues = self.requeues.saturating_add(other.requeues);
        self.durations.iter_mut().zip(&other.durations).for_each(|(sum, other)| sum.add(other));
    }

    fn is_any(&self) -> bool {
        self.requeues > 0 || self.durations.iter().any(Durations::is_any)
    }

    fn grow(&mut self, totals: &Self) -> Self {
        let requeues = grown(&mut self.requeues, totals.requeues);
        Self { requeues, durations: grow_all(&mut self.durations, &totals.durations) }
    }
}

fn grow_all<const N: usize>(highest: &mut [Durations; N], totals: &[Durations; N]) -> [Durations; N] {
    let mut delta = [const { Durations { sum: crate::units::Nanos(0), counts: Vec::new() } }; N];
    for ((delta, highest), totals) in delta.iter_mut().zip(highest).zip(totals) {
        *delta = highest.grow(totals);
    }
    delta
}

impl From<&DiskWorkReading> for DiskUse {
    fn from(reading: &DiskWorkReading) -> Self {
        Self { totals: reading.totals.clone(), durations: reading.durations.clone() }
    }
}

impl From<&DiskDeviceReading> for DeviceUse {
    fn from(reading: &DiskDeviceReading) -> Self {
        Self { requeues: reading.requeues, durations: reading.durations.clone() }
    }
}

/// What is kept between readings.
#[derive(Clone, Debug, Default)]
pub struct DiskTracker {
    /// Highest totals seen, by owner.
    work: BTreeMap<OwnerKey, DiskUse>,
    /// And by device.
    devices: BTreeMap<Option<DeviceNumber>, DeviceUse>,
    /// `None`: block I/O is not counted, or has not been read yet.
    sample: Option<DiskSample>,
}

impl DiskTracker {
    /// Takes a reading. The first one that counts block I/O only marks where counting starts; what first shows up later
    /// began after it, so that it counts in full.
    pub fn observe(&mut self, reading: &Reading) {
        let Some(disk) = &reading.disk else {
            *self = Self::default();
            return;
        };
        let is_first = self.sample.is_none();
        let sample = self.sample.get_or_insert_default();
        for one in &disk.work {
            let totals = DiskUse::from(one);
            let start = || if is_first { totals.clone() } else { DiskUse::default() };
            let delta = self.work.entry(one.owner).or_insert_with(start).grow(&totals);
            if delta.is_any() {
                sample.work.entry(one.owner).or_default().add(&delta);
            }
        }
        // A device of which no figures are kept any more is gone: should it return, they start from 0.
        self.devices.retain(|device, _| disk.devices.iter().any(|one| one.device == *device));
        for one in &disk.devices {
            let totals = DeviceUse::from(one);
            let start = || if is_first { totals.clone() } else { DeviceUse::default() };
            let delta = self.devices.entry(one.device).or_insert_with(start).grow(&totals);
            if delta.is_any() {
                sample.devices.entry(one.device).or_default().add(&delta);
            }
        }
    }

    /// Forgets owners whose counters the reader has given back to the kernel: should one return, it starts from 0.
    pub fn forget(&mut self, owners: &BTreeSet<OwnerKey>) {
        self.work.retain(|owner, _| !owners.contains(owner));
    }

    /// Whether block I/O is counted.
    pub fn is_counting(&self) -> bool {
        self.sample.is_some()
    }

    /// Ends the interval; `None`: block I/O is not counted.
    pub fn close(&mut self) -> Option<DiskSample> {
        self.sample.as_mut().map(std::mem::take)
    }
}

#[cfg(test)]
pub(crate) mod tests;
