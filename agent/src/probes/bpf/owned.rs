//! Rows that kernel programs count in, one for each owner of kernel objects: reading them, and giving those of owners that are
//! gone back, so that churn never fills the maps. What the words mean, block I/O and TCP know.
//!
//! The kernel counts only in rows that it finds by owner. What is removed there is found no more, and nothing is on its way for
//! who is dead and quiet: clearing the row and giving it to another cannot race.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use aya::maps::{HashMap, MapData, MapError, Stack};
use wattrace_common::{
    owner::{FIXED_ROWS, OwnerKey},
    pod::Pod,
};

use super::{
    mapped::Mapped,
    widened::{Widened, half},
};

/// The maps, as the loader has them.
pub(super) struct OwnedParts<T: Pod, const SUMS: usize> {
    pub(super) rows: Mapped<T>,
    pub(super) row_of: HashMap<MapData, u64, u32>,
    pub(super) free: Stack<MapData, u32>,
    /// Sums of owners without a row.
    pub(super) more: HashMap<MapData, u64, [u64; SUMS]>,
    /// Word of a row that holds its owner, 0 in one that is free.
    pub(super) owner: usize,
    /// The descriptor behind the mapping.
    pub(super) _data: MapData,
}

/// Rows of owners: the first `SUMS` words of each are sums.
pub(super) struct Owned<T: Pod, const SUMS: usize> {
    parts: OwnedParts<T, SUMS>,
    /// Buckets by row.
    buckets: BTreeMap<usize, Widened>,
    /// Sums of each owner at the last reading, and whether they were the same at the one before.
    last: BTreeMap<OwnerKey, ([u64; SUMS], bool)>,
}

/// What one owner did.
pub(super) struct OwnedReading<const SUMS: usize> {
    pub(super) owner: OwnerKey,
    pub(super) sums: [u64; SUMS],
    /// Its row; `None`: it has sums only.
    pub(super) row: Option<usize>,
}

impl<T: Pod, const SUMS: usize> Owned<T, SUMS> {
    pub(super) fn new(mut parts: OwnedParts<T, SUMS>) -> Result<Self, MapError> {
        for (row, owner) in (0..).zip(FIXED_ROWS) {
            parts.row_of.insert(owner.0, row, 0)?;
            store(&parts.rows, row as usize, parts.owner, owner.0);
        }
        // The highest is taken first.
        for row in (FIXED_ROWS.len()..parts.rows.len()).rev() {
            parts.free.push(u32::try_from(row).unwrap_or(0), 0)?;
        }
        Ok(Self { parts, buckets: BTreeMap::new(), last: BTreeMap::new() })
    }

    /// The sums of every owner; of those without a row where there may be any.
    pub(super) fn read(&mut self, is_more_used: bool) -> Vec<OwnedReading<SUMS>> {
        // Most rows are free, and a reading is not to cost as if they were not.
        let taken = (0..self.parts.rows.len()).filter(|row| self.owner(*row).0 != 0);
        let mut all: Vec<_> = taken.map(|row| self.reading(row)).collect();
        all.retain(|reading| !FIXED_ROWS.contains(&reading.owner) || self.is_any(&reading.sums));
        if is_more_used {
            let more = self.parts.more.iter().flatten();
            all.extend(more.map(|(owner, sums)| OwnedReading { owner: OwnerKey(owner), sums, row: None }));
        }
        self.note(&all);
        all
    }

    fn reading(&self, row: usize) -> OwnedReading<SUMS> {
        let sums = std::array::from_fn(|word| self.parts.rows.load(row, word));
        OwnedReading { owner: self.owner(row), sums, row: Some(row) }
    }

    fn is_any(&self, sums: &[u64; SUMS]) -> bool {
        sums.iter().enumerate().any(|(word, sum)| word != self.parts.owner && *sum != 0)
    }

    fn owner(&self, row: usize) -> OwnerKey {
        OwnerKey(self.parts.rows.load(row, self.parts.owner))
    }

    fn note(&mut self, now: &[OwnedReading<SUMS>]) {
        let noted = now.iter().map(|OwnedReading { owner, sums, .. }| {
            let is_quiet = self.last.get(owner).is_some_and(|(before, _)| before == sums);
            (*owner, (*sums, is_quiet))
        });
        self.last = noted.collect();
    }

    /// What the buckets of a row have counted since it was taken.
    pub(super) fn buckets(&mut self, row: usize, first: usize, buckets: usize) -> &[u64] {
        let raw = raw(&self.parts.rows, row, first, buckets);
        self.buckets.entry(row).or_default().take(raw)
    }

    /// A word of a row.
    pub(super) fn load(&self, row: usize, word: usize) -> u64 {
        self.parts.rows.load(row, word)
    }

    pub(super) fn len(&self) -> usize {
        self.parts.rows.len()
    }

    pub(super) fn used(&self) -> usize {
        (0..self.len()).filter(|row| self.owner(*row).0 != 0).count()
    }

    /// Owners without a row.
    pub(super) fn more(&self) -> usize {
        self.parts.more.keys().flatten().count()
    }

    /// Share of the rows that is taken, 0 to 1.
    pub(super) fn fullness(&self) -> f64 {
        self.used() as f64 / self.len().max(1) as f64
    }

    /// Gives the rows of owners back that are dead and did nothing between the last two readings, or since. Should one of them
    /// do something after all, it begins anew: whoever keeps its last values must forget them.
    ///
    /// Whoever still has something under way, by its sums, keeps its row.
    pub(super) fn release(
        &mut self,
        is_dead: impl Fn(u64) -> bool,
        is_over: impl Fn(&[u64; SUMS]) -> bool,
    ) -> BTreeSet<OwnerKey> {
        let rows: BTreeMap<OwnerKey, usize> = (0..self.len()).map(|row| (self.owner(row), row)).collect();
        let quiet = self.last.iter().filter(|(owner, (sums, is_quiet))| *is_quiet && is_dead(owner.0) && is_over(sums));
        let quiet: Vec<_> = quiet.map(|(owner, (sums, _))| (*owner, *sums)).collect();
        let quiet = quiet.into_iter().filter(|(owner, _)| !FIXED_ROWS.contains(owner));
        let free = quiet.filter(|(owner, sums)| match rows.get(owner) {
            Some(row) => self.release_row(*owner, *row, sums),
            None => self.release_more(*owner, sums),
        });
        let free: BTreeSet<OwnerKey> = free.map(|(owner, _)| owner).collect();
        self.last.retain(|owner, _| !free.contains(owner));
        free
    }

    fn fits(&self, row: usize, sums: &[u64; SUMS]) -> bool {
        sums.iter().enumerate().all(|(word, sum)| self.parts.rows.load(row, word) == *sum)
    }

    fn release_row(&mut self, owner: OwnerKey, row: usize, sums: &[u64; SUMS]) -> bool {
        if !self.fits(row, sums) || self.parts.row_of.remove(&owner.0).is_err() {
            return false;
        }
        clear(&self.parts.rows, row);
        self.buckets.remove(&row);
        // As many fit as there are rows.
        drop(self.parts.free.push(u32::try_from(row).unwrap_or(0), 0));
        true
    }

    fn release_more(&mut self, owner: OwnerKey, sums: &[u64; SUMS]) -> bool {
        let is_same = self.parts.more.get(&owner.0, 0).is_ok_and(|now| now == *sums);
        is_same && self.parts.more.remove(&owner.0).is_ok()
    }
}

/// Sets a word of a row.
pub(super) fn store<T: Pod>(rows: &Mapped<T>, row: usize, word: usize, value: u64) {
    if let Some(word) = rows.word(row, word) {
        word.store(value, Ordering::Release);
    }
}

pub(super) fn clear<T: Pod>(rows: &Mapped<T>, row: usize) {
    for word in 0..size_of::<T>() / 8 {
        store(rows, row, word, 0);
    }
}

/// Buckets of a row, from a word on.
pub(super) fn raw<T: Pod>(rows: &Mapped<T>, row: usize, first: usize, buckets: usize) -> Vec<u32> {
    (0..buckets).map(|bucket| half(rows.load(row, first + bucket / 2), bucket)).collect()
}
