//! What is kept per zone between two readings, and what an interval of a zone amounts to.
//!
//! A zone may be polled several times within an interval, because its counter wraps faster than the
//! interval is long. Zones are independent: an error of one costs no other its delta. It stops at
//! energy per zone; whose energy it is, attribution decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Instant, ZoneError, ZoneInfo, ZoneKey, ZoneReading,
    counter::{Bounds, Step, is_gap, step},
};
use crate::units::{Microjoules, Nanos, Watts};

/// Why the energy of a span of time is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// The counter did not continue.
    Reset,
    /// Suspended, or too long between two readings.
    Gap,
    /// The zone could not be read.
    Error,
    /// No agent ran, and the meter does not tell what was used meanwhile.
    AgentDown,
}

impl UnknownReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Reset, Self::Gap, Self::Error, Self::AgentDown];

    /// The name metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Gap => "gap",
            Self::Error => "error",
            Self::AgentDown => "agent_down",
        }
    }
}

/// One zone's interval.
///
/// `covered + Σ unknown` is the time between the readings that were settled. A span that ends in a
/// failed read is settled by the next good read, if one comes before the next interval ends: then that
/// interval covers more time than it lasts. If none does, the span is unknown, so that it shows while the fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneSample {
    /// Which zone.
    pub key: ZoneKey,
    /// Energy used in `covered`.
    pub energy: Microjoules,
    /// Time that `energy` accounts for. 0: nothing is known of this interval, `energy` is no measurement.
    pub covered: Nanos,
    /// Time whose energy is unknown, by reason, suspended time included.
    pub unknown: [(UnknownReason, Nanos); 4],
}

impl ZoneSample {
    const fn new(key: ZoneKey) -> Self {
        const NONE: Nanos = Nanos(0);
        let unknown = [
            (UnknownReason::Reset, NONE),
            (UnknownReason::Gap, NONE),
            (UnknownReason::Error, NONE),
            (UnknownReason::AgentDown, NONE),
        ];
        Self { key, energy: Microjoules(0), covered: NONE, unknown }
    }

    /// Time whose energy is unknown, all reasons.
    pub fn unknown_time(&self) -> Nanos {
        self.unknown.iter().map(|(_, span)| *span).sum()
    }

    fn known(&mut self, energy: Microjoules, span: Nanos) {
        self.energy += energy;
        self.covered += span;
    }

    fn lost(&mut self, why: UnknownReason, span: Nanos) {
        if let Some((_, total)) = self.unknown.iter_mut().find(|(reason, _)| *reason == why) {
            *total += span;
        }
    }
}

/// The readings of all zones, accumulated until the interval is closed.
#[derive(Clone, Debug, Default)]
pub struct ZoneTracker {
    zones: BTreeMap<ZoneKey, Tracked>,
}

impl ZoneTracker {
    /// Takes one reading of one zone. The first reading of a zone only marks where it starts.
    ///
    /// Returns the mean power since the reading before, where it is known.
    pub fn observe(&mut self, zone: &ZoneInfo, reading: &ZoneReading) -> Option<Watts> {
        let bounds = Bounds::from(zone);
        let tracked = self.zones.entry(zone.key).or_insert_with(|| Tracked::new(zone.key));
        let (energy, covered) = (tracked.sample.energy, tracked.sample.covered);
        match reading.counter {
            Ok(value) => tracked.good(value, reading.at, &bounds),
            Err(ZoneError::Restarted) => tracked.restarted(reading.at),
            Err(ZoneError::Retry | ZoneError::Gone | ZoneError::Denied) => tracked.failed(reading.at, &bounds),
        }
        let span = tracked.sample.covered.saturating_sub(covered);
        (span.0 > 0).then(|| tracked.sample.energy.saturating_sub(energy).over(span))
    }

    /// Goes on from a reading of an earlier agent in the same boot: the next reading tells what was used since.
    pub fn resume(&mut self, key: ZoneKey, value: Microjoules, at: Instant) {
        let tracked = self.zones.entry(key).or_insert_with(|| Tracked::new(key));
        tracked.last = Last::Value { value, at, failed: None };
    }

    /// Time in which no agent ran and the meter counted nothing that could be told.
    pub fn agent_was_down(&mut self, key: ZoneKey, span: Nanos) {
        self.zones.entry(key).or_insert_with(|| Tracked::new(key)).sample.lost(UnknownReason::AgentDown, span);
    }

    /// The last good reading of each zone, for [`ZoneTracker::resume`].
    pub fn readings(&self) -> impl Iterator<Item = (ZoneKey, Microjoules, Instant)> {
        self.zones.iter().filter_map(|(key, tracked)| match tracked.last {
            Last::Value { value, at, .. } => Some((*key, value, at)),
            Last::Nothing | Last::Unreadable { .. } => None,
        })
    }

    /// Settles spans that end in a failed read as unknown: for the last interval, after which no good read comes.
    pub fn give_up(&mut self) {
        self.zones.values_mut().for_each(Tracked::give_up);
    }

    /// Ends the interval: one sample per zone ever observed, in the order of their keys.
    pub fn close(&mut self) -> Vec<ZoneSample> {
        self.zones.values_mut().map(Tracked::close).collect()
    }
}

#[derive(Clone, Debug)]
struct Tracked {
    last: Last,
    sample: ZoneSample,
    /// Whether the last interval ended in a failed read, and no good one came since.
    is_failing: bool,
}

/// Up to where the zone's time is settled.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// No reading yet.
    Nothing,
    /// This value at this instant; `failed`: the last of the reads after it that failed.
    Value { value: Microjoules, at: Instant, failed: Option<Instant> },
    /// No value to compare with; everything before is settled.
    Unreadable { since: Instant },
}

impl Tracked {
    fn new(key: ZoneKey) -> Self {
        Self { last: Last::Nothing, sample: ZoneSample::new(key), is_failing: false }
    }

    fn good(&mut self, value: Microjoules, at: Instant, bounds: &Bounds) {
        match self.last {
            Last::Nothing => {}
            Last::Unreadable { since } => self.sample.lost(UnknownReason::Error, elapsed(since, at)),
            Last::Value { value: before, at: since, failed } => {
                let span = elapsed(since, at);
                match step(Some((before, since)), (value, at), bounds) {
                    Step::Delta(energy) | Step::Wrapped(energy) => self.sample.known(energy, span),
                    Step::Reset => self.sample.lost(UnknownReason::Reset, span),
                    // Without the failed reads in between the gap would not have opened.
                    Step::Gap if failed.is_some() => self.sample.lost(UnknownReason::Error, span),
                    Step::Gap | Step::First => self.sample.lost(UnknownReason::Gap, span),
                }
            }
        }
        self.last = Last::Value { value, at, failed: None };
        self.is_failing = false;
    }

    fn failed(&mut self, at: Instant, bounds: &Bounds) {
        self.last = match self.last {
            Last::Nothing => Last::Unreadable { since: at },
            Last::Value { value, at: since, .. } if !is_gap(since, at, bounds) => {
                Last::Value { value, at: since, failed: Some(at) }
            }
            // Too old to be compared with anything that may come: its time is settled as unknown now,
            // so that a zone that never returns does not hide it.
            Last::Value { at: since, .. } | Last::Unreadable { since } => {
                self.sample.lost(UnknownReason::Error, elapsed(since, at));
                Last::Unreadable { since: at }
            }
        };
    }

    fn restarted(&mut self, at: Instant) {
        match self.last {
            Last::Nothing => {}
            Last::Value { at: since, failed: None, .. } => self.sample.lost(UnknownReason::Reset, elapsed(since, at)),
            Last::Value { at: since, failed: Some(_), .. } | Last::Unreadable { since } => {
                self.sample.lost(UnknownReason::Error, elapsed(since, at));
            }
        }
        self.last = Last::Unreadable { since: at };
    }

    fn give_up(&mut self) {
        if let Last::Value { at: since, failed: Some(at), .. } = self.last {
            self.sample.lost(UnknownReason::Error, elapsed(since, at));
            self.last = Last::Unreadable { since: at };
        }
    }

    fn close(&mut self) -> ZoneSample {
        if self.is_failing {
            self.give_up();
        }
        self.is_failing = matches!(self.last, Last::Value { failed: Some(_), .. });
        let next = ZoneSample::new(self.sample.key);
        std::mem::replace(&mut self.sample, next)
    }
}

/// Real time between two instants: a suspend counts.
fn elapsed(since: Instant, at: Instant) -> Nanos {
    at.boottime.saturating_sub(since.boottime)
}

#[cfg(test)]
mod tests;
