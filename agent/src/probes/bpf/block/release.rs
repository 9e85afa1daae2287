//! Gives rows of devices that are gone back.

use std::collections::BTreeMap;

use wattrace_common::block::{DeviceRow, OTHER_DEVICES};

use super::{super::owned::clear, BlockMaps, device, word};
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
}
