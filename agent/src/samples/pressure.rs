//! Pressure stall information: from totals to the share of an interval in which tasks waited.

use std::collections::BTreeMap;

use crate::units::Nanos;

/// What tasks wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A CPU.
    Cpu,
    /// Memory: reclaim, swap, refaults.
    Memory,
    /// Input and output.
    Io,
}

impl Resource {
    /// All.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Io];

    /// The name that the kernel's files and metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Io => "io",
        }
    }
}

/// Time in which tasks waited for a resource, since a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalled {
    /// At least one.
    pub some: Nanos,
    /// All that were not idle; `None`: not told.
    pub full: Option<Nanos>,
}

/// Shares of an interval, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// In which at least one task waited.
    pub some: f64,
    /// In which all that were not idle did; `None`: not told.
    pub full: Option<f64>,
}

/// What is kept between intervals, by whose pressure it is.
#[derive(Clone, Debug)]
pub struct PressureTracker<K> {
    /// Totals when last read, and when that was.
    last: BTreeMap<K, (Stalled, Nanos)>,
}

impl<K> Default for PressureTracker<K> {
    fn default() -> Self {
        Self { last: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> PressureTracker<K> {
    /// Takes totals that were read at `at`. The share is of the last `interval` at most: who was not read before did not
    /// run before, so that it did not wait either. `None`: there is nothing to compare with, no time has passed, or the
    /// totals fell, which are those of another then.
    pub fn observe(&mut self, key: K, stalled: Stalled, at: Nanos, interval: Nanos) -> Option<Pressure> {
        let (before, since) = self.last.insert(key, (stalled, at))?;
        let span = at.saturating_sub(since).min(interval);
        let share = |now: Nanos, before: Nanos| {
            let grown = now.0.checked_sub(before.0)?;
            (span.0 > 0).then(|| (grown as f64 / span.0 as f64).min(1.0))
        };
        let full = stalled.full.zip(before.full).map(|(now, before)| share(now, before));
        Some(Pressure { some: share(stalled.some, before.some)?, full: full.flatten() })
    }

    /// Forgets who is gone.
    pub fn forget(&mut self, is_gone: impl Fn(K) -> bool) {
        self.last.retain(|key, _| !is_gone(*key));
    }

    /// Of how many something is kept.
    pub fn kept(&self) -> usize {
        self.last.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Nanos = Nanos(100);

    fn stalled(some: u64, full: Option<u64>) -> Stalled {
        Stalled { some: Nanos(some), full: full.map(Nanos) }
    }

    /// Shares at each reading, from when it was and the totals.
    fn shares(readings: &[(u64, u64, Option<u64>)]) -> Vec<Option<(f64, Option<f64>)>> {
        let mut tracker = PressureTracker::default();
        let share = |(at, some, full): &(u64, u64, Option<u64>)| {
            let pressure = tracker.observe((), stalled(*some, *full), Nanos(*at), INTERVAL);
            pressure.map(|pressure| (pressure.some, pressure.full))
        };
        readings.iter().map(share).collect()
    }

    #[test]
    fn a_share_is_growth_by_time() {
        let found = shares(&[(1_000, 500, Some(50)), (1_100, 550, Some(75)), (1_200, 550, Some(75))]);
        assert_eq!(found, [None, Some((0.5, Some(0.25))), Some((0.0, Some(0.0)))]);
        assert_eq!(shares(&[(0, 0, None), (50, 25, None)])[1], Some((0.5, None)), "a shorter interval");
        assert_eq!(shares(&[(0, 0, None), (900, 25, None)])[1], Some((0.25, None)), "it did not run in between");
        assert_eq!(shares(&[(0, 0, None), (100, 130, None)])[1], Some((1.0, None)), "never more than all");
    }

    #[test]
    fn what_cannot_be_told_is_not() {
        assert_eq!(shares(&[(5, 0, None), (5, 1, None)])[1], None, "no time");
        assert_eq!(shares(&[(0, 9, None), (100, 8, None), (200, 18, None)])[1..], [None, Some((0.1, None))], "it fell");
        assert_eq!(shares(&[(0, 0, Some(9)), (100, 10, Some(8))])[1], Some((0.1, None)), "one of them fell");
        assert_eq!(shares(&[(0, 0, None), (100, 10, Some(8))])[1], Some((0.1, None)), "there was none before");
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut tracker = PressureTracker::default();
        for key in [1, 2] {
            tracker.observe(key, stalled(0, None), Nanos(0), INTERVAL);
        }
        tracker.forget(|key| key == 1);
        assert_eq!(tracker.kept(), 1);
        assert_eq!(tracker.observe(1, stalled(50, None), Nanos(100), INTERVAL), None);
        assert!(tracker.observe(2, stalled(50, None), Nanos(100), INTERVAL).is_some());
    }
}
