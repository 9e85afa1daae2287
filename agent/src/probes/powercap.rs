//! RAPL through `/sys/class/powercap`: one counter file per zone, opened once and read in place.
//!
//! It yields raw counters; what a difference means is for `samples::counter`. The driver turns every
//! error of its own into EINVAL, so no finer cause than [`ZoneError`] is told.

mod tree;

use std::{
    cell::LazyCell,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

pub use self::tree::{SkipReason, SkippedZone};
use super::{FileError, model, parse};
use crate::{
    samples::{EnergySource, Instant, ZoneError, ZoneInfo, ZoneKey, ZoneReading},
    units::Microjoules,
};

/// The file of a zone that counts.
const COUNTER: &str = "energy_uj";
/// Bytes of the longest counter, with its newline and one to spare.
const COUNTER_BYTES: usize = 24;

/// Why there is no powercap meter.
#[derive(Debug, thiserror::Error)]
pub enum PowercapError {
    /// The kernel has no powercap.
    #[error("{} does not exist: this kernel has no powercap; use the power model, or pass the host's root", path.display())]
    Absent {
        /// The class directory.
        path: PathBuf,
    },
    /// There is no RAPL zone.
    #[error("{} shows no RAPL zone: container runtimes mask it, and without a driver it is empty; pass the host's root, or load intel_rapl_msr on the host", path.display())]
    Masked {
        /// The class directory.
        path: PathBuf,
    },
    /// There are zones, but none whose energy can be shared out.
    #[error("no RAPL zone in {} can be used ({reasons}); use the power model, and please report this", path.display())]
    NoUsableZone {
        /// The class directory.
        path: PathBuf,
        /// Each zone and why it was skipped.
        reasons: String,
    },
    /// No counter may be read.
    #[error("reading {} is not permitted: run as root or with CAP_DAC_READ_SEARCH", path.display())]
    Denied {
        /// The first counter.
        path: PathBuf,
    },
    /// The class directory cannot be listed.
    #[error("cannot list {}: {source}; check the root and its mounts", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whether the counters are emulated cannot be told.
    #[error("cannot tell whether the counters are emulated: {0}")]
    Cpuinfo(#[from] FileError),
}

/// The RAPL zones of this machine.
#[derive(Debug)]
pub struct Powercap {
    class: PathBuf,
    zones: Vec<ZoneInfo>,
    meters: Vec<Meter>,
    skipped: Vec<SkippedZone>,
    source: EnergySource,
}

/// Finds the zones below `<root>/sys/class/powercap` and opens their counters.
pub fn discover(root: &Path) -> Result<Powercap, PowercapError> {
    let class = root.join("sys/class/powercap");
    let found = tree::find(&class)?;
    if !found.zones.iter().any(|zone| zone.info.key.kind.is_attributed()) {
        let reasons: Vec<_> = found.skipped.iter().map(ToString::to_string).collect();
        return Err(PowercapError::NoUsableZone { path: class, reasons: reasons.join("; ") });
    }
    let source = if model::is_guest(root)? { EnergySource::Vrapl } else { EnergySource::RaplPowercap };
    let (zones, mut meters): (Vec<_>, Vec<_>) =
        found.zones.into_iter().map(|zone| (zone.info.clone(), Meter::new(&zone))).unzip();
    let denied = meters.iter_mut().filter(|meter| meter.key.kind.is_attributed()).all(Meter::is_denied);
    match meters.first() {
        Some(meter) if denied => Err(PowercapError::Denied { path: meter.path.clone() }),
        _ => Ok(Powercap { class, zones, meters, skipped: found.skipped, source }),
    }
}

impl Powercap {
    /// The zones, in the order in which [`Self::read`] gives them.
    pub fn zones(&self) -> &[ZoneInfo] {
        &self.zones
    }

    /// Zones that are not read, and why.
    pub fn skipped(&self) -> &[SkippedZone] {
        &self.skipped
    }

    /// Measured or emulated.
    pub fn source(&self) -> EnergySource {
        self.source
    }

    /// Reads the counter of each zone that is `due`, each with its own instant. A zone that fails costs no other.
    pub fn read(&mut self, now: impl Fn() -> Instant, due: &dyn Fn(&ZoneInfo) -> bool) -> Vec<ZoneReading> {
        let Self { class, zones, meters, .. } = self;
        let there = LazyCell::new(|| tree::find(class).unwrap_or_default().zones);
        let locate = |key| there.iter().find(|zone| zone.info.key == key).map(|zone| zone.path.join(COUNTER));
        let read = |meter: &mut Meter| {
            let counter = meter.read(locate);
            // Not before: a zone that is looked for anew is read late.
            ZoneReading { key: meter.key, at: now(), counter }
        };
        zones.iter().zip(meters).filter(|(zone, _)| due(zone)).map(|(_, meter)| read(meter)).collect()
    }
}

/// One counter file.
#[derive(Debug)]
struct Meter {
    key: ZoneKey,
    path: PathBuf,
    /// `None`: it could not be opened, or its zone vanished; the next read tries again.
    file: Option<File>,
}

impl Meter {
    fn new(zone: &tree::FoundZone) -> Self {
        Self { key: zone.info.key, path: zone.path.join(COUNTER), file: None }
    }

    /// Opens the file; whether that is forbidden.
    fn is_denied(&mut self) -> bool {
        self.open().is_err_and(|error| error == ZoneError::Denied)
    }

    fn open(&mut self) -> Result<(), ZoneError> {
        self.file = Some(File::open(&self.path).map_err(|error| zone_error(&error))?);
        Ok(())
    }

    /// A zone that vanished may be back under another number, and another zone may have its number by now: `locate` looks it up.
    fn read(&mut self, locate: impl FnOnce(ZoneKey) -> Option<PathBuf>) -> Result<Microjoules, ZoneError> {
        if self.file.is_some() {
            match self.pread() {
                Err(ZoneError::Gone) => self.file = None,
                other => return other,
            }
        }
        self.path = locate(self.key).ok_or(ZoneError::Gone)?;
        self.open()?;
        self.pread()
    }

    fn pread(&self) -> Result<Microjoules, ZoneError> {
        let file = self.file.as_ref().ok_or(ZoneError::Gone)?;
        let mut buffer = [0; COUNTER_BYTES];
        let length = file.read_at(&mut buffer, 0).map_err(|error| zone_error(&error))?;
        let text = buffer.get(..length).unwrap_or_default();
        parse::unsigned(text).map(Microjoules).map_err(|_| ZoneError::Retry)
    }
}

/// What the loop must do after an error of a zone's file.
fn zone_error(error: &io::Error) -> ZoneError {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NODEV) => ZoneError::Gone,
        Some(Errno::ACCESS | Errno::PERM) => ZoneError::Denied,
        _ => ZoneError::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do_next() {
        let rows = [
            (Errno::NOENT, ZoneError::Gone),
            (Errno::NODEV, ZoneError::Gone),
            (Errno::ACCESS, ZoneError::Denied),
            (Errno::PERM, ZoneError::Denied),
            (Errno::INVAL, ZoneError::Retry),
            (Errno::IO, ZoneError::Retry),
            (Errno::NODATA, ZoneError::Retry),
        ];
        for (errno, expected) in rows {
            assert_eq!(zone_error(&errno.into()), expected, "{errno}");
        }
    }
}
