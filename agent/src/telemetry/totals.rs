//! Sums of the node that the ledger does not keep: hardware zones that are not shared out, and carbon.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    carbon::footprint::Footprint,
    samples::{
        ZoneKey,
        disk::{DeviceUse, MachineDisks, OTHER_DEVICES},
        zone::ZoneSample,
    },
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
    /// What the agent's own CPU time cost; `None`: never known.
    pub agent: Option<Microjoules>,
    /// What block devices did, by name.
    pub disks: BTreeMap<String, DeviceUse>,
}

/// What is kept of [`Totals`] across a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TotalsRecord {
    hardware: Vec<(ZoneKey, Microjoules)>,
    operational: Option<Grams>,
    embodied: Option<Grams>,
    #[serde(default)]
    agent: Option<Microjoules>,
    #[serde(default)]
    disks: BTreeMap<String, DeviceUse>,
}

/// Devices that are told apart: names come and go, and none is forgotten. Others are told together.
const DISKS_MAX: usize = 256;

impl Totals {
    /// Adds an interval; `agent` is the agent's own part of the energy, where it is known.
    pub fn post(&mut self, footprint: &Footprint, hardware: &[ZoneSample], agent: Option<Microjoules>) {
        for zone in hardware {
            *self.hardware.entry(zone.key).or_default() += zone.energy;
        }
        let operational = (footprint.covered.0 > 0).then_some(footprint.operational);
        self.operational = grown(self.operational, operational);
        self.embodied = grown(self.embodied, footprint.embodied);
        if let Some(agent) = agent {
            *self.agent.get_or_insert_default() += agent;
        }
    }

    /// Adds what block devices did in the interval.
    pub fn post_disks(&mut self, disks: &MachineDisks) {
        for (name, done) in disks.work.iter().flatten() {
            let is_known = self.disks.contains_key(name) || self.disks.len() < DISKS_MAX;
            let name = if is_known { name } else { OTHER_DEVICES };
            self.disks.entry(name.to_owned()).or_default().add(done);
        }
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
        let Totals { operational, embodied, agent, ref disks, .. } = *totals;
        Self { hardware, operational, embodied, agent, disks: disks.clone() }
    }
}

impl From<TotalsRecord> for Totals {
    fn from(record: TotalsRecord) -> Self {
        let hardware = record.hardware.into_iter().collect();
        let TotalsRecord { operational, embodied, agent, disks, .. } = record;
        Self { hardware, operational, embodied, agent, disks }
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
    fn devices_add_up_and_those_beyond_the_most_are_told_together() {
        let did = |name: &str, requeues| (name.to_owned(), DeviceUse { requeues, ..DeviceUse::default() });
        let work = (0..DISKS_MAX + 2).map(|number| did(&format!("d{number:03}"), 1)).collect();
        let mut totals = Totals::default();
        totals.post_disks(&MachineDisks::default());
        assert_eq!(totals, Totals::default());
        totals.post_disks(&MachineDisks { work: Some(work), ..MachineDisks::default() });
        totals.post_disks(&MachineDisks {
            work: Some([did("d000", 5), did("new", 7)].into()),
            ..MachineDisks::default()
        });
        assert_eq!((totals.disks["d000"].requeues, totals.disks[OTHER_DEVICES].requeues), (6, 9));
        assert_eq!(totals.disks.len(), DISKS_MAX + 1);
        assert_eq!(Totals::from(TotalsRecord::from(&totals)), totals);
    }

    #[test]
    fn what_was_never_known_is_no_zero() {
        let mut totals = Totals::default();
        totals.post(&footprint(0.0, None, 0), &[], None);
        assert_eq!(totals, Totals::default());
        totals.post(&footprint(2.0, Some(1.0), 5), &[], Some(Microjoules(3)));
        totals.post(&footprint(f64::NAN, None, 5), &[], None);
        totals.post(&footprint(0.0, None, 0), &[], Some(Microjoules(4)));
        assert_eq!(totals.agent, Some(Microjoules(7)));
        assert_eq!((totals.operational, totals.embodied), (Some(Grams(2.0)), Some(Grams(1.0))));
        assert_eq!(Totals::from(TotalsRecord::from(&totals)), totals);
    }
}
