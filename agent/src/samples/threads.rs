//! Thread time: from totals since attach to what the threads of each key did in an interval.
//!
//! Readings may come more often than intervals end. A total may fall a little, for that a sleeper was woken is known only
//! when it runs: then nothing is booked until it has caught up. It stops at kernel keys; whose they are, identity knows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wattrace_common::{
    sched::WorkKey,
    threads::{STATES, State},
};

use super::{Reading, ThreadDurations, ThreadsReading, usage::grown};
use crate::units::Nanos;

/// What threads did: in an interval, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadUse {
    /// Time on a CPU. A tracker leaves it 0: on-CPU time is counted once, in [`super::usage`].
    pub running: Nanos,
    /// Time off the CPU, by [`State`].
    pub states: [Nanos; STATES.len()],
    /// Switches by the thread's own will.
    pub voluntary: u64,
    /// Switches because another was to run.
    pub involuntary: u64,
    /// Durations of what ended; `None`: there was no room for them.
    pub durations: Option<ThreadDurations>,
}

/// What all threads did in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadsSample {
    /// By key. Keys without a thread, of which nothing was seen either, are absent.
    pub work: BTreeMap<WorkKey, ThreadUse>,
    /// Threads in each [`State`] at the end.
    pub now: [u64; STATES.len()],
    /// Threads on a CPU at the end.
    pub running: u64,
}

/// The threads of the machine in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineThreads {
    /// Threads at its end that have run since the kernel program was attached.
    pub observed: u64,
    /// Those that have not; `None`: it is not known how many threads there are.
    pub unobserved: Option<u64>,
    /// How many waited for a CPU, on average; `None` for an interval without time.
    pub runqueue: Option<f64>,
}

impl ThreadsSample {
    /// The machine over an interval of `span`, at whose end it had `alive` threads.
    pub fn machine(&self, span: Nanos, alive: Option<u64>) -> MachineThreads {
        let observed = self.now.iter().fold(self.running, |sum, now| sum.saturating_add(*now));
        let waited: Nanos = self.work.values().map(|threads| threads.state(State::Runnable)).sum();
        MachineThreads {
            observed,
            // The two are not counted at the same instant.
            unobserved: alive.map(|alive| alive.saturating_sub(observed)),
            runqueue: (span.0 > 0).then(|| waited.0 as f64 / span.0 as f64),
        }
    }
}

impl ThreadUse {
    /// Time in a state.
    pub fn state(&self, state: State) -> Nanos {
        STATES.into_iter().zip(self.states).find(|(other, _)| *other == state).map_or(Nanos(0), |(_, span)| span)
    }

    /// Adds what others did, or the same ones later.
    pub fn add(&mut self, other: &Self) {
        self.running += other.running;
        for (sum, span) in self.states.iter_mut().zip(other.states) {
            *sum += span;
        }
        self.voluntary = self.voluntary.saturating_add(other.voluntary);
        self.involuntary = self.involuntary.saturating_add(other.involuntary);
        if let Some(durations) = &other.durations {
            self.durations.get_or_insert_default().add(durations);
        }
    }

    /// What came since `before`, an earlier sum of the same.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        before.clone().grow(self)
    }

    /// The growth to `totals`, the highest of which are kept.
    fn grow(&mut self, totals: &Self) -> Self {
        let mut delta = Self { running: Nanos(grown(&mut self.running.0, totals.running.0)), ..Self::default() };
        for ((delta, highest), total) in delta.states.iter_mut().zip(&mut self.states).zip(totals.states) {
            *delta = Nanos(grown(&mut highest.0, total.0));
        }
        delta.voluntary = grown(&mut self.voluntary, totals.voluntary);
        delta.involuntary = grown(&mut self.involuntary, totals.involuntary);
        delta.durations = totals.durations.as_ref().map(|totals| self.durations.get_or_insert_default().grow(totals));
        delta
    }

    /// Whether any time passed: a switch ends some.
    fn is_any(&self) -> bool {
        self.states.iter().any(|span| span.0 > 0) || self.voluntary > 0 || self.involuntary > 0
    }
}

impl From<&ThreadsReading> for ThreadUse {
    fn from(reading: &ThreadsReading) -> Self {
        let ThreadsReading { states, voluntary, involuntary, ref durations, .. } = *reading;
        Self { running: Nanos(0), states, voluntary, involuntary, durations: durations.clone() }
    }
}

impl ThreadDurations {
    fn add(&mut self, other: &Self) {
        self.wait.add(&other.wait);
        self.off.iter_mut().zip(&other.off).for_each(|(sum, other)| sum.add(other));
    }

    fn grow(&mut self, totals: &Self) -> Self {
        let mut delta = Self { wait: self.wait.grow(&totals.wait), ..Self::default() };
        for ((delta, highest), totals) in delta.off.iter_mut().zip(&mut self.off).zip(&totals.off) {
            *delta = highest.grow(totals);
        }
        delta
    }
}

/// What is kept between readings.
#[derive(Clone, Debug, Default)]
pub struct ThreadsTracker {
    /// Highest totals seen, by key.
    highest: BTreeMap<WorkKey, ThreadUse>,
    /// `None`: threads are not counted, or have not been read yet.
    sample: Option<ThreadsSample>,
}

impl ThreadsTracker {
    /// Takes a reading. The first one that counts threads only marks where counting starts; what first shows up later
    /// began after it, so that it counts in full.
    pub fn observe(&mut self, reading: &Reading) {
        let Some(threads) = &reading.threads else {
            *self = Self::default();
            return;
        };
        let is_first = self.sample.is_none();
        let sample = self.sample.get_or_insert_default();
        (sample.now, sample.running) = ([0; STATES.len()], 0);
        for one in threads {
            let totals = ThreadUse::from(one);
            let start = || if is_first { totals.clone() } else { ThreadUse::default() };
            let delta = self.highest.entry(one.key).or_insert_with(start).grow(&totals);
            if delta.is_any() || one.running > 0 || one.now.iter().any(|now| *now > 0) {
                sample.work.entry(one.key).or_default().add(&delta);
            }
            sample.running = sample.running.saturating_add(one.running);
            for (sum, now) in sample.now.iter_mut().zip(one.now) {
                *sum = sum.saturating_add(now);
            }
        }
    }

    /// Forgets keys whose counters the reader has given back to the kernel: should one return, it starts from 0.
    pub fn forget(&mut self, keys: &BTreeSet<WorkKey>) {
        self.highest.retain(|key, _| !keys.contains(key));
    }

    /// Ends the interval; `None`: threads are not counted.
    pub fn close(&mut self) -> Option<ThreadsSample> {
        let sample = self.sample.as_mut()?;
        let next = ThreadsSample { work: BTreeMap::new(), ..*sample };
        Some(std::mem::replace(sample, next))
    }
}

#[cfg(test)]
mod tests;
