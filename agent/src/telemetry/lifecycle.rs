//! Which series are told, from their first point to their last.
//!
//! A series is born with a start time, lives, and ends when its entity does. Its final value is then repeated in
//! every snapshot until all destinations have one that holds it; one point says that it is gone, and it is
//! forgotten. Who is alive, and what is acknowledged, the caller says. It stops at one snapshot: outputs and
//! queues are elsewhere.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    catalog::{self, Kind, Metric},
    snapshot::{EntitySeries, Phase, Resource, Series, Snapshot, Value},
    timeline::Timeline,
};
use crate::{identity::Triplet, samples::Instant, units::Nanos};

mod record;
mod state;

pub use record::{LifecycleRecord, SeriesRecord};
use state::{End, State};

/// How long a final value is repeated at most.
pub const ENDED_FOR: Nanos = Nanos::from_secs(24 * 3_600);

/// How many series repeat a final value at most.
pub const ENDED_MAX: usize = 20_000;

/// One value as described for this instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The row of the catalogue.
    pub metric: &'static Metric,
    /// One value per key of [`Metric::attributes`].
    pub attributes: Vec<Cow<'static, str>>,
    /// The value.
    pub value: Value,
}

/// One entity as described for this instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// Who. The resource of the first description stays for as long as the entity is known: to a receiver, another
    /// attribute is another entity.
    pub resource: Arc<Resource>,
    /// Whether it lives: whether its sums can still grow.
    pub live: bool,
    /// Its values.
    pub points: Vec<Point>,
}

/// A snapshot, and who was told for the last time in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What the outputs are given.
    pub snapshot: Snapshot,
    /// Entities that are gone: their totals are to be retired, so that they start at 0 if they come back.
    pub forgotten: Vec<Triplet>,
}

/// The state kept between snapshots.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    timeline: Timeline,
    number: u64,
    acknowledged: u64,
    dropped: u64,
    ended_max: usize,
    entities: BTreeMap<Triplet, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    resource: Arc<Resource>,
    /// Since a restart it was not described: of its resource only the key is known.
    provisional: bool,
    live: bool,
    series: BTreeMap<Key, State>,
}

/// Place in the catalogue, then attributes: the order in which series are told.
type Key = (usize, Vec<Cow<'static, str>>);

impl Lifecycle {
    /// Nothing is known yet; what is told first has counted since `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            timeline: Timeline::new(now, Nanos(0)),
            number: 0,
            acknowledged: 0,
            dropped: 0,
            ended_max: ENDED_MAX,
            entities: BTreeMap::new(),
        }
    }

    /// Every destination holds the snapshot of this number, and with it the final values in it.
    pub fn acknowledge(&mut self, number: u64) {
        self.acknowledged = self.acknowledged.max(number.min(self.number));
    }

    /// Series forgotten before their final value was acknowledged.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Series known, those that repeat a final value among them.
    pub fn len(&self) -> usize {
        self.entities.values().map(|known| known.series.len()).sum()
    }

    /// Whether no series is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The snapshot of an instant. Entities that are not described any more end like those that do not live.
    pub fn tell(&mut self, now: Instant, described: Vec<Described>) -> Told {
        let birth = self.timeline.birth();
        let at = self.timeline.advance(now);
        self.number += 1;
        let here = End { since: now.boottime, first: self.number };
        for entity in described {
            let known = self.entities.entry(entity.resource.id.clone()).or_insert_with(|| Known::new(&entity.resource));
            known.take(entity, birth, here);
        }
        self.entities.values_mut().for_each(|known| known.end_unseen(here));
        let crowded = self.crowded(now.boottime);
        let mut told =
            Told { snapshot: Snapshot { number: self.number, at, entities: Vec::new() }, forgotten: Vec::new() };
        for (id, known) in &mut self.entities {
            let leaves = |state: &State| Leaves::of(state, id, self.acknowledged, &crowded);
            self.dropped += known.series.values().filter(|state| leaves(state) == Leaves::Dropped).count() as u64;
            let series = known.tell(|state| leaves(state) != Leaves::No);
            let resource = Arc::clone(&known.resource);
            told.snapshot.entities.extend((!series.is_empty()).then_some(EntitySeries { resource, series }));
            told.forgotten.extend((known.series.is_empty() && !known.live).then(|| id.clone()));
        }
        self.entities.retain(|_, known| !known.series.is_empty());
        told
    }

    /// Ends that must make room, the oldest first, and those that are too old.
    fn crowded(&self, now: Nanos) -> BTreeSet<(Nanos, Triplet)> {
        let mut ended: BTreeMap<(Nanos, &Triplet), usize> = BTreeMap::new();
        for (id, known) in &self.entities {
            for end in known.series.values().filter_map(State::waits) {
                if end.first > self.acknowledged {
                    *ended.entry((end.since, id)).or_default() += 1;
                }
            }
        }
        let mut excess = ended.values().sum::<usize>().saturating_sub(self.ended_max);
        let mut crowded = BTreeSet::new();
        for ((since, id), series) in ended {
            if excess == 0 && now.saturating_sub(since) < ENDED_FOR {
                break;
            }
            excess = excess.saturating_sub(series);
            crowded.insert((since, id.clone()));
        }
        crowded
    }
}

/// Whether, and why, a series is told for the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    No,
    Acknowledged,
    Dropped,
}

impl Leaves {
    fn of(state: &State, id: &Triplet, acknowledged: u64, crowded: &BTreeSet<(Nanos, Triplet)>) -> Self {
        match (state.end, state.waits()) {
            // A gauge has no final value that anybody would miss.
            (Some(_), None) => Self::Acknowledged,
            (Some(end), Some(_)) if end.first <= acknowledged => Self::Acknowledged,
            (Some(end), Some(_)) if crowded.contains(&(end.since, id.clone())) => Self::Dropped,
            (None, _) | (Some(_), Some(_)) => Self::No,
        }
    }
}

impl Known {
    fn new(resource: &Arc<Resource>) -> Self {
        Self { resource: Arc::clone(resource), provisional: false, live: false, series: BTreeMap::new() }
    }

    /// Takes the values of an instant over. Of one that does not live the gauges are not taken: they mean nothing.
    fn take(&mut self, entity: Described, birth: Nanos, here: End) {
        if std::mem::take(&mut self.provisional) {
            self.resource = entity.resource;
        }
        self.live = entity.live;
        let mut grew = false;
        let mut taken = Vec::new();
        for point in entity.points {
            if !entity.live && point.metric.kind == Kind::Gauge {
                continue;
            }
            let key = (catalog::position(point.metric), point.attributes);
            taken.push(key.clone());
            if let Some(state) = self.series.get_mut(&key) {
                grew |= state.update(point.value, birth);
            } else {
                grew = true;
                self.series.insert(key, State::born(point.metric, point.value, birth));
            }
        }
        // All series of an entity end together: none is gone while another still counts for it.
        for key in taken {
            let Some(state) = self.series.get_mut(&key) else { continue };
            state.seen = true;
            state.end = match state.end {
                _ if entity.live => None,
                Some(end) if !grew => Some(end),
                Some(end) => Some(End { first: here.first, ..end }),
                None => Some(here),
            };
        }
    }

    fn end_unseen(&mut self, here: End) {
        self.live &= self.series.values().any(|state| state.seen);
        for state in self.series.values_mut().filter(|state| !state.seen) {
            state.end.get_or_insert(here);
        }
    }

    fn tell(&mut self, leaves: impl Fn(&State) -> bool) -> Vec<Series> {
        let mut told = Vec::new();
        self.series.retain(|(_, attributes), state| {
            let gone = leaves(state);
            let phase = match (gone, std::mem::take(&mut state.born), state.end) {
                (true, _, _) => Phase::Gone,
                (false, true, _) => Phase::Born,
                (false, false, Some(_)) => Phase::Ended,
                (false, false, None) => Phase::Live,
            };
            state.seen = false;
            let attributes = attributes.clone();
            told.push(Series {
                metric: state.metric,
                attributes,
                start: state.start,
                phase,
                value: state.value.clone(),
            });
            !gone
        });
        told
    }
}

#[cfg(test)]
mod tests;
