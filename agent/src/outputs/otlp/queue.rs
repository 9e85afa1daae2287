//! Snapshots that wait for their destination: a bounded memory queue, first in, first out. Pure.
//!
//! When it is full metrics are thinned, not cut off: points are cumulative, so a snapshot less costs resolution in
//! time and no joule.

use std::collections::{BTreeSet, VecDeque};

use super::chunk::Chunk;

/// What a queue holds unless configured otherwise.
pub const DEFAULT_BOUND: usize = 64 << 20;

/// All chunks of one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Number of the snapshot, ascending.
    pub number: u64,
    /// The chunks.
    pub chunks: Vec<Chunk>,
    /// Numbers of the ended entities whose final values are in it: the caller's own numbers, the same in each snapshot
    /// that repeats them.
    pub finals: Vec<u64>,
}

impl Batch {
    /// Data points in it.
    pub fn points(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.points).fold(0, u64::saturating_add)
    }

    /// Bytes of memory it takes, roughly.
    pub fn size(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.bytes.len().saturating_add(size_of_val(&*chunk.resources)));
        chunks.fold(size_of_val(&*self.finals).saturating_add(size_of::<Self>()), usize::saturating_add)
    }
}

/// Snapshots and their points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Snapshots.
    pub snapshots: u64,
    /// Data points.
    pub points: u64,
}

impl Count {
    /// Adds what is in `batch`.
    pub fn add(&mut self, batch: &Batch) {
        self.snapshots = self.snapshots.saturating_add(1);
        self.points = self.points.saturating_add(batch.points());
    }
}

/// What did not get through the queue, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Thinned: a later snapshot tells the same totals.
    pub thinned: Count,
    /// Full, and thinning was not enough: the oldest had to go.
    pub full: Count,
    /// Larger alone than the whole queue.
    pub too_large: Count,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    batches: VecDeque<Batch>,
    size: usize,
    bound: usize,
    dropped: Dropped,
}

impl Queue {
    /// An empty queue of at most `bound` bytes.
    pub fn new(bound: usize) -> Self {
        Self { batches: VecDeque::new(), size: 0, bound, dropped: Dropped::default() }
    }

    /// Appends `batch` and makes room for it.
    pub fn push(&mut self, batch: Batch) {
        if batch.size() > self.bound {
            return self.dropped.too_large.add(&batch);
        }
        self.size = self.size.saturating_add(batch.size());
        self.batches.push_back(batch);
        while self.size > self.bound && self.thin() {}
        while self.size > self.bound && self.shed() {}
    }

    /// The oldest snapshot. It stays until it is settled, and may be thinned before that.
    pub fn front(&self) -> Option<&Batch> {
        self.batches.front()
    }

    /// Whether snapshot `number` still waits.
    pub fn contains(&self, number: u64) -> bool {
        self.batches.iter().any(|batch| batch.number == number)
    }

    /// Removes snapshot `number`, which has been dealt with; false when it had to go before.
    pub fn settle(&mut self, number: u64) -> bool {
        let Some(index) = self.batches.iter().position(|batch| batch.number == number) else { return false };
        self.remove(index).is_some()
    }

    /// What waits.
    pub fn waiting(&self) -> Count {
        let mut count = Count::default();
        self.batches.iter().for_each(|batch| count.add(batch));
        count
    }

    /// Bytes that wait.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What did not get through.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn remove(&mut self, index: usize) -> Option<Batch> {
        let batch = self.batches.remove(index)?;
        self.size = self.size.saturating_sub(batch.size());
        Some(batch)
    }

    /// Removes every second snapshot. The oldest stays, it may be on its way; so does the newest, and whichever alone
    /// holds a final value. False when there was none to remove.
    fn thin(&mut self) -> bool {
        let free = self.repeated();
        let before = self.batches.len();
        for index in (1..before).rev().filter(|index| index % 2 == 1) {
            if free.contains(&index)
                && let Some(batch) = self.remove(index)
            {
                self.dropped.thinned.add(&batch);
            }
        }
        self.batches.len() < before
    }

    /// Indices of the snapshots whose final values all stand in one that is kept whatever happens to odd ones.
    fn repeated(&self) -> BTreeSet<usize> {
        let mut later = BTreeSet::new();
        let mut free = BTreeSet::new();
        let newest = self.batches.len().saturating_sub(1);
        for (index, batch) in self.batches.iter().enumerate().rev() {
            if index != newest && batch.finals.iter().all(|key| later.contains(key)) {
                free.insert(index);
            } else {
                later.extend(batch.finals.iter().copied());
            }
        }
        free
    }

    /// Removes the oldest snapshot that holds no final value alone, else the oldest; never the newest.
    fn shed(&mut self) -> bool {
        if self.batches.len() < 2 {
            return false;
        }
        let index = self.repeated().first().copied().unwrap_or(0);
        if let Some(batch) = self.remove(index) {
            self.dropped.full.add(&batch);
        }
        true
    }
}

#[cfg(test)]
mod tests;
