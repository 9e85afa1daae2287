//! One consistent copy of a CPU's state, and what to do where it is out of date.

use wattrace_common::{
    loss::{Program, Reason},
    sched::{CpuSlot, WorkKey, busy_at, busy_between},
};

use super::{
    parts::Part,
    times::{TRIES, TimeMaps},
    visit,
};
use crate::units::Nanos;

/// Nanoseconds after which an open slice is worth asking whether its task still runs.
const LONG_UNSEEN: u64 = 50_000;

/// Position of a field in 8-byte words.
macro_rules! word {
    ($type:ty, $field:ident) => {
        std::mem::offset_of!($type, $field) / 8
    };
}

pub(super) use word;

/// A consistent copy of the words of [`CpuSlot`] that the reader needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) seq: u64,
    pub(super) last: u64,
    /// At the start of the slice.
    pub(super) key: WorkKey,
    /// Moves within the slice, oldest first.
    pub(super) moves: Vec<Part>,
    pub(super) pid: u64,
    pub(super) idle: u64,
    pub(super) busy: u64,
    /// Of busy, while the sibling was busy, too.
    pub(super) shared: u64,
    /// Time of keys that have words of their own, and what of it was shared.
    pub(super) special: [(WorkKey, (u64, u64)); 3],
    /// What the sibling's word said when the slice began, and what it says now; `None`: there is nothing to compare.
    pub(super) sibling: Option<(u64, u64)>,
    /// How the running task came in, while that is to be booked.
    pub(super) wait: Option<Wait>,
    /// Run-queue clock at this very moment, by the clock pair; 0 without one.
    pub(super) now: u64,
    /// This moment, as the reader's clock told it.
    pub(super) at: Nanos,
}

/// A wait that ended when the running task came in; see [`CpuSlot::wait_key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) key: WorkKey,
    /// State plus one, or `WAIT_NEW`.
    pub(super) state: u64,
    pub(super) until: u64,
    pub(super) end: u64,
}

impl Slot {
    /// How much of the open slice up to `until` the sibling was busy, too.
    pub(super) fn open_overlap(&self, until: u64) -> u64 {
        let open = until.saturating_sub(self.last);
        let Some((from, word)) = self.sibling.filter(|_| self.key != WorkKey::IDLE) else { return 0 };
        busy_between(from, busy_at(word, until)).min(open)
    }

    /// As it would have been read a moment earlier, if nothing switched since; else as it was after the last switch.
    pub(super) fn back_at(self, instant: Nanos) -> Self {
        Self { now: self.now.saturating_sub(self.at.saturating_sub(instant).0), ..self }
    }
}

impl TimeMaps {
    /// One consistent copy of a CPU's slot, or `None` when it never stood still.
    pub(super) fn slot(&self, cpu: usize, monotonic: impl Fn() -> Nanos) -> Option<Slot> {
        let load = |word| self.cpus.load(cpu, word);
        (0..TRIES).find_map(|_| {
            let (turn, seq) = (self.turn(cpu), load(word!(CpuSlot, seq)));
            let pair_rq = load(word!(CpuSlot, pair_rq));
            let at = monotonic();
            let since_pair = at.0.saturating_sub(load(word!(CpuSlot, pair_mono)));
            let slot = Slot {
                seq,
                last: load(word!(CpuSlot, last)),
                key: WorkKey(load(word!(CpuSlot, key))),
                moves: self.moved_parts(cpu, seq),
                pid: load(word!(CpuSlot, pid)),
                idle: load(word!(CpuSlot, idle)),
                busy: load(word!(CpuSlot, busy)),
                shared: load(word!(CpuSlot, shared)),
                special: [
                    (WorkKey::KERNEL, (load(word!(CpuSlot, kernel)), load(word!(CpuSlot, shared_kernel)))),
                    (WorkKey::NOBODY, (load(word!(CpuSlot, nobody)), load(word!(CpuSlot, shared_nobody)))),
                    (WorkKey::REST, (load(word!(CpuSlot, rest)), load(word!(CpuSlot, shared_rest)))),
                ],
                sibling: self.sibling(cpu),
                wait: self.wait(cpu),
                now: if pair_rq == 0 { 0 } else { pair_rq + since_pair },
                at,
            };
            let still = |before: u64, after: u64| before.is_multiple_of(2) && before == after;
            let still = still(seq, load(word!(CpuSlot, seq))) && still(turn, self.turn(cpu));
            still.then_some(slot)
        })
    }

    fn sibling(&self, cpu: usize) -> Option<(u64, u64)> {
        let from = self.cpus.load(cpu, word!(CpuSlot, sibling_busy));
        let sibling = self.cpus.load(cpu, word!(CpuSlot, sibling)).checked_sub(1).filter(|_| from != 0)?;
        Some((from, self.cpus.load(usize::try_from(sibling).ok()?, word!(CpuSlot, busy_word))))
    }

    fn wait(&self, cpu: usize) -> Option<Wait> {
        let load = |word| self.cpus.load(cpu, word);
        let state = load(word!(CpuSlot, wait_state));
        (state != 0).then(|| Wait {
            key: WorkKey(load(word!(CpuSlot, wait_key))),
            state,
            until: load(word!(CpuSlot, wait_until)),
            end: load(word!(CpuSlot, wait_end)),
        })
    }

    /// Where a switch away from a task was not reported and nothing has run since, makes the CPU switch,
    /// so that the program shares the time out. Does nothing on kernels that report every switch.
    pub fn settle_unreported(&self, monotonic: impl Fn() -> Nanos, is_off_cpu: impl Fn(u32) -> bool) {
        if self.lost(Program::Sched, Reason::Missed) == 0 {
            return;
        }
        for (number, cpu) in (0u32..).zip(0..self.cpus.len()) {
            let Some(slot) = self.slot(cpu, &monotonic) else { continue };
            let is_long = slot.now.saturating_sub(slot.last) > LONG_UNSEEN && slot.key != WorkKey::IDLE;
            let pid = u32::try_from(slot.pid).unwrap_or(u32::MAX);
            if is_long && is_off_cpu(pid) {
                let stays = || self.cpus.load(cpu, word!(CpuSlot, seq)) == slot.seq;
                // On our own CPU the move alone switches nothing.
                let switch = |_| -> Result<(), ()> {
                    if stays() {
                        visit::switch_once();
                    }
                    Ok(())
                };
                visit::each_cpu(&[number], switch).ok();
            }
        }
    }
}
