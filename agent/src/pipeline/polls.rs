//! Which zones a tick reads. Reading the counter of a package that sleeps wakes it: between the ends of intervals only
//! those are read whose package is awake anyway, or whose counter could wrap.

use std::collections::BTreeMap;

use super::Pipeline;
use crate::{
    clock,
    samples::{Instant, Place, Scope, ZoneError, ZoneInfo, ZoneKey, ZoneReading, counter, load::Load},
    units::Nanos,
};

/// A package whose CPUs were busy for less of a tick sleeps: timers and the like are shorter.
const AWAKE: Nanos = Nanos::from_millis(1);

/// When each zone was last read.
#[derive(Clone, Debug, Default)]
pub(super) struct Polls(BTreeMap<ZoneKey, Last>);

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Instant,
    /// Time since then whose load is known, and the part of it in which the zone's CPUs were busy, in seconds.
    span: Nanos,
    busy: f64,
}

impl Polls {
    /// Begins a tick, with the load since the one before.
    pub(super) fn begin(&mut self, load: &Load) {
        for (key, last) in &mut self.0 {
            if let Some(share) = load.share(key.scope) {
                last.span += load.span;
                last.busy += share * load.span.seconds();
            }
        }
    }

    /// Whether a zone is to be read in a tick at `now`, by the load since the tick before; `here` is where the reader runs.
    pub(super) fn is_due(&self, zone: &ZoneInfo, load: &Load, here: Option<Place>, now: Instant) -> bool {
        let scope = zone.key.scope;
        let is_awake =
            scope == Scope::Machine || here.is_none_or(|here| scope.covers(here)) || load.busy(scope) >= AWAKE;
        let Some(last) = self.0.get(&zone.key) else { return true };
        // A zone that would wait for one more second.
        let patience = counter::poll_interval([zone.into()]).map(|poll| poll.saturating_sub(Nanos::from_secs(1)));
        is_awake || patience.is_none_or(|patience| now.monotonic.saturating_sub(last.at.monotonic) >= patience)
    }

    /// A zone was read: the busy share of its CPUs since it was read before, and over how long. A package that was let sleep
    /// has one span of several ticks.
    pub(super) fn note(&mut self, key: ZoneKey, at: Instant) -> Option<(f64, Nanos)> {
        let before = self.0.insert(key, Last { at, span: Nanos(0), busy: 0.0 })?;
        (before.span.0 > 0).then(|| (before.busy / before.span.seconds(), before.span))
    }
}

/// When the zones that are shared out were read.
pub(super) struct Metered(Vec<(Scope, Nanos)>);

impl Metered {
    fn of(readings: &[ZoneReading]) -> Self {
        let shared = readings.iter().filter(|reading| reading.key.kind.is_attributed() && reading.counter.is_ok());
        Self(shared.map(|reading| (reading.key.scope, reading.at.monotonic)).collect())
    }

    /// For a CPU, the instant of the first zone that it draws from; `None`: none was read.
    pub(super) fn at(&self, place: Place) -> Option<Nanos> {
        self.0.iter().find(|(scope, _)| scope.covers(place)).map(|(_, at)| *at)
    }
}

impl Pipeline {
    /// Reads `all` zones, or those that can be read without waking a package.
    pub(super) fn read_meter(&mut self, load: &Load, all: bool) -> Metered {
        self.polls.begin(load);
        let (now, here) = (clock::now(), self.sources.here());
        let compares = self.meter.witness.as_ref().is_some_and(|witness| witness.is_due(now));
        let (meter, polls) = (&mut self.meter.meter, &self.polls);
        let is_due = |zone: &ZoneInfo| all || compares || polls.is_due(zone, load, here, now);
        let mut readings = meter.read(clock::now, load, &is_due);
        if compares {
            self.compare(now, &readings);
        }
        let is_restarted = |reading: &&ZoneReading| reading.counter == Err(ZoneError::Restarted);
        let restarted: Vec<ZoneKey> = readings.iter().filter(is_restarted).map(|reading| reading.key).collect();
        if !restarted.is_empty() {
            // Where it begins is known: what it counts from here on is not lost, too.
            let again = |zone: &ZoneInfo| restarted.contains(&zone.key);
            readings.extend(self.meter.meter.read(clock::now, load, &again));
        }
        for reading in &readings {
            self.take_reading(reading);
        }
        Metered::of(&readings)
    }

    fn take_reading(&mut self, reading: &ZoneReading) {
        let Some(zone) = self.meter.meter.zones().iter().find(|zone| zone.key == reading.key) else { return };
        self.watch.note(zone, reading);
        let (power, load) = (self.zones.observe(zone, reading), self.polls.note(zone.key, reading.at));
        if let (Some(power), Some((busy, span)), Some(tracker)) = (power, load, self.idle.get_mut(&zone.key)) {
            tracker.observe(power, busy, span);
        }
    }

    fn compare(&mut self, since: Instant, readings: &[ZoneReading]) {
        let Some(witness) = &mut self.meter.witness else { return };
        let Some(apart) = witness.observe(since, (self.meter.meter.zones(), readings), clock::now) else { return };
        self.remarks.extend(apart.iter().map(ToString::to_string));
        self.meter.witness = None;
    }

    /// What is to be said of the meter since the last call, in sentences.
    pub fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        samples::ZoneKind,
        units::{Microjoules, Watts},
    };

    fn zone(scope: Scope, range: u64) -> ZoneInfo {
        ZoneInfo {
            key: ZoneKey { kind: ZoneKind::Package, scope },
            hw_id: String::new(),
            parent: None,
            range: Microjoules(range),
            unit: Microjoules(62),
            max_power: Watts(1_000.0),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant { monotonic: Nanos::from_secs(seconds), ..Instant::default() }
    }

    fn load(busy: u64) -> Load {
        let places = [(Place { socket: 1, die: 0 }, (Nanos::from_millis(busy), 2))];
        Load { span: Nanos::from_secs(1), places: places.into() }
    }

    const HERE: Option<Place> = Some(Place { socket: 0, die: 0 });

    #[test]
    fn a_package_that_sleeps_is_let_sleep() {
        let mut polls = Polls::default();
        let (near, far) = (zone(Scope::Socket(0), u64::MAX), zone(Scope::Socket(1), u64::MAX));
        assert!(polls.is_due(&far, &load(0), HERE, at(0)), "where it starts is not known");
        polls.note(far.key, at(0));
        polls.note(near.key, at(0));
        assert!(polls.is_due(&near, &load(0), HERE, at(1)), "the reader is awake");
        assert!(!polls.is_due(&far, &load(0), HERE, at(1)));
        assert!(polls.is_due(&far, &load(1), HERE, at(1)));
        assert!(polls.is_due(&far, &load(0), None, at(1)), "the reader may be on it");
        assert!(polls.is_due(&zone(Scope::Machine, u64::MAX), &load(0), HERE, at(1)));
    }

    #[test]
    fn a_counter_that_could_wrap_is_read() {
        let mut polls = Polls::default();
        // A quarter of it lasts for 16 s at 1 kW.
        let far = zone(Scope::Socket(1), 65_532_610_987);
        polls.note(far.key, at(0));
        assert!(!polls.is_due(&far, &load(0), HERE, at(14)));
        assert!(polls.is_due(&far, &load(0), HERE, at(16)));
    }

    #[test]
    fn the_load_is_that_of_the_time_since_the_zone_was_read() {
        let mut polls = Polls::default();
        let key = zone(Scope::Socket(1), 1).key;
        assert_eq!(polls.note(key, at(0)), None);
        assert_eq!(polls.note(key, at(0)), None, "no time passed");
        for busy in [500, 100, 0] {
            polls.begin(&load(busy));
        }
        let (share, span) = polls.note(key, at(3)).expect("a load");
        assert!((share - 0.1).abs() < 1e-9 && span == Nanos::from_secs(3), "{share} {span:?}");
        polls.begin(&load(1_000));
        assert_eq!(polls.note(key, at(4)), Some((0.5, Nanos::from_secs(1))));
    }
}
