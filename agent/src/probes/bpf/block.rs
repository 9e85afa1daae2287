//! Reads what was counted of block I/O, and gives rows of owners and devices that are gone back.
//!
//! Rows are read while the kernel counts in them: a request may show in one figure now and in another at the next reading.
//! Nothing is read twice, nothing lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use aya::maps::{HashMap, MapData, MapError, Stack};
use wattrace_common::{
    block::{
        DEVICE_BUCKETS, DIRECTIONS, DeviceRow, FAILURES, FIXED_ROWS, MINOR_BITS, OTHER_DEVICES, PLACES, PlaceSums,
        TIMED, WORK_BUCKETS, WorkRow, WorkSums, timed,
    },
    layout,
    limits::{BLOCK_DEVICES, BLOCK_MORE, BLOCK_NUMBERS, BLOCK_ROWS},
    loss::{Program, Reason},
    owner::OwnerKey,
};

use super::{
    cost::Fill,
    mapped::Mapped,
    slot::word,
    times::TimeMaps,
    widened::{Widened, half},
};
use crate::{
    samples::{DeviceNumber, DiskDeviceReading, DiskReading, DiskTotals, DiskWorkReading, Durations},
    units::Nanos,
};

mod release;

/// Words of an owner's sums.
const SUMS: usize = size_of::<WorkSums>() / 8;
/// Sums of an owner, word by word.
type Sums = [u64; SUMS];

/// The maps of block I/O.
pub struct BlockMaps {
    parts: BlockParts,
    /// Buckets by row of an owner.
    work: BTreeMap<usize, Widened>,
    /// Buckets by row of a device.
    devices: BTreeMap<usize, Widened>,
    /// Sums of each owner at the last reading, and whether they were the same at the one before.
    last: BTreeMap<OwnerKey, (Sums, bool)>,
    /// Devices that were not there at the last reading.
    gone: BTreeSet<u32>,
}

/// The maps, as the loader has them.
pub(super) struct BlockParts {
    pub(super) work: Mapped<WorkRow>,
    pub(super) devices: Mapped<DeviceRow>,
    pub(super) row_of: HashMap<MapData, u64, u32>,
    pub(super) free_rows: Stack<MapData, u32>,
    pub(super) more: HashMap<MapData, u64, Sums>,
    pub(super) slot_of: HashMap<MapData, u32, u32>,
    pub(super) free_slots: Stack<MapData, u32>,
    pub(super) issued: HashMap<MapData, u64, [u64; 2]>,
    /// The descriptors behind the mappings.
    pub(super) _data: Vec<MapData>,
}

impl BlockMaps {
    pub(super) fn new(mut parts: BlockParts) -> Result<Self, MapError> {
        for (row, owner) in (0..).zip(FIXED_ROWS) {
            parts.row_of.insert(owner.0, row, 0)?;
            store(&parts.work, row as usize, word!(WorkSums, owner), owner.0);
        }
        // The highest is taken first.
        for row in (FIXED_ROWS.len()..BLOCK_ROWS as usize).rev() {
            parts.free_rows.push(u32::try_from(row).unwrap_or(0), 0)?;
        }
        for row in (OTHER_DEVICES + 1..BLOCK_DEVICES).rev() {
            parts.free_slots.push(row, 0)?;
        }
        let (work, devices, last, gone) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Ok(Self { parts, work, devices, last, gone })
    }

    /// What every owner and device did. Devices of which `is_there` denies that they are, twice in a row, are no more.
    pub fn read(&mut self, times: &TimeMaps, is_there: impl Fn(DeviceNumber) -> bool) -> DiskReading {
        self.forget_devices(is_there);
        let work = self.read_work(times);
        DiskReading { work, devices: self.read_devices() }
    }

    fn read_work(&mut self, times: &TimeMaps) -> Vec<DiskWorkReading> {
        let mut all = Vec::new();
        let mut last = BTreeMap::new();
        for row in 0..self.parts.work.len() {
            // Most rows are free, and a reading is not to cost as if they were not.
            if self.parts.work.load(row, word!(WorkSums, owner)) == 0 {
                continue;
            }
            let sums: Sums = std::array::from_fn(|word| self.parts.work.load(row, word));
            let owner = OwnerKey(at(&sums, word!(WorkSums, owner)));
            if FIXED_ROWS.contains(&owner) && totals(&sums) == DiskTotals::default() {
                continue;
            }
            last.insert(owner, sums);
            let durations = Some(self.work_durations(row, &sums));
            all.push(DiskWorkReading { owner, totals: totals(&sums), durations });
        }
        if is_more_used(times) {
            for (owner, sums) in self.parts.more.iter().flatten() {
                last.insert(OwnerKey(owner), sums);
                all.push(DiskWorkReading { owner: OwnerKey(owner), totals: totals(&sums), durations: None });
            }
        }
        self.note(last);
        all
    }

    fn note(&mut self, now: BTreeMap<OwnerKey, Sums>) {
        let noted = now.into_iter().map(|(owner, sums)| {
            let is_quiet = self.last.get(&owner).is_some_and(|(before, _)| *before == sums);
            (owner, (sums, is_quiet))
        });
        self.last = noted.collect();
    }

    fn work_durations(&mut self, row: usize, sums: &Sums) -> [Durations; DIRECTIONS.len()] {
        let first = word!(WorkRow, counts);
        let raw = raw(&self.parts.work, row, first, TIMED * WORK_BUCKETS);
        let counts = self.work.entry(row).or_default().take(raw);
        std::array::from_fn(|place| {
            let sum = at(sums, place * (size_of::<PlaceSums>() / 8) + word!(PlaceSums, time));
            durations(counts, timed(place), WORK_BUCKETS, sum)
        })
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
        self.used_rows() as f64 / f64::from(BLOCK_ROWS)
    }

    fn used_rows(&self) -> usize {
        let owner = |row: &usize| self.parts.work.load(*row, word!(WorkSums, owner));
        (0..self.parts.work.len()).filter(|row| owner(row) != 0).count()
    }

    /// How full the maps are whose room may run out.
    pub(super) fn fills(&self, times: &TimeMaps) -> [Fill; 3] {
        let more = if is_more_used(times) { self.parts.more.keys().flatten().count() } else { 0 };
        let numbers = self.parts.slot_of.keys().flatten().count();
        [
            Fill { map: layout::MAP_BLOCK_ROW, used: self.used_rows() as u64, limit: u64::from(BLOCK_ROWS) },
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

fn store<T: wattrace_common::pod::Pod>(rows: &Mapped<T>, row: usize, word: usize, value: u64) {
    if let Some(word) = rows.word(row, word) {
        word.store(value, Ordering::Release);
    }
}

/// Buckets of a row, from a word on.
fn raw<T: wattrace_common::pod::Pod>(rows: &Mapped<T>, row: usize, first: usize, buckets: usize) -> Vec<u32> {
    (0..buckets).map(|bucket| half(rows.load(row, first + bucket / 2), bucket)).collect()
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
