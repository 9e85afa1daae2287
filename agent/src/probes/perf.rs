//! RAPL through the perf PMU `power`: one event per zone on a CPU of its package, which the kernel adds up in 64 bits.
//!
//! `perf_event_open` asks the running kernel, whatever the root: this meter is for the machine's own `/sys` only. Like
//! powercap it yields raw counters; what a difference means is for `samples::counter`.

mod pmu;
mod scale;
#[cfg(test)]
mod tests;

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use self::pmu::{Counted, Leaders};
use super::{FileError, model, sys};
use crate::{
    samples::{EnergySource, Instant, ZoneError, ZoneInfo, ZoneReading},
    units::{Microjoules, Nanos},
};

/// Counters that did not run in a longer span are of a CPU that is gone. Shorter spans say nothing: clocks differ.
const RUNS: Nanos = Nanos::from_millis(1);

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
    counters: Vec<Counter>,
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
    let (mut counters, mut skipped, mut is_denied) = (Vec::new(), pmu.skipped, false);
    for event in pmu.events {
        let mut counter = Counter::new(event);
        match counter.open(pmu.kind, &pmu.leaders) {
            Ok(()) => counters.push(counter),
            Err(error) if zone_error(&error) == ZoneError::Gone => counters.push(counter),
            Err(error) => {
                is_denied |= zone_error(&error) == ZoneError::Denied;
                skipped.push(SkippedEvent { name: counter.event.info.hw_id, reason: error.into() });
            }
        }
    }
    if !counters.iter().any(|counter| counter.event.info.key.kind.is_attributed() && counter.open.is_some()) {
        let reasons: Vec<_> = skipped.iter().map(ToString::to_string).collect();
        return Err(if is_denied { PerfError::Denied } else { PerfError::NoPackage { reasons: reasons.join("; ") } });
    }
    let zones = counters.iter().map(|counter| counter.event.info.clone()).collect();
    let (root, leaders, kind) = (root.to_owned(), pmu.leaders, pmu.kind);
    Ok(Perf { root, directory, kind, zones, counters, skipped, source, mask, leaders })
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

    /// Reads the counter of each zone that is `due`, each with its own instant. A zone that fails costs no other.
    pub fn read(&mut self, now: impl Fn() -> Instant, due: &dyn Fn(&ZoneInfo) -> bool) -> Vec<ZoneReading> {
        self.follow();
        let Self { counters, leaders, kind, .. } = self;
        let due = counters.iter_mut().filter(|counter| due(&counter.event.info));
        let read = |counter: &mut Counter| {
            let at = now();
            ZoneReading { key: counter.event.info.key, at, counter: counter.read(at.monotonic, *kind, leaders) }
        };
        due.map(read).collect()
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

/// One event, open or to be opened.
#[derive(Debug)]
struct Counter {
    event: Counted,
    open: Option<Open>,
    /// Whether it ever told a value, which one that begins anew does not continue.
    has_told: bool,
}

/// An event that counts.
#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    cpu: u32,
    /// When it was last read, and how long it had been running then.
    last: Option<(Nanos, u64)>,
}

impl Counter {
    const fn new(event: Counted) -> Self {
        Self { event, open: None, has_told: false }
    }

    fn open(&mut self, kind: u32, leaders: &Leaders) -> io::Result<()> {
        self.open = None;
        let cpu = *leaders.get(&self.event.leader).ok_or(Errno::NODEV)?;
        let fd = sys::perf_event_open(kind, self.event.config, cpu)?;
        self.open = Some(Open { fd, cpu, last: None });
        Ok(())
    }

    fn read(&mut self, now: Nanos, kind: u32, leaders: &Leaders) -> Result<Microjoules, ZoneError> {
        let leader = leaders.get(&self.event.leader);
        if let Some(open) = self.open.as_mut().filter(|open| leader == Some(&open.cpu))
            && let Some(counts) = open.read(now)?
        {
            return self.tell(counts);
        }
        self.open(kind, leaders).map_err(|error| zone_error(&error))?;
        if std::mem::take(&mut self.has_told) {
            return Err(ZoneError::Restarted);
        }
        let counts = self.open.as_mut().map(|open| open.read(now)).transpose()?;
        counts.flatten().map_or(Err(ZoneError::Gone), |counts| self.tell(counts))
    }

    fn tell(&mut self, counts: u64) -> Result<Microjoules, ZoneError> {
        self.has_told = true;
        self.event.scale.energy(counts).ok_or(ZoneError::Retry)
    }
}

impl Open {
    /// Counts since it was opened; `None`: its CPU is gone, and it does not count any more.
    fn read(&mut self, now: Nanos) -> Result<Option<u64>, ZoneError> {
        let read = sys::perf_event_read(&self.fd).map_err(|error| zone_error(&error))?;
        let Some((counts, running)) = read else { return Ok(None) };
        if is_dead(self.last, (now, running)) {
            return Ok(None);
        }
        // A CPU's clock may tell the same twice in short spans: only a longer one says that it stands still.
        if self.last.is_none_or(|(_, before)| running > before) {
            self.last = Some((now, running));
        }
        Ok(Some(counts))
    }
}

/// Whether an event that had been running so long at some instant stands still: the kernel tells no error of one whose CPU
/// is gone, but the same count for ever, which would pass for no energy.
fn is_dead(last: Option<(Nanos, u64)>, (now, running): (Nanos, u64)) -> bool {
    last.is_some_and(|(since, before)| running <= before && now.saturating_sub(since) > RUNS)
}

/// What the loop must do after an error of an event.
fn zone_error(error: &io::Error) -> ZoneError {
    match Errno::from_io_error(error) {
        Some(Errno::NODEV | Errno::NXIO) => ZoneError::Gone,
        Some(Errno::ACCESS | Errno::PERM) => ZoneError::Denied,
        _ => ZoneError::Retry,
    }
}
