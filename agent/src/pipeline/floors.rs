//! Which idle floor each zone has in an interval, and which ones an earlier run left.

use std::{collections::BTreeMap, path::Path};

use super::{
    Pipeline,
    meter::{self, Chosen, Meter},
    state::{Measured, SavedFloors},
};
use crate::{
    attribution::{
        idle::{Floor, IdleOrigin, IdleTracker},
        model,
    },
    probes::host,
    samples::{EnergySource, ZoneInfo, ZoneKey, zone::ZoneSample},
    units::Watts,
};

/// Idle share of full power of a CPU family that no table knows.
const UNKNOWN_RATIO: f64 = 0.25;

impl Pipeline {
    /// The floors for a later run.
    pub(super) fn floors_to_save(&self) -> Option<SavedFloors> {
        let hardware = hardware(&self.sources.root, &self.meter)?;
        let zones = self.idle.iter().filter_map(|(key, tracker)| Some((*key, tracker.to_save()?.0))).collect();
        // The model has an idle part of its own.
        Some(SavedFloors { hardware, zones }).filter(|floors| floors.hardware.source != EnergySource::Model)
    }

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

/// A tracker for each zone, with what an earlier run measured on the same hardware.
pub(super) fn idle_trackers(
    root: &Path,
    meter: &Chosen,
    saved: Option<&SavedFloors>,
) -> BTreeMap<ZoneKey, IdleTracker> {
    let ratio = meter.processor.as_ref().and_then(|processor| model::idle_ratio(&processor.identity).ok());
    let here = hardware(root, meter);
    let saved = saved.filter(|saved| here.as_ref().is_some_and(|here| saved.hardware.is_same(here)));
    let floor = |zone: &ZoneInfo| {
        let (_, watts) = saved?.zones.iter().find(|(key, _)| *key == zone.key)?;
        // No machine idles at what its zone cannot reach.
        Some(Watts(*watts)).filter(|watts| watts.0 >= 0.0 && watts.0 < zone.max_power.0)
    };
    let zones = meter.meter.zones().iter().filter(|zone| zone.key.kind.is_attributed());
    let tracker = |zone| IdleTracker::new(floor(zone), ratio.unwrap_or(UNKNOWN_RATIO)).ok();
    zones.filter_map(|zone| Some((zone.key, tracker(zone)?))).collect()
}

/// What the floors depend on; `None`: they cannot be told from another machine's.
fn hardware(root: &Path, meter: &Chosen) -> Option<Measured> {
    let processor = meter.processor.as_ref()?;
    Some(Measured {
        host: host::host_id(root).ok()?.id,
        processor: format!("{:?}", processor.identity),
        memory: processor.memory.0,
        source: meter.meter.source(),
    })
}
