//! RAPL through the perf PMU `power`: one event per zone on a CPU of its package, which the kernel adds up in 64 bits.
//!
//! `perf_event_open` asks the running kernel, whatever the root: this meter is for the machine's own `/sys` only. Like
//! powercap it yields raw counters; what a difference means is for `samples::counter`.

mod group;
mod pmu;
mod scale;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use self::{group::Group, pmu::Leaders};
use super::{FileError, model};
use crate::samples::{EnergySource, Instant, Scope, ZoneError, ZoneInfo, ZoneReading};

/// Why there is no perf meter.
#[derive(Debug, thiserror::Error)]
pub enum PerfError {
    /// The kernel has no such PMU.
    #[error("{} does not exist: this CPU has no RAPL, or its perf driver is not loaded (modprobe rapl)", path.display())]
    Absent {
        /// The PMU's directory.
        path: PathBuf,
    },
    /// The right to count is missing.
    #[error("counting energy with perf is not permitted: run as root or with CAP_PERFMON")]
    Denied,
    /// No event of a package can be counted.
    #[error("the perf PMU power has no energy-pkg that can be counted ({reasons})")]
    NoPackage {
        /// Each event and why it is not counted.
        reasons: String,
    },
    /// A file of it gave no value.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An event that is not counted.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct SkippedEvent {
    /// Its name, with the place where it is one of several.
    pub name: String,
    /// Why.
    pub reason: EventError,
}

/// Why an event is not counted.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It does not count joules.
    #[error("its unit is {0:?} and not Joules; please report this kernel's output")]
    Unit(String),
    /// A file that describes it gave no value.
    #[error(transparent)]
    File(#[from] FileError),
    /// The kernel refused it.
    #[error("perf_event_open failed: {0}")]
    Open(#[from] io::Error),
}

/// The energy events of this machine.
#[derive(Debug)]
pub struct Perf {
    root: PathBuf,
    directory: PathBuf,
    kind: u32,
    zones: Vec<ZoneInfo>,
    /// By the part of the machine whose CPU counts.
    groups: BTreeMap<Scope, Group>,
    skipped: Vec<SkippedEvent>,
    source: EnergySource,
    mask: Vec<u8>,
    leaders: Leaders,
}

/// Finds the PMU's events and opens them. `root` is the running kernel's.
pub fn discover(root: &Path) -> Result<Perf, PerfError> {
    let directory = root.join("sys/bus/event_source/devices/power");
    let mask = pmu::mask(&directory).unwrap_or_default();
    let pmu = pmu::describe(root, &directory)?;
    let source = if model::is_guest(root)? { EnergySource::Vrapl } else { EnergySource::RaplPerf };
    let (mut groups, mut skipped) = (BTreeMap::<Scope, Group>::new(), pmu.skipped);
    for (at, event) in pmu.events.into_iter().enumerate() {
        groups.entry(event.leader).or_default().add(at, event);
    }
    let mut is_denied = false;
    for (scope, group) in &mut groups {
        for (name, error) in group.open(pmu.kind, pmu.leaders.get(scope).copied()) {
            is_denied |= zone_error(&error) == ZoneError::Denied;
            skipped.push(SkippedEvent { name, reason: error.into() });
        }
    }
    if !groups.values().any(Group::counts_what_is_shared_out) {
        let reasons: Vec<_> = skipped.iter().map(ToString::to_string).collect();
        let reasons = if reasons.is_empty() { "it lists none".to_owned() } else { reasons.join("; ") };
        return Err(if is_denied { PerfError::Denied } else { PerfError::NoPackage { reasons } });
    }
    let mut zones: Vec<_> = groups.values().flat_map(Group::members).collect();
    zones.sort_by_key(|(at, _)| *at);
    let zones = zones.into_iter().map(|(_, zone)| zone.clone()).collect();
    let (root, leaders, kind) = (root.to_owned(), pmu.leaders, pmu.kind);
    Ok(Perf { root, directory, kind, zones, groups, skipped, source, mask, leaders })
}

impl Perf {
    /// The zones, in the order in which [`Self::read`] gives them.
    pub fn zones(&self) -> &[ZoneInfo] {
        &self.zones
    }

    /// Events that are not counted, and why.
    pub fn skipped(&self) -> &[SkippedEvent] {
        &self.skipped
    }

    /// Measured or emulated.
    pub const fn source(&self) -> EnergySource {
        self.source
    }

    /// Takes over the powers that powercap knows of the same zones: perf tells none.
    pub fn bound(&mut self, known: &[ZoneInfo]) {
        for zone in &mut self.zones {
            let same = known.iter().find(|known| known.key == zone.key);
            zone.max_power = same.map_or(zone.max_power, |known| known.max_power);
        }
    }

    /// Reads the counter of each zone that is `due`, and of those that are counted with it, which costs nothing more. All
    /// of a package have one instant. A package that fails costs no other.
    pub fn read(&mut self, now: impl Fn() -> Instant, due: &dyn Fn(&ZoneInfo) -> bool) -> Vec<ZoneReading> {
        self.follow();
        let Self { groups, leaders, kind, .. } = self;
        let due = groups.iter_mut().filter(|(_, group)| group.zones().any(due));
        let mut readings: Vec<(usize, ZoneReading)> =
            due.flat_map(|(scope, group)| group.read(&now, *kind, leaders.get(scope).copied())).collect();
        readings.sort_by_key(|(at, _)| *at);
        readings.into_iter().map(|(_, reading)| reading).collect()
    }

    /// Learns which CPUs count now. The kernel takes events along when one goes offline, but what was used on the way
    /// is in no count: they are opened anew, so that the time is known to be unknown.
    fn follow(&mut self) {
        let Ok(mask) = pmu::mask(&self.directory) else { return };
        if mask == self.mask {
            return;
        }
        if let Ok(leaders) = pmu::leaders(&self.root, &self.directory) {
            self.mask = mask;
            self.leaders = leaders;
        }
    }
}

/// What the loop must do after an error of an event.
fn zone_error(error: &io::Error) -> ZoneError {
    match Errno::from_io_error(error) {
        Some(Errno::NODEV | Errno::NXIO) => ZoneError::Gone,
        Some(Errno::ACCESS | Errno::PERM) => ZoneError::Denied,
        _ => ZoneError::Retry,
    }
}
