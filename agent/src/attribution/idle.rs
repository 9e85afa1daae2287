//! The idle floor of a zone: the power it draws when nobody works, and how it is known.
//!
//! The floor is only ever asked of one zone of one socket. The power model has an idle part of its own
//! and needs no floor.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::units::{Nanos, Watts};

/// Quiet seconds needed before the floor counts as measured.
const QUIET_NEEDED: usize = 60;
/// Quiet seconds kept: an hour, so that the floor follows the seasons of the machine room.
const QUIET_KEPT: usize = 3_600;
/// A second is quiet below this busy share.
const QUIET_SHARE: f64 = 0.05;
/// A shorter span is no quiet second: counters advance in steps of a millisecond, and the floor is taken from the lowest powers.
const QUIET_SPAN: Nanos = Nanos::from_millis(500);

/// How an idle floor is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleOrigin {
    /// The operator said so.
    Configured,
    /// Measured by an earlier run on this machine.
    Saved,
    /// Measured by this run.
    Measured,
    /// Derived from the powers seen and the CPU family's ratio.
    Assumed,
    /// The power model knows its idle part.
    Model,
}

impl IdleOrigin {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Saved => "saved",
            Self::Measured => "measured",
            Self::Assumed => "assumed",
            Self::Model => "model",
        }
    }
}

/// Idle power of one zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// `P0`.
    pub watts: Watts,
    /// How it is known.
    pub origin: IdleOrigin,
}

/// Why a power cannot be an idle floor.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("an idle floor of {} W makes no sense: give a finite power of 0 or more", .0.0)]
pub struct InvalidFloor(pub Watts);

/// What is known of one zone's idle power. Bounded: an hour of quiet seconds, 29 kB.
#[derive(Clone, Debug)]
pub struct IdleTracker {
    saved: Option<Watts>,
    /// `r`: idle share of full power of the CPU's family.
    ratio: f64,
    quiet: VecDeque<Watts>,
    lowest: Option<Watts>,
    highest: Option<Watts>,
}

impl IdleTracker {
    /// `ratio` is [`super::model::idle_ratio`]; a power that is no power is refused.
    pub fn new(saved: Option<Watts>, ratio: f64) -> Result<Self, InvalidFloor> {
        let empty = Self { saved, ratio, quiet: VecDeque::new(), lowest: None, highest: None };
        saved.filter(|watts| !is_power(*watts)).map_or(Ok(empty), |watts| Err(InvalidFloor(watts)))
    }

    /// Takes the mean power over a span of about one second and the busy share of the zone's CPUs in it.
    pub fn observe(&mut self, power: Watts, busy: f64, span: Nanos) {
        if !is_power(power) {
            return;
        }
        self.lowest = Some(self.lowest.map_or(power, |lowest| Watts(lowest.0.min(power.0))));
        self.highest = Some(self.highest.map_or(power, |highest| Watts(highest.0.max(power.0))));
        if (0.0..QUIET_SHARE).contains(&busy) && span >= QUIET_SPAN {
            self.quiet.truncate(QUIET_KEPT - 1);
            self.quiet.push_front(power);
        }
    }

    /// The floor in force: configured, else saved, else measured, else assumed. `None`: no power was seen yet.
    /// `configured` is this zone's part of what the operator gave for the machine.
    pub fn floor(&self, configured: Option<Watts>) -> Option<Floor> {
        let floor = |watts, origin| Floor { watts, origin };
        let configured = configured.map(|watts| floor(watts, IdleOrigin::Configured));
        let saved = self.saved.map(|watts| floor(watts, IdleOrigin::Saved));
        let measured = || self.measured().map(|watts| floor(watts, IdleOrigin::Measured));
        let assumed = || self.assumed().map(|watts| floor(watts, IdleOrigin::Assumed));
        configured.or(saved).or_else(measured).or_else(assumed)
    }

    /// What a later run uses as saved: what this one measured, else what it was given.
    pub fn to_save(&self) -> Option<Watts> {
        self.measured().or(self.saved)
    }

    /// 5th percentile (nearest rank) of the quiet seconds' power; `None` before there are 60.
    pub fn measured(&self) -> Option<Watts> {
        if self.quiet.len() < QUIET_NEEDED {
            return None;
        }
        let mut powers: Vec<f64> = self.quiet.iter().map(|power| power.0).collect();
        let rank = powers.len().div_ceil(20) - 1;
        let (_, percentile, _) = powers.select_nth_unstable_by(rank, f64::total_cmp);
        Some(Watts(*percentile))
    }

    /// `min(lowest power seen, r × highest power seen)`
    fn assumed(&self) -> Option<Watts> {
        let (lowest, highest) = self.lowest.zip(self.highest)?;
        Some(Watts(f64::min(lowest.0, self.ratio * highest.0)))
    }
}

fn is_power(watts: Watts) -> bool {
    watts.0.is_finite() && watts.0 >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURED: Option<Watts> = Some(Watts(11.0));
    const SAVED: Option<Watts> = Some(Watts(22.0));
    const SECOND: Nanos = Nanos::from_secs(1);

    fn tracker(saved: Option<Watts>, quiet: u32) -> IdleTracker {
        let mut tracker = IdleTracker::new(saved, 0.25).expect("powers");
        tracker.observe(Watts(200.0), 0.9, SECOND);
        for second in 0..quiet {
            tracker.observe(Watts(60.0 + f64::from(second)), 0.049, SECOND);
        }
        tracker
    }

    fn is(tracker: &IdleTracker, watts: f64, origin: IdleOrigin) {
        is_with(tracker, None, watts, origin);
    }

    fn is_with(tracker: &IdleTracker, configured: Option<Watts>, watts: f64, origin: IdleOrigin) {
        let floor = tracker.floor(configured).expect("a floor");
        assert_eq!(floor.origin, origin);
        assert!((floor.watts.0 - watts).abs() < 1e-9, "{floor:?}");
    }

    #[test]
    fn the_chain_is_taken_in_order() {
        is_with(&tracker(SAVED, 60), CONFIGURED, 11.0, IdleOrigin::Configured);
        is(&tracker(SAVED, 60), 22.0, IdleOrigin::Saved);
        // 60 to 119 W: the third lowest of sixty is the 5th percentile.
        is(&tracker(None, 60), 62.0, IdleOrigin::Measured);
        is(&tracker(None, 61), 63.0, IdleOrigin::Measured);
        is(&tracker(None, 59), 50.0, IdleOrigin::Assumed);
        assert_eq!(IdleTracker::new(None, 0.25).expect("nothing").floor(None), None);
    }

    #[test]
    fn the_assumed_floor_is_the_lower_of_two() {
        let mut tracker = IdleTracker::new(None, 0.5).expect("nothing");
        tracker.observe(Watts(100.0), 0.8, SECOND);
        is(&tracker, 50.0, IdleOrigin::Assumed);
        tracker.observe(Watts(30.0), 0.8, SECOND);
        is(&tracker, 30.0, IdleOrigin::Assumed);
    }

    #[test]
    fn only_quiet_seconds_measure() {
        let mut tracker = IdleTracker::new(None, 0.25).expect("nothing");
        for busy in [0.05, 1.0, -0.1, f64::NAN].into_iter().cycle().take(400) {
            tracker.observe(Watts(80.0), busy, SECOND);
        }
        assert_eq!(tracker.measured(), None);
    }

    #[test]
    fn instants_are_no_quiet_seconds() {
        let mut tracker = IdleTracker::new(None, 0.25).expect("nothing");
        (0..400).for_each(|_| tracker.observe(Watts(80.0), 0.0, Nanos::from_millis(499)));
        assert_eq!(tracker.measured(), None);
    }

    #[test]
    fn what_was_measured_is_saved_and_what_was_saved_stays_until_then() {
        assert_eq!(tracker(None, 59).to_save(), None);
        assert_eq!(tracker(SAVED, 59).to_save(), SAVED);
        assert_eq!(tracker(SAVED, 60).to_save(), Some(Watts(62.0)));
    }

    #[test]
    fn nonsense_powers_are_not_seen() {
        let mut tracker = IdleTracker::new(None, 0.25).expect("nothing");
        for power in [f64::NAN, f64::INFINITY, -3.0] {
            tracker.observe(Watts(power), 0.0, SECOND);
            assert!(IdleTracker::new(Some(Watts(power)), 0.25).is_err());
        }
        assert_eq!(tracker.floor(None), None);
    }

    #[test]
    fn memory_is_bounded_and_old_seconds_leave() {
        let mut tracker = IdleTracker::new(None, 0.25).expect("nothing");
        for second in 0..20_000 {
            tracker.observe(Watts(if second < 10_000 { 10.0 } else { 70.0 }), 0.0, SECOND);
        }
        assert_eq!(tracker.quiet.len(), QUIET_KEPT);
        is(&tracker, 70.0, IdleOrigin::Measured);
    }
}
