//! Snapshots that wait for their destination: a bounded memory queue, first in, first out. Pure.
//!
//! When it is full metrics are thinned, not cut off: points are cumulative, so a snapshot less costs resolution in
//! time and no joule. The zero points by which series begin are the exception: no later snapshot repeats them, and
//! without them a receiver that takes differences loses the first value. They move on to the next snapshot that stays.
//! Events are told once each: of them the oldest goes, and is lost.

use std::collections::{BTreeSet, VecDeque};

use super::chunk::Chunk;

/// What a queue holds unless configured otherwise.
pub const DEFAULT_BOUND: usize = 64 << 20;

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    /// Snapshots of metrics: a later one tells the same totals.
    Metrics,
    /// Events: no other tells the same.
    Events,
}

impl Items {
    /// As messages call them.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Events => "events",
        }
    }
}

/// All chunks of one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Number of the snapshot, ascending.
    pub number: u64,
    /// The chunks.
    pub chunks: Vec<Chunk>,
    /// The zero points alone of the series that begin in it: in `chunks` too, and sent only if those are not.
    pub births: Vec<Chunk>,
    /// The zero points of snapshots before it that had to make room.
    pub carried: Vec<Chunk>,
    /// Numbers of the ended entities whose final values are in it: the caller's own numbers, the same in each snapshot
    /// that repeats them.
    pub finals: Vec<u64>,
}

impl Batch {
    /// What is sent, in this order: what began earlier goes first.
    pub fn requests(&self) -> impl DoubleEndedIterator<Item = &Chunk> {
        self.carried.iter().chain(&self.chunks)
    }

    /// Data points in it.
    pub fn points(&self) -> u64 {
        self.requests().map(|chunk| chunk.points).fold(0, u64::saturating_add)
    }

    /// Bytes of memory it takes, roughly.
    pub fn size(&self) -> usize {
        let chunks = self.requests().chain(&self.births).map(size);
        chunks.fold(size_of_val(&*self.finals).saturating_add(size_of::<Self>()), usize::saturating_add)
    }
}

fn size(chunk: &Chunk) -> usize {
    chunk.bytes.len().saturating_add(size_of_val(&*chunk.resources)).saturating_add(size_of::<Chunk>())
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
        self.plus(Self { snapshots: 1, points: batch.points() });
    }

    fn plus(&mut self, more: Self) {
        self.snapshots = self.snapshots.saturating_add(more.snapshots);
        self.points = self.points.saturating_add(more.points);
    }
}

/// What did not get through the queue, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Thinned: a later snapshot tells the same totals.
    pub thinned: Count,
    /// Full, and thinning was not enough: the oldest had to go.
    pub full: Count,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    batches: VecDeque<Batch>,
    size: usize,
    bound: usize,
    items: Items,
    dropped: Dropped,
}

impl Queue {
    /// An empty queue of at most `bound` bytes, and one snapshot in any case.
    pub fn new(bound: usize, items: Items) -> Self {
        Self { batches: VecDeque::new(), size: 0, bound, items, dropped: Dropped::default() }
    }

    /// Appends `batch` and makes room for it.
    pub fn push(&mut self, batch: Batch) {
        self.size = self.size.saturating_add(batch.size());
        self.batches.push_back(batch);
        while self.size > self.bound && self.items == Items::Metrics && self.thin() {}
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
            if free.contains(&index) {
                let dropped = self.make_room(index);
                self.dropped.thinned.plus(dropped);
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

    /// Removes the oldest snapshot that holds no final value alone, else the oldest; never the newest, and the very oldest
    /// only if there is no other: it may be on its way, and its zero points would arrive a second time, after values.
    fn shed(&mut self) -> bool {
        if self.batches.len() < 2 {
            return false;
        }
        let is_free = self.repeated();
        let other = is_free.into_iter().find(|index| *index > 0);
        let index = other.unwrap_or_else(|| usize::from(self.batches.len() > 2));
        let dropped = self.make_room(index);
        self.dropped.full.plus(dropped);
        true
    }

    /// Removes the snapshot at `index`, which is not the newest, and hands its zero points on. Returns what is gone.
    fn make_room(&mut self, index: usize) -> Count {
        let Some(Batch { mut carried, births, chunks, .. }) = self.remove(index) else { return Count::default() };
        let points = chunks.iter().map(|chunk| chunk.points).fold(0, u64::saturating_add);
        let kept = births.iter().map(|chunk| chunk.points).fold(0, u64::saturating_add);
        carried.extend(births);
        if let Some(next) = self.batches.get_mut(index) {
            self.size = self.size.saturating_add(carried.iter().map(size).sum());
            carried.append(&mut next.carried);
            next.carried = carried;
        }
        // A snapshot is worth more than when series began in those that went.
        while self.carried() > self.bound / 2 && self.forget_birth(index) {}
        Count { snapshots: 1, points: points.saturating_sub(kept) }
    }

    /// Bytes of zero points that were handed on.
    fn carried(&self) -> usize {
        self.batches.iter().flat_map(|batch| &batch.carried).map(size).sum()
    }

    /// Removes the oldest zero points that were handed on to the snapshot at `index`, which is not on its way.
    fn forget_birth(&mut self, index: usize) -> bool {
        let Some(batch) = self.batches.get_mut(index).filter(|batch| !batch.carried.is_empty()) else { return false };
        let forgotten = batch.carried.remove(0);
        self.size = self.size.saturating_sub(size(&forgotten));
        self.dropped.full.plus(Count { snapshots: 0, points: forgotten.points });
        true
    }
}

#[cfg(test)]
mod tests;
