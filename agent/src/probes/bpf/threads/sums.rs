//! The algebra of thread time: what the rows of all CPUs say together.

use wattrace_common::threads::{REASONS, STATES, State, ThreadSlot};

use crate::{
    probes::bpf::{
        slot::{Wait, word},
        widened::half,
    },
    units::Nanos,
};

/// Words of a row.
pub(super) const WORDS: usize = size_of::<ThreadSlot>() / 8;

/// Sums of a key over all CPUs. They wrap; see [`wattrace_common::threads`].
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub(super) acc: [u64; STATES.len()],
    pub(super) count: [u32; STATES.len()],
    pub(super) running: u64,
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
    pub(super) waited: u64,
    pub(super) off: [u64; REASONS],
    /// Row of histograms plus one.
    pub(super) histograms: u32,
}

impl Sums {
    pub(super) fn add(&mut self, row: &[u64; WORDS]) {
        let at = |word: usize| row.get(word).copied().unwrap_or(0);
        let wide = |sum: &mut u64, word: usize| *sum = sum.wrapping_add(at(word));
        for (state, sum) in self.acc.iter_mut().enumerate() {
            wide(sum, state);
        }
        // Two counts in a word; the sixth is the row of histograms.
        let half = |index: usize| half(at(STATES.len() + index / 2), index);
        for (state, count) in self.count.iter_mut().enumerate() {
            *count = count.wrapping_add(half(state));
        }
        self.histograms = self.histograms.max(half(STATES.len()));
        wide(&mut self.voluntary, word!(ThreadSlot, voluntary));
        wide(&mut self.involuntary, word!(ThreadSlot, involuntary));
        wide(&mut self.waited, word!(ThreadSlot, waited));
        for (reason, sum) in self.off.iter_mut().enumerate() {
            wide(sum, word!(ThreadSlot, off) + reason);
        }
    }

    /// A wait that ended and was not booked yet.
    pub(super) fn settle(&mut self, wait: &Wait) {
        let state = usize::try_from(wait.state).unwrap_or(0).wrapping_sub(1);
        if let (Some(acc), Some(count)) = (self.acc.get_mut(state), self.count.get_mut(state)) {
            *acc = acc.wrapping_add(wait.until);
            *count = count.wrapping_sub(1);
        }
        if let Some(runnable) = self.acc.get_mut(State::Runnable as usize) {
            *runnable = runnable.wrapping_add(wait.end.wrapping_sub(wait.until));
        }
    }

    /// Threads in a state. Between the readings of two rows it may seem to be less than none.
    pub(super) fn threads(&self) -> [u64; STATES.len()] {
        self.count.map(|count| u64::try_from(count.cast_signed()).unwrap_or(0))
    }

    pub(super) fn states(&self, now: u64) -> [Nanos; STATES.len()] {
        let mut states = [Nanos(0); STATES.len()];
        for ((time, acc), count) in states.iter_mut().zip(self.acc).zip(self.count) {
            let open = i64::from(count.cast_signed()).cast_unsigned().wrapping_mul(now);
            let sum = acc.wrapping_add(open).cast_signed();
            *time = Nanos(u64::try_from(sum).unwrap_or(0));
        }
        states
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.iter().all(|count| *count == 0)
    }
}

#[cfg(test)]
mod tests {
    use wattrace_common::sched::{WAIT_NEW, WorkKey};

    use super::*;

    /// A CPU's row, from what happened there: state, whether it was entered or left, and when.
    fn row(events: &[(State, bool, u64)]) -> [u64; WORDS] {
        let (mut acc, mut count) = ([0_u64; STATES.len()], [0_u32; STATES.len() + 1]);
        for (state, enters, at) in events {
            let state = *state as usize;
            acc[state] = if *enters { acc[state].wrapping_sub(*at) } else { acc[state].wrapping_add(*at) };
            count[state] = if *enters { count[state].wrapping_add(1) } else { count[state].wrapping_sub(1) };
        }
        count[STATES.len()] = 7;
        let mut row = [0; WORDS];
        row[..STATES.len()].copy_from_slice(&acc);
        for (word, pair) in row[STATES.len()..].iter_mut().zip(count.chunks(2)) {
            *word = u64::from(pair[0]) | u64::from(pair[1]) << 32;
        }
        row[word!(ThreadSlot, voluntary)] = 3;
        row[word!(ThreadSlot, off)] = 11;
        row
    }

    fn sums(rows: &[[u64; WORDS]]) -> Sums {
        let mut sums = Sums::default();
        for row in rows {
            sums.add(row);
        }
        sums
    }

    const START: u64 = 5_000_000_000_000_000;

    #[test]
    fn open_intervals_count_wherever_they_began() {
        // Entered on one CPU, left on another; a second sleeper still sleeps.
        let there = row(&[(State::Sleeping, true, START), (State::Sleeping, true, START + 40)]);
        let here = row(&[(State::Sleeping, false, START + 100), (State::Runnable, true, START + 100)]);
        let sums = sums(&[there, here]);
        assert_eq!(sums.threads(), [1, 0, 1, 0, 0]);
        let at = |now| sums.states(START + now).map(|time| time.0);
        assert_eq!(at(100), [0, 0, 160, 0, 0]);
        assert_eq!(at(1_000), [900, 0, 1_060, 0, 0]);
        assert_eq!((sums.histograms, sums.voluntary, sums.off[0]), (7, 6, 22));
        assert!(!sums.is_empty());
    }

    #[test]
    fn a_wait_that_is_not_booked_yet_is_settled() {
        let mut sums = sums(&[row(&[(State::IoWait, true, START)])]);
        let wait = |state| Wait { key: WorkKey(1), state, until: START + 70, end: START + 90 };
        sums.settle(&wait(State::IoWait as u64 + 1));
        assert_eq!(sums.states(START + 1_000).map(|time| time.0), [20, 70, 0, 0, 0]);
        assert!(sums.is_empty());
        // A new thread was in no state.
        sums.settle(&wait(WAIT_NEW));
        assert_eq!(sums.states(START + 1_000).map(|time| time.0), [40, 70, 0, 0, 0]);
    }

    #[test]
    fn what_was_seen_leaving_and_not_yet_entering_is_not_below_zero() {
        let sums = sums(&[row(&[(State::Stopped, false, START + 10)])]);
        assert_eq!(sums.threads(), [0; 5]);
        assert_eq!(sums.states(START + 30), [Nanos(0); 5]);
        assert_eq!(sums.states(START + 10), [Nanos(0); 5]);
    }
}
