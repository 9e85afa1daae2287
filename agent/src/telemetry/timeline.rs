//! The time of points: it only goes forward, whatever the wall clock does.
//!
//! Time is the wall clock at an anchor plus what the boot clock counted since. A wall clock that is ahead of it
//! becomes the new anchor; one that is behind is not believed, for no receiver takes a point before an earlier one.

use crate::{samples::Instant, units::Nanos};

/// Shortest time between two snapshots. Prometheus keeps milliseconds: a series that is born starts one after
/// the snapshot before it and one before its own first value.
pub const STEP: Nanos = Nanos::from_millis(2);

/// The time of the last snapshot, and how to get to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Boot clock and time of points at one instant.
    anchor: (Nanos, Nanos),
    last: Nanos,
}

impl Timeline {
    /// Starts at `now`, and not before `last`: the time of the last snapshot before a restart, 0 if there was none.
    pub fn new(now: Instant, last: Nanos) -> Self {
        let start = now.wall.max(last);
        Self { anchor: (now.boottime, start), last: start }
    }

    /// Time of the last snapshot, or of the start.
    pub fn last(&self) -> Nanos {
        self.last
    }

    /// Start of what begins after the last snapshot.
    pub fn birth(&self) -> Nanos {
        self.last + Nanos::from_millis(1)
    }

    /// Time of a snapshot taken at `now`.
    pub fn advance(&mut self, now: Instant) -> Nanos {
        let (boottime, at) = self.anchor;
        let elapsed = at + now.boottime.saturating_sub(boottime);
        let next = elapsed.max(now.wall).max(self.last + STEP);
        self.anchor = (boottime.max(now.boottime), next);
        self.last = next;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = Nanos::from_secs(1);

    fn at(boottime: u64, wall: u64) -> Instant {
        let (boottime, wall) = (Nanos::from_secs(boottime), Nanos::from_secs(wall));
        Instant { monotonic: boottime, boottime, wall }
    }

    #[test]
    fn steps_of_the_wall_clock_are_followed_forward_only() {
        let mut timeline = Timeline::new(at(10, 10_000), Nanos(0));
        let rows = [
            ("even", at(25, 10_015), 10_015),
            ("an hour back", at(40, 10_030 - 3_600), 10_030),
            ("still back", at(55, 10_045 - 3_600), 10_045),
            ("an hour ahead", at(70, 10_060 + 3_600), 13_660),
            ("and right again", at(85, 10_075), 13_675),
        ];
        for (what, now, expected) in rows {
            assert_eq!(timeline.advance(now), Nanos::from_secs(expected), "{what}");
        }
    }

    #[test]
    fn time_goes_on_where_both_clocks_stand() {
        let mut timeline = Timeline::new(at(10, 1_000), Nanos(0));
        let first = timeline.advance(at(10, 1_000));
        let birth = timeline.birth();
        let second = timeline.advance(at(9, 0));
        assert!(Nanos::from_secs(1_000) < first && first < birth && birth < second);
        assert_eq!(second - first, STEP);
    }

    #[test]
    fn a_restart_does_not_go_back() {
        let mut timeline = Timeline::new(at(10, 1_000), Nanos::from_secs(5_000));
        assert_eq!(timeline.advance(at(11, 1_001)), Nanos::from_secs(5_000) + SECOND);
        // Never behind the wall clock: an hour down is an hour in the series.
        assert_eq!(Timeline::new(at(10, 9_000), Nanos::from_secs(5_000)).last(), Nanos::from_secs(9_000));
    }
}
