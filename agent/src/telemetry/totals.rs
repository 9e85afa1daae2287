//! Sums of the node that the ledger does not keep: hardware zones that are not shared out, and carbon.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    carbon::footprint::Footprint,
    samples::{ZoneKey, zone::ZoneSample},
    units::{Grams, Microjoules},
};

/// Sums since the first start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Energy of zones that contain, or lie inside, one that is shared out.
    pub hardware: BTreeMap<ZoneKey, Microjoules>,
    /// Operational carbon, idle included; `None`: no energy was ever known.
    pub operational: Option<Grams>,
    /// Embodied carbon; `None`: unknown.
    pub embodied: Option<Grams>,
}

/// What is kept of [`Totals`] across a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TotalsRecord {
    hardware: Vec<(ZoneKey, Microjoules)>,
    operational: Option<Grams>,
    embodied: Option<Grams>,
}

impl Totals {
    /// Adds an interval.
    pub fn post(&mut self, footprint: &Footprint, hardware: &[ZoneSample]) {
        for zone in hardware {
            *self.hardware.entry(zone.key).or_default() += zone.energy;
        }
        let operational = (footprint.covered.0 > 0).then_some(footprint.operational);
        self.operational = grown(self.operational, operational);
        self.embodied = grown(self.embodied, footprint.embodied);
    }
}

/// A sum never falls, and one that was known stays known.
fn grown(total: Option<Grams>, by: Option<Grams>) -> Option<Grams> {
    let Some(by) = by else { return total };
    Some(Grams((total.unwrap_or_default().0 + by.0.max(0.0)).min(f64::MAX)))
}

impl From<&Totals> for TotalsRecord {
    fn from(totals: &Totals) -> Self {
        let hardware = totals.hardware.iter().map(|(key, energy)| (*key, *energy)).collect();
        Self { hardware, operational: totals.operational, embodied: totals.embodied }
    }
}

impl From<TotalsRecord> for Totals {
    fn from(record: TotalsRecord) -> Self {
        let hardware = record.hardware.into_iter().collect();
        Self { hardware, operational: record.operational, embodied: record.embodied }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Nanos;

    fn footprint(operational: f64, embodied: Option<f64>, covered: u64) -> Footprint {
        let (operational, embodied) = (Grams(operational), embodied.map(Grams));
        Footprint { operational, embodied, covered: Nanos(covered), ..Footprint::default() }
    }

    #[test]
    fn what_was_never_known_is_no_zero() {
        let mut totals = Totals::default();
        totals.post(&footprint(0.0, None, 0), &[]);
        assert_eq!(totals, Totals::default());
        totals.post(&footprint(2.0, Some(1.0), 5), &[]);
        totals.post(&footprint(f64::NAN, None, 5), &[]);
        assert_eq!((totals.operational, totals.embodied), (Some(Grams(2.0)), Some(Grams(1.0))));
        assert_eq!(Totals::from(TotalsRecord::from(&totals)), totals);
    }
}
