//! Tells the service manager that the loop goes on. Only the loop does, so silence means that it hangs.

use std::cell::Cell;

use sd_notify::NotifyState;

use crate::units::Nanos;

/// The loop asks at least so often.
const ASKS: Nanos = Nanos::from_secs(1);
/// It may ask far more often than anybody wants to know.
const SHORTEST: Nanos = Nanos::from_millis(100);

/// The service manager's watchdog.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// `None`: nobody watches.
    every: Option<Nanos>,
    last: Cell<Option<Nanos>>,
}

impl Watchdog {
    /// As the service manager asks for it, in `WATCHDOG_USEC`.
    pub(super) fn of_service() -> Self {
        let mut micros = 0;
        let is_watched = sd_notify::watchdog_enabled(false, &mut micros);
        Self::new(is_watched.then(|| Nanos(micros.saturating_mul(1_000))))
    }

    /// Half of `patience` is the most that may pass between two signs of life.
    fn new(patience: Option<Nanos>) -> Self {
        let every = patience.map(|patience| Nanos(patience.0 / 2).saturating_sub(ASKS).max(SHORTEST));
        Self { every, last: Cell::new(None) }
    }

    /// Gives a sign of life if it is time to.
    pub(super) fn feed(&self, now: Nanos) {
        if self.is_due(now) {
            // Without a manager that listens there is nobody to tell.
            sd_notify::notify(false, &[NotifyState::Watchdog]).ok();
        }
    }

    fn is_due(&self, now: Nanos) -> bool {
        let Some(every) = self.every else { return false };
        let is_due = self.last.get().is_none_or(|last| now.saturating_sub(last) >= every);
        if is_due {
            self.last.set(Some(now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest silence, when asked at the given instants.
    fn silence(patience: Nanos, asked: impl Iterator<Item = u64>) -> u64 {
        let watchdog = Watchdog::new(Some(patience));
        let due: Vec<u64> = asked.filter(|at| watchdog.is_due(Nanos::from_millis(*at))).collect();
        due.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    }

    #[test]
    fn asked_each_second_no_silence_is_longer_than_half_the_patience() {
        for (patience, longest) in [(2, 1_000), (3, 1_000), (10, 4_000), (11, 5_000), (30, 14_000)] {
            let found = silence(Nanos::from_secs(patience), (0..600_000).step_by(1_000));
            assert_eq!(found, longest, "{patience} s");
            assert!(found * 2 <= patience * 1_000);
        }
    }

    #[test]
    fn a_busy_loop_does_not_flood_the_manager() {
        assert_eq!(silence(Nanos::from_secs(1), 0..10_000), 100);
    }

    #[test]
    fn nobody_is_told_when_nobody_watches() {
        assert!(!Watchdog::new(None).is_due(Nanos(0)));
    }
}
