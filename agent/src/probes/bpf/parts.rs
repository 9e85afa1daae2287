//! The parts of an open slice: the task may have been moved to another cgroup within it.

use wattrace_common::{
    limits::MOVES_PER_SLICE,
    moves::{CpuMoves, Move, end_of_part, run_queue_clock},
    sched::{CpuSlot, WorkKey, shared_part},
};

use super::{
    slot::{Slot, word},
    times::TimeMaps,
};

/// From an instant of the run-queue clock on, a slice is another key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) key: WorkKey,
}

impl TimeMaps {
    /// Odd while a mover writes; see [`CpuMoves::turn`].
    pub(super) fn turn(&self, cpu: usize) -> u64 {
        self.moves.load(cpu, word!(CpuMoves, turn))
    }

    /// Moves within the slice `seq` of the CPU, which is open.
    pub(super) fn moved_parts(&self, cpu: usize, seq: u64) -> Vec<Part> {
        let slot = |word| self.cpus.load(cpu, word);
        let load = |word| self.moves.load(cpu, word);
        // Movers set it before they say anything more.
        if slot(word!(CpuSlot, moved)) == 0 || load(word!(CpuMoves, slice)) != seq {
            return Vec::new();
        }
        let pid = load(word!(CpuMoves, pid));
        let is_thread = pid == 0 || pid == slot(word!(CpuSlot, pid));
        if !is_thread || load(word!(CpuMoves, tgid)) != slot(word!(CpuSlot, tgid)) {
            return Vec::new();
        }
        let (pair_mono, pair_rq) = (slot(word!(CpuSlot, pair_mono)), slot(word!(CpuSlot, pair_rq)));
        let count = usize::try_from(load(word!(CpuMoves, count))).unwrap_or(0);
        let part = |at: usize| {
            let first = word!(CpuMoves, moves) + at * (size_of::<Move>() / 8);
            let from = run_queue_clock(pair_mono, pair_rq, load(first + word!(Move, at)));
            Part { from, key: WorkKey(load(first + word!(Move, key))) }
        };
        (0..count.min(MOVES_PER_SLICE)).map(part).collect()
    }
}

impl Slot {
    /// Whose time it is now.
    pub(super) fn running(&self) -> WorkKey {
        self.moves.last().map_or(self.key, |part| part.key)
    }

    /// Whose time some of the open slice is.
    pub(super) fn keys(&self) -> impl Iterator<Item = WorkKey> {
        std::iter::once(self.key).chain(self.moves.iter().map(|part| part.key))
    }

    /// Nanoseconds of the open slice up to `until`, and what of them is shared with the sibling, by key: as the CPU will
    /// share it out when it ends.
    pub(super) fn open_parts(&self, until: u64) -> Vec<(WorkKey, (u64, u64))> {
        let (overlap, open) = (self.open_overlap(until), until.saturating_sub(self.last));
        let parts = self.parts_until(until);
        if let [(key, only)] = parts.as_slice() {
            return vec![(*key, (*only, overlap))];
        }
        let rate = (overlap << 16).checked_div(open).unwrap_or(0);
        parts.into_iter().map(|(key, part)| (key, (part, shared_part(part, rate)))).collect()
    }

    fn parts_until(&self, until: u64) -> Vec<(WorkKey, u64)> {
        let mut parts = Vec::with_capacity(1 + self.moves.len());
        let (mut from, mut key) = (self.last, self.key);
        for part in &self.moves {
            let end = end_of_part(from, part.from, until);
            parts.push((key, end - from));
            (from, key) = (end, part.key);
        }
        parts.push((key, until.saturating_sub(from)));
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(last: u64, moves: &[(u64, u64)]) -> Slot {
        let moves = moves.iter().map(|(from, key)| Part { from: *from, key: WorkKey(*key) }).collect();
        Slot { last, key: WorkKey(1), moves, ..Slot::default() }
    }

    fn parts(slot: &Slot, until: u64) -> Vec<(u64, u64)> {
        slot.open_parts(until).into_iter().map(|(key, (time, _))| (key.0, time)).collect()
    }

    #[test]
    fn a_slice_is_shared_out_where_its_task_was_moved() {
        assert_eq!(parts(&slot(100, &[]), 250), [(1, 150)]);
        assert_eq!(parts(&slot(100, &[(150, 2)]), 250), [(1, 50), (2, 100)]);
        assert_eq!(parts(&slot(100, &[(150, 2), (170, 1)]), 250), [(1, 50), (2, 20), (1, 80)]);
        let moved = slot(100, &[(150, 2), (170, 3)]);
        assert_eq!(moved.running(), WorkKey(3));
        assert_eq!(moved.keys().map(|key| key.0).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_move_outside_of_what_is_shared_out_loses_nothing() {
        assert_eq!(parts(&slot(100, &[(90, 2)]), 250), [(1, 0), (2, 150)]);
        assert_eq!(parts(&slot(100, &[(300, 2)]), 250), [(1, 150), (2, 0)]);
        assert_eq!(parts(&slot(100, &[(150, 2)]), 100), [(1, 0), (2, 0)]);
    }
}
