//! Which idle floor each zone has in an interval.

use std::collections::BTreeMap;

use super::{
    Pipeline,
    meter::{self, Chosen, Meter},
};
use crate::{
    attribution::{
        idle::{Floor, IdleOrigin, IdleTracker},
        model,
    },
    samples::{ZoneKey, zone::ZoneSample},
    units::Watts,
};

/// Idle share of full power of a CPU family that no table knows.
const UNKNOWN_RATIO: f64 = 0.25;

impl Pipeline {
    /// The idle floor of each zone in an interval.
    pub(super) fn floors(&self, zones: &[ZoneSample]) -> BTreeMap<ZoneKey, Floor> {
        if let Meter::Model(model) = &self.meter.meter {
            let floor = Floor { watts: model.model.power(0.0), origin: IdleOrigin::Model };
            return BTreeMap::from([(meter::MODEL_ZONE, floor)]);
        }
        let whole: f64 = self.idle.keys().map(|key| energy_of(zones, *key)).sum();
        // The operator gives one figure for the machine: each zone takes the part of it that it has in the
        // energy measured, so that the parts add up to it.
        let part = |key| if whole > 0.0 { energy_of(zones, key) / whole } else { 0.0 };
        let configured = |key| self.idle_watts.map(|idle| Watts(idle.0 * part(key)));
        self.idle.iter().filter_map(|(key, tracker)| Some((*key, tracker.floor(configured(*key))?))).collect()
    }
}

fn energy_of(zones: &[ZoneSample], key: ZoneKey) -> f64 {
    zones.iter().find(|zone| zone.key == key).map_or(0.0, |zone| zone.energy.joules().0)
}

pub(super) fn idle_trackers(meter: &Chosen) -> BTreeMap<ZoneKey, IdleTracker> {
    let ratio = meter.processor.as_ref().and_then(|processor| model::idle_ratio(&processor.identity).ok());
    let zones = meter.meter.zones().iter().filter(|zone| zone.key.kind.is_attributed());
    let tracker = || IdleTracker::new(None, ratio.unwrap_or(UNKNOWN_RATIO)).ok();
    zones.filter_map(|zone| Some((zone.key, tracker()?))).collect()
}
