//! Whether two interfaces to the same counters tell the same: each is read twice, and the mean powers between are compared.

use std::{collections::BTreeMap, fmt};

use super::{
    Instant, ZoneInfo, ZoneKey, ZoneReading,
    counter::{Bounds, Step, step},
};
use crate::units::{Microjoules, Nanos, Watts};

/// How far apart two powers may be, as a share of the larger.
const TOLERANCE: f64 = 0.02;
/// Energy that the steps of counters and the time between two reads make: less says nothing.
const NOISE: Microjoules = Microjoules(10_000);

/// How long to count before comparing.
const SPAN: Nanos = Nanos::from_secs(1);
/// What the time between two reads may be of the span, as its inverse: whoever was preempted between them would
/// tell a difference that is none.
const SHARPNESS: u64 = 200;

/// The first readings of both.
#[derive(Clone, Debug)]
pub struct CrossCheck {
    since: Instant,
    /// How long both first readings took together.
    took: Nanos,
    ours: Values,
    theirs: Values,
}

type Values = BTreeMap<ZoneKey, (Microjoules, Instant)>;

/// A zone of which two interfaces tell different powers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disagreement {
    /// Which zone.
    pub key: ZoneKey,
    /// By the meter in use.
    pub ours: Watts,
    /// By the other one.
    pub theirs: Watts,
}

impl CrossCheck {
    /// From readings between `since` and `until`.
    pub fn begin(since: Instant, until: Instant, ours: &[ZoneReading], theirs: &[ZoneReading]) -> Self {
        Self { since, took: between(since, until), ours: values(ours), theirs: values(theirs) }
    }

    /// Whether it has been long enough.
    pub fn is_due(&self, now: Instant) -> bool {
        between(self.since, now) >= SPAN
    }

    /// Whether readings between `since` and `until` can be compared with the first: both pairs took little of the span.
    pub fn is_sharp(&self, since: Instant, until: Instant) -> bool {
        let blur = self.took + between(since, until);
        blur.0.saturating_mul(SHARPNESS) <= between(self.since, since).0
    }

    /// The zones that both tell, and differently. What a counter did that is no plain step is not compared.
    pub fn end(
        &self,
        (our_zones, ours): (&[ZoneInfo], &[ZoneReading]),
        (their_zones, theirs): (&[ZoneInfo], &[ZoneReading]),
    ) -> Vec<Disagreement> {
        let ours = powers(&self.ours, our_zones, &values(ours));
        let theirs = powers(&self.theirs, their_zones, &values(theirs));
        let both = ours.into_iter().filter_map(|(key, ours)| Some((key, ours, *theirs.get(&key)?)));
        both.filter(|(_, ours, theirs)| is_apart(*ours, *theirs))
            .map(|(key, (ours, _), (theirs, _))| Disagreement { key, ours, theirs })
            .collect()
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.key.kind.name();
        let socket = self.key.scope.socket().map_or_else(String::new, |socket| format!(" of socket {socket}"));
        let (ours, theirs) = (self.ours.0, self.theirs.0);
        write!(
            f,
            "perf and powercap disagree on the {kind}{socket}: {ours:.2} W and {theirs:.2} W over the same second; perf is used, do not trust it before you know why"
        )
    }
}

fn between(since: Instant, until: Instant) -> Nanos {
    until.monotonic.saturating_sub(since.monotonic)
}

fn values(readings: &[ZoneReading]) -> Values {
    readings.iter().filter_map(|zone| Some((zone.key, (zone.counter.ok()?, zone.at)))).collect()
}

fn powers(before: &Values, zones: &[ZoneInfo], after: &Values) -> BTreeMap<ZoneKey, (Watts, Nanos)> {
    let power = |zone: &ZoneInfo| {
        let (first, last) = (*before.get(&zone.key)?, *after.get(&zone.key)?);
        let span = between(first.1, last.1);
        match step(Some(first), last, &Bounds::from(zone)) {
            Step::Delta(energy) | Step::Wrapped(energy) => Some((zone.key, (energy.over(span), span))),
            Step::First | Step::Reset | Step::Gap => None,
        }
    };
    zones.iter().filter_map(power).collect()
}

fn is_apart((ours, span): (Watts, Nanos), (theirs, _): (Watts, Nanos)) -> bool {
    let apart = Watts((ours.0 - theirs.0).abs());
    apart.0 > TOLERANCE * f64::max(ours.0, theirs.0) && apart.during(span) > NOISE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Scope, ZoneError, ZoneKind};

    fn zone(socket: u32, range: u64) -> ZoneInfo {
        ZoneInfo {
            key: ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(socket) },
            hw_id: String::new(),
            parent: None,
            range: Microjoules(range),
            unit: Microjoules(62),
            max_power: Watts(1_000.0),
        }
    }

    fn at(millis: u64) -> Instant {
        let now = Nanos::from_millis(millis);
        Instant { monotonic: now, boottime: now, wall: now }
    }

    fn reading(socket: u32, millis: u64, value: Option<u64>) -> ZoneReading {
        let counter = value.map(Microjoules).ok_or(ZoneError::Retry);
        ZoneReading { key: zone(socket, 1).key, at: at(millis), counter }
    }

    /// Powers of socket 0 that disagree, when both counters advance so within a second, 3 ms apart.
    fn compare(ours: Option<u64>, theirs: Option<u64>) -> Vec<Disagreement> {
        const RANGE: u64 = 65_532_610_987;
        let check = CrossCheck::begin(at(0), at(3), &[reading(0, 0, Some(5))], &[reading(0, 3, Some(RANGE - 1_000))]);
        assert!(!check.is_due(at(999)) && check.is_due(at(1_000)));
        let ours = [reading(0, 1_000, ours.map(|value| 5 + value)), reading(1, 1_000, Some(1))];
        let theirs = [reading(0, 1_003, theirs.map(|value| (RANGE - 1_000 + value) % RANGE))];
        check.end((&[zone(0, u64::MAX), zone(1, u64::MAX)], &ours), (&[zone(0, RANGE)], &theirs))
    }

    #[test]
    fn two_percent_are_tolerated_and_more_is_said() {
        assert_eq!(compare(Some(50_000_000), Some(49_010_000)), []);
        let apart = compare(Some(50_000_000), Some(48_990_000));
        let [Disagreement { ours, theirs, .. }] = apart[..] else { panic!("{apart:?}") };
        assert_eq!((ours, theirs), (Watts(50.0), Watts(48.99)));
        let said = apart[0].to_string();
        assert!(said.contains("package of socket 0: 50.00 W and 48.99 W"), "{said}");
        assert_eq!(compare(Some(48_000_000), Some(50_000_000)).len(), 1, "either way");
        assert_eq!(compare(Some(50_000_000), Some(0)).len(), 1, "one stands still");
    }

    #[test]
    fn who_was_preempted_between_the_two_waits_longer() {
        let check = CrossCheck::begin(at(0), at(3), &[], &[]);
        assert!(check.is_sharp(at(1_000), at(1_002)) && !check.is_sharp(at(1_000), at(1_003)));
        assert!(!check.is_sharp(at(5_000), at(5_060)) && check.is_sharp(at(15_000), at(15_060)));
    }

    #[test]
    fn what_cannot_be_compared_is_not() {
        assert_eq!(compare(None, Some(1)), []);
        assert_eq!(compare(Some(1), None), []);
        assert_eq!(compare(Some(9_000), Some(0)), [], "steps of the counters");
        assert_eq!(compare(Some(2_000_000_000), Some(1)), [], "a reset");
    }
}
