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
pub(super) struct Polls {
    tick: u64,
    last: BTreeMap<ZoneKey, (u64, Instant)>,
}

impl Polls {
    /// Begins a tick.
    pub(super) const fn begin(&mut self) {
        self.tick = self.tick.wrapping_add(1);
    }

    /// Whether a zone is to be read in a tick at `now`, by the load since the tick before; `here` is where the reader runs.
    pub(super) fn is_due(&self, zone: &ZoneInfo, load: &Load, here: Option<Place>, now: Instant) -> bool {
        let scope = zone.key.scope;
        let is_awake =
            scope == Scope::Machine || here.is_none_or(|here| scope.covers(here)) || load.busy(scope) >= AWAKE;
        let Some((_, last)) = self.last.get(&zone.key) else { return true };
        // A zone that would wait for one more second.
        let patience = counter::poll_interval([zone.into()]).map(|poll| poll.saturating_sub(Nanos::from_secs(1)));
        is_awake || patience.is_none_or(|patience| now.monotonic.saturating_sub(last.monotonic) >= patience)
    }

    /// A zone was read. Whether it was in the tick before, too, so that the tick's load is that of its own span.
    pub(super) fn note(&mut self, key: ZoneKey, at: Instant) -> bool {
        let before = self.last.insert(key, (self.tick, at));
        before.is_some_and(|(tick, _)| self.tick == tick.wrapping_add(1))
    }
}

impl Pipeline {
    /// Reads `all` zones, or those that can be read without waking a package.
    pub(super) fn read_meter(&mut self, load: &Load, all: bool) {
        self.polls.begin();
        let (now, here) = (clock::now(), self.sources.here());
        let compares = self.meter.witness.as_ref().is_some_and(|witness| witness.is_due(now));
        let (meter, polls) = (&mut self.meter.meter, &self.polls);
        let is_due = |zone: &ZoneInfo| all || compares || polls.is_due(zone, load, here, now);
        let mut readings = meter.read(clock::now, load, &is_due);
        if compares {
            self.compare(&readings);
        }
        let is_restarted = |reading: &&ZoneReading| reading.counter == Err(ZoneError::Restarted);
        let restarted: Vec<ZoneKey> = readings.iter().filter(is_restarted).map(|reading| reading.key).collect();
        if !restarted.is_empty() {
            // Where it begins is known: what it counts from here on is not lost, too.
            let again = |zone: &ZoneInfo| restarted.contains(&zone.key);
            readings.extend(self.meter.meter.read(clock::now, load, &again));
        }
        for reading in &readings {
            self.take_reading(reading, load);
        }
    }

    fn take_reading(&mut self, reading: &ZoneReading, load: &Load) {
        let Some(zone) = self.meter.meter.zones().iter().find(|zone| zone.key == reading.key) else { return };
        self.watch.note(zone, reading);
        let is_second = self.polls.note(zone.key, reading.at);
        if let Some(power) = self.zones.observe(zone, reading).filter(|_| is_second)
            && let (Some(tracker), Some(busy)) = (self.idle.get_mut(&zone.key), load.share(zone.key.scope))
        {
            tracker.observe(power, busy, load.span);
        }
    }

    fn compare(&mut self, readings: &[ZoneReading]) {
        let Some(witness) = &mut self.meter.witness else { return };
        let Some(apart) = witness.observe(self.meter.meter.zones(), readings, clock::now) else { return };
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
        polls.begin();
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
    fn only_two_ticks_on_end_are_a_second() {
        let mut polls = Polls::default();
        let key = zone(Scope::Socket(1), 1).key;
        let ticks = [true, true, false, true, true].map(|is_read| {
            polls.begin();
            is_read && polls.note(key, at(0))
        });
        assert_eq!(ticks, [false, true, false, false, true]);
    }
}
