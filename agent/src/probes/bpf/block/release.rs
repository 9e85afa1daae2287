//! Gives rows of owners and devices that are gone back, so that churn never fills the maps.
//!
//! The kernel counts only in rows that it finds by owner or device. What is removed there is found no more, and nothing is on
//! its way for who is dead and quiet: clearing the row and giving it to another cannot race.

use std::collections::{BTreeMap, BTreeSet};

use wattrace_common::{
    block::{DeviceRow, FIXED_ROWS, OTHER_DEVICES, WorkSums},
    owner::OwnerKey,
    pod::Pod,
};

use super::{BlockMaps, Mapped, Sums, device, store, word};
use crate::samples::DeviceNumber;

impl BlockMaps {
    /// Gives the rows of devices back that are gone; one that had none gets one then, at its next request.
    pub(super) fn forget_devices(&mut self, is_there: impl Fn(DeviceNumber) -> bool) {
        let rows = 0..self.parts.devices.len();
        let numbers = rows.map(|row| (row, self.parts.devices.load(row, word!(DeviceRow, device))));
        let numbers = numbers.filter_map(|(row, number)| Some((row, u32::try_from(number.checked_sub(1)?).ok()?)));
        let gone: BTreeMap<u32, usize> =
            numbers.filter(|(_, number)| !is_there(device(*number))).map(|(row, number)| (number, row)).collect();
        // Its last requests may still be on their way.
        let (past, news): (Vec<_>, Vec<_>) = gone.into_iter().partition(|(number, _)| self.gone.contains(number));
        self.gone = news.into_iter().map(|(number, _)| number).collect();
        if past.is_empty() {
            return;
        }
        for (number, row) in past {
            self.forget_device(number, row);
        }
        let others: Vec<u32> =
            self.parts.slot_of.iter().flatten().filter(|(_, row)| *row == OTHER_DEVICES).map(|(of, _)| of).collect();
        for number in others {
            drop(self.parts.slot_of.remove(&number));
        }
    }

    fn forget_device(&mut self, number: u32, row: usize) {
        if self.parts.slot_of.remove(&number).is_err() {
            return;
        }
        clear(&self.parts.devices, row);
        self.devices.remove(&row);
        // As many fit as there are rows.
        drop(self.parts.free_slots.push(u32::try_from(row).unwrap_or(OTHER_DEVICES), 0));
        // They are of its requests, which are gone with it.
        let of_it = |issued: &[u64; 2]| issued.last() == Some(&u64::from(number));
        let requests: Vec<u64> = self
            .parts
            .issued
            .iter()
            .flatten()
            .filter(|(_, issued)| of_it(issued))
            .map(|(request, _)| request)
            .collect();
        for request in requests {
            drop(self.parts.issued.remove(&request));
        }
    }

    /// Gives the rows of owners back that are dead and did nothing between the last two readings, or since. Should one of them
    /// do something after all, it begins anew: whoever keeps its last values must forget them.
    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> BTreeSet<OwnerKey> {
        let rows = 0..self.parts.work.len();
        let rows: BTreeMap<OwnerKey, usize> =
            rows.map(|row| (OwnerKey(self.parts.work.load(row, word!(WorkSums, owner))), row)).collect();
        let quiet = self.last.iter().filter(|(owner, (_, is_quiet))| *is_quiet && is_dead(owner.0));
        let quiet: Vec<(OwnerKey, Sums)> = quiet.map(|(owner, (sums, _))| (*owner, *sums)).collect();
        let quiet = quiet.into_iter().filter(|(owner, _)| !FIXED_ROWS.contains(owner));
        let free = quiet.filter(|(owner, sums)| match rows.get(owner) {
            Some(row) => self.release_row(*owner, *row, sums),
            None => self.release_more(*owner, sums),
        });
        let free: BTreeSet<OwnerKey> = free.map(|(owner, _)| owner).collect();
        self.last.retain(|owner, _| !free.contains(owner));
        free
    }

    fn fits(&self, row: usize, sums: &Sums) -> bool {
        sums.iter().enumerate().all(|(word, sum)| self.parts.work.load(row, word) == *sum)
    }

    fn release_row(&mut self, owner: OwnerKey, row: usize, sums: &Sums) -> bool {
        if !self.fits(row, sums) || self.parts.row_of.remove(&owner.0).is_err() {
            return false;
        }
        clear(&self.parts.work, row);
        self.work.remove(&row);
        // As many fit as there are rows.
        drop(self.parts.free_rows.push(u32::try_from(row).unwrap_or(0), 0));
        true
    }

    fn release_more(&mut self, owner: OwnerKey, sums: &Sums) -> bool {
        let is_same = self.parts.more.get(&owner.0, 0).is_ok_and(|now| now == *sums);
        is_same && self.parts.more.remove(&owner.0).is_ok()
    }
}

fn clear<T: Pod>(rows: &Mapped<T>, row: usize) {
    for word in 0..size_of::<T>() / 8 {
        store(rows, row, word, 0);
    }
}
