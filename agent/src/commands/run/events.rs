//! Events of an interval, from the pipeline to the exporter, and what became of those before.

use super::agent::Agent;
use crate::{
    clock,
    pipeline::Interval,
    telemetry::describe::{EventsHealth, Observed},
};

impl Agent {
    /// After the snapshot: whose events they are is told by its resources.
    pub(super) fn tell_events(&mut self, interval: &mut Interval) {
        if interval.events.is_empty() {
            return;
        }
        let observed = Observed {
            host: &self.host,
            source: self.pipeline.meter.meter.source(),
            policy: self.pipeline.idle_policy(),
        };
        let occurrences = self.telemetry.events(std::mem::take(&mut interval.events), interval.usage.to, &observed);
        self.exporter.offer_events(&occurrences, clock::now().wall);
    }

    /// Why there are none although they were asked for.
    pub(super) fn no_events(&self) -> Option<&str> {
        self.pipeline.sources.without_events().filter(|_| self.config.events.any())
    }

    /// What became of events; `None`: none were asked for.
    pub(super) fn events_health(&self) -> Option<EventsHealth> {
        if !self.config.events.any() {
            return None;
        }
        let statistics = self.exporter.event_statistics();
        let in_queue = statistics.as_ref().map_or(0, |statistics| statistics.dropped.full.points);
        let own = [
            ("memory", self.pipeline.dropped_events()),
            ("queue", in_queue),
            ("no_destination", self.exporter.homeless_events()),
        ];
        let dropped = self.pipeline.sources.dropped_events().into_iter().chain(own).collect();
        Some(EventsHealth { exporter: statistics.as_ref().map(super::health::event_exporter), dropped })
    }
}
