//! Events on their way out: beside the metrics, through the same client, with a queue of their own.

use std::time::Duration;

use super::{Exporter, destination::Destination};
use crate::{
    outputs::otlp::{
        LogEncoder,
        http::Client,
        sender::{Settings, Statistics},
    },
    telemetry::events::Occurrences,
    units::Nanos,
};

impl Exporter {
    /// Hands the events of an interval over. `observed` is the wall clock.
    pub fn offer_events(&mut self, occurrences: &[Occurrences], observed: Nanos) {
        match &mut self.events {
            Some(events) => events.offer(occurrences, observed),
            None => self.homeless += occurrences.iter().map(|of| of.happened.events.len() as u64).sum::<u64>(),
        }
    }

    /// The accounts of the destination of events.
    pub fn event_statistics(&self) -> Option<Statistics> {
        self.events.as_ref().map(|events| events.handle.statistics())
    }

    /// Events that were dropped because there was no destination.
    pub const fn homeless_events(&self) -> u64 {
        self.homeless
    }

    /// Returns how many waited and are dropped.
    pub(super) fn redirect_events(&mut self, to: Option<(Client, Settings)>) -> u64 {
        match (self.events.take(), to) {
            (Some(events), Some((client, settings))) => {
                events.redirect(client, &settings);
                self.events = Some(events);
            }
            (None, Some((client, settings))) => {
                let mut encoder = LogEncoder::default();
                encoder.add(self.added.clone());
                self.events = Some(Destination::start(&self.runtime, client, &settings, encoder));
            }
            (Some(events), None) => {
                let (handle, task) = events.stop(Duration::ZERO);
                task.abort();
                let dropped = handle.statistics().waiting.points;
                self.homeless += dropped;
                return dropped;
            }
            (None, None) => {}
        }
        0
    }
}
