//! Reads what was counted of block I/O, and gives rows of owners and devices that are gone back.
//!
//! Rows are read while the kernel counts in them: a request may show in one figure now and in another at the next reading.
//! Nothing is read twice, nothing lost.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, MapData, MapError, Stack};
use wattrace_common::{
    block::{
        DEVICE_BUCKETS, DIRECTIONS, DeviceRow, FAILURES, MINOR_BITS, OTHER_DEVICES, PLACES, PlaceSums, TIMED,
        WORK_BUCKETS, WorkRow, WorkSums, timed,
    },
    layout,
    limits::{BLOCK_DEVICES, BLOCK_MORE, BLOCK_NUMBERS, BLOCK_ROWS},
    loss::{Program, Reason},
    owner::OwnerKey,
};

use super::{
    cost::Fill,
    mapped::Mapped,
    owned::{Owned, OwnedParts, OwnedReading, raw},
    slot::word,
    times::TimeMaps,
    widened::Widened,
};
use crate::{
    samples::{DeviceNumber, DiskDeviceReading, DiskReading, DiskTotals, DiskWorkReading, Durations},
    units::Nanos,
};

mod release;

/// Words of an owner's sums.
pub(super) const SUMS: usize = size_of::<WorkSums>() / 8;
/// Sums of an owner, word by word.
type Sums = [u64; SUMS];

/// The maps of block I/O.
pub struct BlockMaps {
    work: Owned<WorkRow, SUMS>,
    parts: DeviceParts,
    /// Buckets by row of a device.
    devices: BTreeMap<usize, Widened>,
    /// Devices that were not there at the last reading.
    gone: BTreeSet<u32>,
}

/// The maps of devices, as the loader has them.
pub(super) struct DeviceParts {
    pub(super) devices: Mapped<DeviceRow>,
    pub(super) slot_of: HashMap<MapData, u32, u32>,
    pub(super) free_slots: Stack<MapData, u32>,
    pub(super) issued: HashMap<MapData, u64, [u64; 2]>,
    /// The descriptor behind the mapping.
    pub(super) _data: MapData,
}

impl BlockMaps {
    pub(super) fn new(work: OwnedParts<WorkRow, SUMS>, mut parts: DeviceParts) -> Result<Self, MapError> {
        for row in (OTHER_DEVICES + 1..BLOCK_DEVICES).rev() {
            parts.free_slots.push(row, 0)?;
        }
        Ok(Self { work: Owned::new(work)?, parts, devices: BTreeMap::new(), gone: BTreeSet::new() })
    }

    /// What every owner and device did. Devices of which `is_there` denies that they are, twice in a row, are no more.
    pub fn read(&mut self, times: &TimeMaps, is_there: impl Fn(DeviceNumber) -> bool) -> DiskReading {
        self.forget_devices(is_there);
        let work = self.work.read(is_more_used(times)).into_iter().map(|reading| self.work_reading(&reading)).collect();
        DiskReading { work, devices: self.read_devices() }
    }

    fn work_reading(&mut self, reading: &OwnedReading<SUMS>) -> DiskWorkReading {
        let durations = reading.row.map(|row| self.work_durations(row, &reading.sums));
        DiskWorkReading { owner: reading.owner, totals: totals(&reading.sums), durations }
    }

    fn work_durations(&mut self, row: usize, sums: &Sums) -> [Durations; DIRECTIONS.len()] {
        let counts = self.work.buckets(row, word!(WorkRow, counts), TIMED * WORK_BUCKETS);
        std::array::from_fn(|place| {
            let sum = at(sums, place * (size_of::<PlaceSums>() / 8) + word!(PlaceSums, time));
            durations(counts, timed(place), WORK_BUCKETS, sum)
        })
    }

    /// Gives the rows of owners back that are dead and quiet; whoever keeps their last values must forget them.
    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> BTreeSet<OwnerKey> {
        self.work.release(is_dead, |_| true)
    }

    fn read_devices(&mut self) -> Vec<DiskDeviceReading> {
        (0..self.parts.devices.len()).filter_map(|row| self.read_device(row)).collect()
    }

    /// `None`: the row is free.
    fn read_device(&mut self, row: usize) -> Option<DiskDeviceReading> {
        let load = |word| self.parts.devices.load(row, word);
        let number = load(word!(DeviceRow, device)).checked_sub(1).and_then(|number| u32::try_from(number).ok());
        if number.is_none() && row != OTHER_DEVICES as usize {
            return None;
        }
        let times: [u64; TIMED] = std::array::from_fn(|timed| load(word!(DeviceRow, time) + timed));
        let requeues = load(word!(DeviceRow, requeues));
        let raw = raw(&self.parts.devices, row, word!(DeviceRow, counts), TIMED * DEVICE_BUCKETS);
        let is_empty = requeues == 0 && raw.iter().all(|count| *count == 0);
        if number.is_none() && is_empty {
            return None;
        }
        let counts = self.devices.entry(row).or_default().take(raw);
        let durations = std::array::from_fn(|place| {
            let time = times.get(timed(place)).copied().unwrap_or(0);
            durations(counts, timed(place), DEVICE_BUCKETS, time)
        });
        Some(DiskDeviceReading { device: number.map(device), requeues, durations })
    }

    /// Share of the rows of owners that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        self.work.fullness()
    }

    /// How full the maps are whose room may run out.
    pub(super) fn fills(&self, times: &TimeMaps) -> [Fill; 3] {
        let more = if is_more_used(times) { self.work.more() } else { 0 };
        let numbers = self.parts.slot_of.keys().flatten().count();
        [
            Fill { map: layout::MAP_BLOCK_ROW, used: self.work.used() as u64, limit: u64::from(BLOCK_ROWS) },
            Fill { map: layout::MAP_BLOCK_MORE, used: more as u64, limit: u64::from(BLOCK_MORE) },
            Fill { map: layout::MAP_BLOCK_SLOT, used: numbers as u64, limit: u64::from(BLOCK_NUMBERS) },
        ]
    }
}

/// As long as there was a row for every owner, no system call is made for more.
fn is_more_used(times: &TimeMaps) -> bool {
    times.lost(Program::BlockComplete, Reason::NoHistograms) > 0
}

fn device(number: u32) -> DeviceNumber {
    DeviceNumber { major: number >> MINOR_BITS, minor: number & ((1 << MINOR_BITS) - 1) }
}

fn at(words: &[u64], word: usize) -> u64 {
    words.get(word).copied().unwrap_or(0)
}

/// One histogram among those of a row. A direction that is not timed has none: all its buckets are 0.
fn durations(counts: &[u64], timed: usize, buckets: usize, sum: u64) -> Durations {
    let own = counts.get(timed * buckets..(timed + 1) * buckets);
    Durations { sum: Nanos(sum), counts: own.map_or_else(|| vec![0; buckets], <[u64]>::to_vec) }
}

fn totals(sums: &Sums) -> DiskTotals {
    let by_place =
        |word: usize| std::array::from_fn(|place: usize| at(sums, place * (size_of::<PlaceSums>() / 8) + word));
    const { assert!(std::mem::offset_of!(WorkSums, places) == 0 && PLACES == 5) };
    DiskTotals {
        operations: by_place(word!(PlaceSums, operations)),
        bytes: by_place(word!(PlaceSums, bytes)),
        unmeasured: by_place(word!(PlaceSums, unmeasured)),
        errors: std::array::from_fn::<_, { FAILURES.len() }, _>(|failure| at(sums, word!(WorkSums, errors) + failure)),
    }
}
