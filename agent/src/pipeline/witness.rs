//! Powercap beside perf: read until the two were compared once, over the first second of measuring. No start waits for it.

use crate::{
    probes::powercap::Powercap,
    samples::{
        Instant, ZoneInfo, ZoneReading,
        cross_check::{CrossCheck, Disagreement},
    },
};

/// The other interface to the counters of the meter in use.
#[derive(Debug)]
pub struct Witness {
    powercap: Powercap,
    check: Option<CrossCheck>,
}

impl Witness {
    pub(super) const fn new(powercap: Powercap) -> Self {
        Self { powercap, check: None }
    }

    /// Whether a reading at `now` should be compared.
    pub fn is_due(&self, now: Instant) -> bool {
        self.check.as_ref().is_none_or(|check| check.is_due(now))
    }

    /// Takes a reading of the meter in use, begun at `since`, and reads its own; the zones that differ, once it can tell.
    pub fn observe(
        &mut self,
        since: Instant,
        (zones, readings): (&[ZoneInfo], &[ZoneReading]),
        now: impl Fn() -> Instant,
    ) -> Option<Vec<Disagreement>> {
        let own = self.powercap.read(&now, &|_| true);
        let until = now();
        let Some(check) = &self.check else {
            self.check = Some(CrossCheck::begin(since, until, readings, &own));
            return None;
        };
        let can_tell = check.is_due(since) && check.is_sharp(since, until);
        can_tell.then(|| check.end((zones, readings), (self.powercap.zones(), &own)))
    }
}
