//! From attributed joules to grams: operational per workload, operational and embodied for the node.

use super::{
    embodied::Embodied,
    intensity::Intensity,
    operational::{Pue, operational},
};
use crate::{
    attribution::books::Attribution,
    units::{Grams, Microjoules, Nanos},
};

/// What is in force while an interval lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Of the electricity.
    pub intensity: Intensity,
    /// Of the facility.
    pub pue: Pue,
    /// Of the machine, or why it is unknown.
    pub embodied: Result<Embodied, String>,
}

/// Grams of one interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footprint {
    /// Operational, per workload, in the order of the attribution's parts.
    pub workloads: Vec<Grams>,
    /// Operational, of what nobody owns.
    pub unattributed: Grams,
    /// Operational, of the whole node, idle included.
    pub operational: Grams,
    /// Embodied, of the whole node; `None`: unknown.
    pub embodied: Option<Grams>,
    /// Meter time, all zones together, that the operational figures account for. 0: they are unknown.
    pub covered: Nanos,
}

/// Turns an interval of `span` into grams.
pub fn footprint(attribution: &Attribution, factors: &Factors, span: Nanos) -> Footprint {
    let grams = |energy: Microjoules| operational(energy, factors.pue, &factors.intensity);
    let zones = &attribution.zones;
    let workloads = zones.iter().map(|zone| zone.parts.len()).max().unwrap_or(0);
    let of = |at: usize| zones.iter().filter_map(|zone| zone.parts.get(at)).copied().sum();
    Footprint {
        workloads: (0..workloads).map(|at| grams(of(at))).collect(),
        unattributed: grams(zones.iter().map(|zone| zone.unattributed).sum()),
        operational: grams(zones.iter().map(|zone| zone.sample.energy).sum()),
        covered: zones.iter().map(|zone| zone.sample.covered).sum(),
        embodied: factors.embodied.as_ref().ok().map(|embodied| embodied.during(span)),
    }
}
