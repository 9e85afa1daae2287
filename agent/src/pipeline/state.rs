//! What outlives the agent: totals and the meters' raw values, in one file that is replaced whole.
//!
//! Written before a snapshot is offered to any output: a kill can never leave a receiver ahead of it.
//! It stops at bytes and files; what a restart means for figures, [`super`] decides.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    attribution::ledger::Record,
    samples::{EnergySource, Instant, ZoneKey},
    telemetry::describe::TelemetryRecord,
    units::Microjoules,
};

/// Version of the file's content; another one is set aside.
const VERSION: u32 = 1;

const NAME: &str = "state.json";

/// What could not be replaced; kept for people to look at until it can.
const OUTDATED: &str = "state.json.outdated";

/// Everything that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    /// The boot in which the instants and counters below are valid.
    pub boot_id: String,
    /// When it was written.
    pub at: Instant,
    /// Totals.
    pub ledger: Record,
    /// Starts of series, and sums the ledger does not keep.
    pub telemetry: TelemetryRecord,
    /// Raw counters of the meters.
    pub meters: Vec<SavedZone>,
    /// Whose counters they are: another source's do not continue them.
    #[serde(default)]
    pub source: Option<EnergySource>,
    /// Idle floors; valid over boots.
    #[serde(default)]
    pub floors: Option<SavedFloors>,
}

/// Idle floors, and what they are of: neither another machine's file nor other hardware is believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedFloors {
    /// What they were measured on.
    pub hardware: Measured,
    /// Watts by zone.
    pub zones: Vec<(ZoneKey, f64)>,
}

/// What an idle floor depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// `host.id`
    pub host: String,
    /// The processor's identity.
    pub processor: String,
    /// Memory the kernel manages, in bytes: the power of memory is that of its modules.
    pub memory: u64,
    /// The meter.
    pub source: EnergySource,
}

impl Measured {
    /// Whether `other` is the same hardware. Kernels keep some memory for themselves, another one more or less.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = (&self.host, &self.processor, self.source) == (&other.host, &other.processor, other.source);
        same && self.memory.abs_diff(other.memory) <= self.memory / 16
    }
}

/// A zone's counter as it was last read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedZone {
    /// Which zone.
    pub key: ZoneKey,
    /// The raw counter.
    pub counter: Microjoules,
    /// When it was read.
    pub at: Instant,
}

/// Why state is not kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder or the file cannot be used.
    #[error("cannot keep totals in {}: {source}; give a folder that can be written with agent.state_dir", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another agent has it.
    #[error("another wattrace uses {}: one agent per host, or the same time is billed twice", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
}

/// What was found at start.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing: the first start here.
    Nothing,
    /// What the last agent left.
    Saved(Box<Saved>),
    /// Something that cannot be read; it was set aside under the name given.
    Corrupt(PathBuf),
}

/// The folder, held so that no second agent uses it.
#[derive(Debug)]
pub struct StateDir {
    folder: PathBuf,
    _lock: File,
}

impl Saved {
    /// A record of now.
    pub const fn new(
        boot_id: String,
        at: Instant,
        ledger: Record,
        telemetry: TelemetryRecord,
        meters: Vec<SavedZone>,
    ) -> Self {
        Self { version: VERSION, boot_id, at, ledger, telemetry, meters, source: None, floors: None }
    }
}

/// The floors in a folder that may be another agent's; it is only looked at, and what cannot be read is not there.
pub fn peek_floors(folder: &Path) -> Option<SavedFloors> {
    let saved = serde_json::from_slice::<Saved>(&fs::read(folder.join(NAME)).ok()?).ok()?;
    saved.floors.filter(|_| saved.version == VERSION)
}

impl StateDir {
    /// Makes and locks the folder.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let io = |path: &Path, source| StateError::Io { path: path.to_owned(), source };
        fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(|source| io(&path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(StateError::Taken { path: folder.to_owned() }),
            Err(fs::TryLockError::Error(source)) => Err(io(&path, source)),
        }
    }

    /// Reads what the last agent left.
    pub fn load(&self) -> Result<Found, StateError> {
        let path = self.folder.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(source) => return Err(StateError::Io { path, source }),
        };
        match serde_json::from_slice::<Saved>(&bytes) {
            Ok(saved) if saved.version == VERSION => Ok(Found::Saved(Box::new(saved))),
            Ok(_) | Err(_) => self.set_aside(path),
        }
    }

    fn set_aside(&self, path: PathBuf) -> Result<Found, StateError> {
        let free = (1u32..).map(|number| self.folder.join(format!("{NAME}.corrupt-{number}")));
        let aside = free.take(100).find(|aside| !aside.exists()).unwrap_or_else(|| self.folder.join("corrupt"));
        fs::rename(&path, &aside).map_err(|source| StateError::Io { path, source })?;
        Ok(Found::Corrupt(aside))
    }

    /// Replaces the file: whole, or not at all.
    pub fn save(&self, saved: &Saved) -> Result<(), StateError> {
        let path = self.folder.join(NAME);
        self.replace(&path, saved).map_err(|source| StateError::Io { path, source })?;
        // Its content is in the new file. That there is none is the rule.
        fs::remove_file(self.folder.join(OUTDATED)).ok();
        Ok(())
    }

    /// Puts a file that could not be replaced out of the way: the next agent must not go on from it.
    ///
    /// False where the folder cannot be changed at all: then it stays.
    pub fn outdate(&self) -> bool {
        match fs::rename(self.folder.join(NAME), self.folder.join(OUTDATED)) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn replace(&self, path: &Path, saved: &Saved) -> io::Result<()> {
        let new = self.folder.join(format!("{NAME}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(saved)?)?;
        file.sync_data()?;
        fs::rename(&new, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests;
