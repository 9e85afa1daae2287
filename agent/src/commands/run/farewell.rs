//! The end: what is left is sent, and what could not be is said.

use std::time::Duration;

use tracing::{info, warn};

use super::agent::Agent;

/// What is left to send after SIGTERM has so long: with what is to be said of it, ten seconds.
const DRAIN: Duration = Duration::from_secs(9);
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Agent {
    /// Sends what is left.
    pub(super) fn farewell(self) {
        sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]).ok();
        let accounts = self.exporter.stop(DRAIN);
        let left = accounts.metrics.map_or(0, |statistics| statistics.waiting.snapshots);
        if left > 0 {
            let rest = if self.is_kept { "their totals are kept and sent by the next run" } else { "and are lost" };
            warn!("{left} snapshots could not be sent in time; {rest}");
        }
        let events = accounts.events.map_or(0, |statistics| statistics.waiting.points);
        if events > 0 {
            warn!("{events} events could not be sent in time and are lost");
        }
        info!("ended");
        // Its own queue comes last: what it holds may be why the other could not be emptied.
        self.diagnostics.stop(LAST_WORDS);
    }
}
