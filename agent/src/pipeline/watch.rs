//! Which zones could not be read since the last interval, for whoever says so. What that does to figures, `samples::zone`
//! decides; how often it is said, `diagnostics::faults`.

use std::collections::BTreeMap;

use crate::samples::{ZoneError, ZoneInfo, ZoneKey, ZoneReading};

/// How reading one zone went in an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneHealth {
    /// The zone's name in the hardware's interface.
    pub hw_id: String,
    /// Reads that failed.
    pub failed: u64,
    /// Why the last of them did; `None`: all went well.
    pub error: Option<ZoneError>,
}

/// Counts failed reads by zone.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(BTreeMap<ZoneKey, ZoneHealth>);

impl Watch {
    pub(super) fn note(&mut self, zone: &ZoneInfo, reading: &ZoneReading) {
        let fresh = || ZoneHealth { hw_id: zone.hw_id.clone(), failed: 0, error: None };
        let health = self.0.entry(zone.key).or_insert_with(fresh);
        if let Err(error) = reading.counter {
            health.failed = health.failed.saturating_add(1);
            health.error = Some(error);
        }
    }

    /// Each zone that was read since the last call.
    pub(super) fn close(&mut self) -> Vec<ZoneHealth> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        samples::{Instant, Scope, ZoneKind},
        units::{Microjoules, Watts},
    };

    #[test]
    fn failed_reads_are_counted_by_zone_until_the_interval_ends() {
        let mut watch = Watch::default();
        let zone = |socket| ZoneInfo {
            key: ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(socket) },
            hw_id: format!("intel-rapl:{socket}"),
            parent: None,
            range: Microjoules(1),
            unit: Microjoules(1),
            max_power: Watts(1.0),
        };
        let mut note = |socket, counter| {
            let zone = zone(socket);
            watch.note(&zone, &ZoneReading { key: zone.key, at: Instant::default(), counter });
        };
        note(0, Err(ZoneError::Gone));
        note(0, Err(ZoneError::Retry));
        note(0, Ok(Microjoules(1)));
        note(1, Ok(Microjoules(1)));
        let health = |socket: u32, failed, error| ZoneHealth { hw_id: format!("intel-rapl:{socket}"), failed, error };
        assert_eq!(watch.close(), [health(0, 2, Some(ZoneError::Retry)), health(1, 0, None)]);
        assert_eq!(watch.close(), []);
    }
}
