//! One closed interval: what its readings made of it, for who tells and shows.

use std::collections::BTreeMap;

use super::{Pressures, watch::ZoneHealth};
use crate::{
    attribution::{books::Attribution, idle::Floor},
    carbon::footprint::Footprint,
    identity::Triplet,
    samples::{
        ZoneKey, disk::MachineDisks, tcp::OpenNow, threads::MachineThreads, usage::UsageSample, zone::ZoneSample,
    },
    telemetry::events::Happened,
    units::Microjoules,
};

/// One closed interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// Who used the CPUs.
    pub usage: UsageSample,
    /// Whose energy it was.
    pub attribution: Attribution,
    /// And in grams.
    pub footprint: Footprint,
    /// The machine's threads; `None`: they are not counted.
    pub threads: Option<MachineThreads>,
    /// The machine's block devices.
    pub disks: MachineDisks,
    /// Connections that are open at the end, of those who ever had any; of nobody where that is unknown.
    pub open: BTreeMap<Triplet, OpenNow>,
    /// The idle floors that were used.
    pub floors: BTreeMap<ZoneKey, Floor>,
    /// Zones that contain, or lie inside, one that is shared out.
    pub hardware: Vec<ZoneSample>,
    /// The agent's own part of the energy; `None`: unknown.
    pub own: Option<Microjoules>,
    /// How much tasks waited.
    pub pressures: Pressures,
    /// What happened, where that is asked for, by workload.
    pub events: Vec<Happened>,
    /// How reading each zone went.
    pub meter: Vec<ZoneHealth>,
}
