//! Gives slots of dead workloads back, so that churn never fills the table.
//!
//! The kernel writes a slot only under the key it holds, or claims one whose key is 0. A dead
//! workload's key runs nowhere, so its slot is nobody's: clearing it, key last, cannot race.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use wattrace_common::{
    limits::{TIME_SETS, TIME_WAYS},
    sched::{TimeSlot, WorkKey},
};

use super::{slot::word, threads::ThreadMaps, times::TimeMaps};

impl TimeMaps {
    /// Share of the fullest CPU's table that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        self.fullest() as f64 / (TIME_SETS as usize * TIME_WAYS) as f64
    }

    /// Slots taken of the fullest CPU's table.
    pub(super) fn fullest(&self) -> usize {
        let sets = TIME_SETS as usize;
        let used = (0..self.cpus.len()).map(|cpu| self.used_slots(cpu * sets..(cpu + 1) * sets).count());
        used.max().unwrap_or(0)
    }

    fn used_slots(&self, sets: std::ops::Range<usize>) -> impl Iterator<Item = (usize, usize, WorkKey)> {
        sets.flat_map(|set| (0..TIME_WAYS).map(move |way| (set, way)))
            .map(|(set, way)| (set, way, WorkKey(self.time_word(set, way, word!(TimeSlot, key)))))
            .filter(|(.., key)| *key != WorkKey::IDLE)
    }

    /// Frees every slot of `dead`. The caller has read their final values, and knows that no task of
    /// theirs will ever run again; a key whose slice is open somewhere, or whose threads still wait for something (they were
    /// moved meanwhile, and are booked out where they were booked in), is kept all the same.
    ///
    /// Returns the keys that were freed: whoever keeps their last values must forget them.
    pub fn release(&mut self, dead: &BTreeSet<WorkKey>, threads: Option<&mut ThreadMaps>) -> BTreeSet<WorkKey> {
        let open: BTreeSet<WorkKey> = (0..self.cpus.len()).flat_map(|cpu| self.open_keys(cpu)).collect();
        let mut free: BTreeSet<WorkKey> = dead.difference(&open).copied().collect();
        if let Some(threads) = threads {
            free = threads.left_by_all(self, &free);
            threads.release(self, &free);
        }
        let all = 0..self.times.len();
        let slots: Vec<_> = self.used_slots(all).filter(|(.., key)| free.contains(key)).collect();
        for (set, way, _) in slots {
            if self.shared.len() > 1
                && let Some(word) = self.shared.word(set * TIME_WAYS + way, 0)
            {
                word.store(0, Ordering::Release);
            }
            for field in [word!(TimeSlot, time), word!(TimeSlot, comm), word!(TimeSlot, comm) + 1, word!(TimeSlot, key)]
            {
                if let Some(word) = self.times.word(set, way * size_of::<TimeSlot>() / 8 + field) {
                    word.store(0, Ordering::Release);
                }
            }
        }
        for key in &free {
            // Most keys are not there: the error says just that.
            drop(self.overflow.remove(&key.0));
        }
        free
    }
}
