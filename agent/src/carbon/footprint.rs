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
    /// Operational, per workload, in the order of the attribution's parts, its part of idle included.
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
    let parts = || zones.iter().flat_map(|zone| [&zone.parts, &zone.idle_parts]);
    let workloads = parts().map(Vec::len).max().unwrap_or(0);
    let of = |at: usize| parts().filter_map(|parts| parts.get(at)).copied().sum();
    Footprint {
        workloads: (0..workloads).map(|at| grams(of(at))).collect(),
        unattributed: grams(zones.iter().map(|zone| zone.unattributed).sum()),
        operational: grams(zones.iter().map(|zone| zone.sample.energy).sum()),
        covered: zones.iter().map(|zone| zone.sample.covered).sum(),
        embodied: factors.embodied.as_ref().ok().map(|embodied| embodied.during(span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attribution::books::{Usage, attribute},
        carbon::intensity::at_location,
        samples::{
            OnCpu, Place, Scope, ZoneKey, ZoneKind,
            zone::{UnknownReason, ZoneSample},
        },
        units::{MicroCpus, Watts},
    };

    #[test]
    fn grams_of_all_and_of_what_the_node_keeps_are_the_nodes() {
        let zone = |kind, energy| ZoneSample {
            key: ZoneKey { kind, scope: Scope::Socket(0) },
            energy: Microjoules(energy),
            covered: Nanos::from_secs(1),
            unknown: UnknownReason::ALL.map(|reason| (reason, Nanos(0))),
        };
        let on = |nanos| [(Place { socket: 0, die: 0 }, OnCpu::alone(Nanos(nanos)))].into();
        let zones = [zone(ZoneKind::Package, 7_000_001), zone(ZoneKind::Dram, 3_000_002)];
        let usage = Usage { busy: on(10), work: vec![on(5), on(2)], ..Usage::default() };
        let mut attribution = attribute(&zones, |_| Watts(2.0), &usage);
        // The third did not run, or nobody knows whether it did.
        attribution.hand_out_idle(&[0, 500_000, 1_000_000].map(MicroCpus), MicroCpus::whole(4));
        let intensity = at_location(None).expect("the world");
        let factors = Factors { intensity, pue: Pue::NOT_APPLIED, embodied: Err("a guest".to_owned()) };
        let found = footprint(&attribution, &factors, Nanos::from_secs(1));
        let grams = |microjoules: f64| microjoules / 1e6 / 3.6e6 * factors.intensity.value.0;
        let is = |found: Grams, expected: f64| (found.0 / grams(expected) - 1.0).abs() < 1e-9;
        // Of the 6,000,003 µJ beyond idle half and a fifth; of the 4,000,000 idle an eighth and a quarter.
        let parts = [3_000_002.0, 1_200_000.0 + 500_000.0, 1_000_000.0];
        let close = found.workloads.iter().zip(parts).all(|(found, part)| is(*found, part));
        assert!(close && found.workloads.len() == 3, "{found:?}");
        let kept: Microjoules = attribution.zones.iter().map(|books| books.idle - books.idle_handed_out()).sum();
        let billed: Grams = found.workloads.iter().copied().sum();
        assert!(
            (billed.0 + found.unattributed.0 + grams(kept.0 as f64) - found.operational.0).abs() < 1e-15,
            "{found:?}"
        );
    }
}
