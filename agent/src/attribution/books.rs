//! Joules per workload and zone, closed: workloads + unattributed + idle + residual = measured. Whether idle stays with the
//! node, or is handed out, is [`super::reserved`]'s.
//!
//! Each zone is billed at its own price by the time used on its own CPUs; sockets are never summed
//! first. The denominator is what the CPUs say they worked, not what the workloads say: time that no
//! workload owns shows as `unattributed` instead of raising everybody's bill. Time that two threads of a core share counts
//! for less, on both sides alike: [`super::weight`].

use std::collections::BTreeMap;

use super::weight::SmtGain;
use crate::{
    samples::{OnCpu, Place, ZoneKey, split::split, zone::ZoneSample},
    units::{Microjoules, Nanos, Watts},
};

/// Time used in an interval, after kernel keys were mapped to workloads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Busy time of the CPUs, by place.
    pub busy: BTreeMap<Place, OnCpu>,
    /// On-CPU time of each workload, by place.
    pub work: Vec<BTreeMap<Place, OnCpu>>,
    /// What time that is shared weighs.
    pub gain: SmtGain,
}

/// One zone's energy and who it went to.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneBooks {
    /// What the meter counted, and for how much of the interval it could.
    pub sample: ZoneSample,
    /// The part that would have been used without any work.
    pub idle: Microjoules,
    /// Per workload, in the order of [`Usage::work`].
    pub parts: Vec<Microjoules>,
    /// The part of busy time that no workload owns.
    pub unattributed: Microjoules,
    /// Parts of [`Self::idle`] by what each workload has reserved, in the order of the entries that are posted with them;
    /// empty: all of it is the node's.
    pub idle_parts: Vec<Microjoules>,
    /// Nanoseconds, as weighed, that workloads claim beyond what the CPUs worked: clock noise.
    pub excess: Nanos,
}

/// An interval, attributed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attribution {
    /// Per zone that is shared out.
    pub zones: Vec<ZoneBooks>,
    /// Busy time no workload owns, of all places; time and no weight.
    pub unattributed: OnCpu,
}

impl ZoneBooks {
    /// Energy of the zone beyond idle.
    pub fn active(&self) -> Microjoules {
        self.sample.energy.saturating_sub(self.idle)
    }

    /// What was billed to nobody: 0 by construction, computed and not assumed.
    pub fn residual(&self) -> Microjoules {
        let billed: Microjoules = self.parts.iter().copied().sum();
        self.active().saturating_sub(billed + self.unattributed)
    }
}

/// Shares each zone's active energy out by weighed time on its CPUs. `floor` is the zone's idle power.
pub fn attribute(zones: &[ZoneSample], floor: impl Fn(ZoneKey) -> Watts, usage: &Usage) -> Attribution {
    let shared = zones.iter().filter(|zone| zone.key.kind.is_attributed());
    Attribution {
        zones: shared.map(|zone| books(zone, floor(zone.key), usage)).collect(),
        unattributed: without_owner(usage),
    }
}

/// Place by place: workloads that claim too much on one socket do not own the time of another.
fn without_owner(usage: &Usage) -> OnCpu {
    let mut rest = usage.busy.clone();
    for (place, time) in usage.work.iter().flatten() {
        if let Some(left) = rest.get_mut(place) {
            *left = left.saturating_sub(*time);
        }
    }
    rest.into_values().sum()
}

fn books(zone: &ZoneSample, floor: Watts, usage: &Usage) -> ZoneBooks {
    let on_zone = |times: &BTreeMap<Place, OnCpu>| -> u64 {
        let covered = times.iter().filter(|(place, _)| zone.key.scope.covers(**place));
        usage.gain.weight(covered.map(|(_, on_cpu)| *on_cpu).sum()).0
    };
    let mut weights: Vec<u64> = usage.work.iter().map(on_zone).collect();
    let claimed = weights.iter().fold(0u64, |sum, weight| sum.saturating_add(*weight));
    let busy = on_zone(&usage.busy);
    weights.push(busy.saturating_sub(claimed));
    let idle = zone.energy.min(floor.during(zone.covered));
    let active = zone.energy.saturating_sub(idle);
    // Active energy of a zone whose CPUs did nothing is nobody's, whatever clock noise claims.
    let worked = if busy > 0 { split(active.0, &weights) } else { None };
    let mut parts = worked.unwrap_or_else(|| nobody(active.0, weights.len()));
    let unattributed = Microjoules(parts.pop().unwrap_or(0));
    ZoneBooks {
        sample: *zone,
        idle,
        parts: parts.into_iter().map(Microjoules).collect(),
        unattributed,
        idle_parts: Vec::new(),
        excess: Nanos(claimed.saturating_sub(busy)),
    }
}

fn nobody(total: u64, len: usize) -> Vec<u64> {
    let mut parts = vec![0; len];
    if let Some(last) = parts.last_mut() {
        *last = total;
    }
    parts
}

#[cfg(test)]
mod tests;
