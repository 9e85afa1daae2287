//! What one agent leaves to the next: totals, raw counters, idle floors.

use super::{
    Pipeline,
    state::{Saved, SavedZone},
};
use crate::{
    attribution::books::{Usage, attribute},
    carbon::footprint::footprint,
    clock,
    probes::host,
    samples::disk::DiskSample,
    telemetry::describe::TelemetryRecord,
    units::{Nanos, Watts},
};

impl Pipeline {
    pub(super) fn resume(&mut self, saved: &Saved, boot_id: Option<&str>) {
        self.ledger = saved.ledger.clone().into();
        if boot_id != Some(saved.boot_id.as_str()) {
            // The machine was off for an unknown part of the time.
            return;
        }
        let meter = &self.meter.meter;
        let continues = meter.counts_by_itself() && saved.source == Some(meter.source());
        let down = clock::now().boottime.saturating_sub(saved.at.boottime);
        for zone in self.meter.meter.zones() {
            match saved.meters.iter().find(|saved| saved.key == zone.key) {
                Some(last) if continues => self.zones.resume(last.key, last.counter, last.at),
                _ => self.zones.agent_was_down(zone.key, down),
            }
        }
    }

    /// What was used while no agent ran is nobody's.
    pub(super) fn post_downtime(&mut self) {
        let zones = self.zones.close();
        let attribution = attribute(&zones, |_| Watts(0.0), &Usage::default());
        let footprint = footprint(&attribution, &self.factors, Nanos(0));
        let nobody = self.nobody(&attribution, &footprint, &DiskSample::default());
        self.ledger.post(&attribution, &[], &nobody);
    }

    /// What a later agent needs to go on, with what the outputs keep.
    pub fn saved(&self, telemetry: TelemetryRecord) -> Saved {
        let meters = self.zones.readings().map(|(key, counter, at)| SavedZone { key, counter, at });
        let boot_id = host::boot_id(&self.sources.root).unwrap_or_default();
        let mut saved = Saved::new(boot_id, clock::now(), (&self.ledger).into(), telemetry, meters.collect());
        saved.source = Some(self.meter.meter.source());
        saved.floors = self.floors_to_save();
        saved
    }
}
