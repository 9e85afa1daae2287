//! Energy and power sensors in `/sys/class/hwmon` that are of CPUs or of the whole machine.
//!
//! Most sensors there are of something else (disks, network, power supplies, graphics): only chips whose labels say what
//! they measure are taken. Counters are read as they are. A power is a mean over the sensor's own time, and is added up here
//! over the time between two readings.

mod chips;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use super::{FileError, file, parse};
use crate::{
    samples::{Instant, ZoneError, ZoneInfo, ZoneReading},
    units::{Microjoules, Nanos, Watts},
};

/// Why there is no hwmon meter.
#[derive(Debug, thiserror::Error)]
pub enum HwmonError {
    /// No chip tells the energy of CPUs or of the machine.
    #[error("{} shows no sensor of the energy of CPUs or of the machine", path.display())]
    NoSensor {
        /// The class directory.
        path: PathBuf,
    },
    /// No sensor may be read.
    #[error("reading {} is not permitted: run as root or with CAP_DAC_READ_SEARCH", path.display())]
    Denied {
        /// The first sensor.
        path: PathBuf,
    },
}

/// The sensors of this machine.
#[derive(Debug)]
pub struct Hwmon {
    zones: Vec<ZoneInfo>,
    sensors: Vec<Sensor>,
}

/// Finds the sensors below `<root>/sys/class/hwmon` that can be read.
pub fn discover(root: &Path) -> Result<Hwmon, HwmonError> {
    let class = root.join("sys/class/hwmon");
    let (mut zones, mut sensors, mut denied) = (Vec::new(), Vec::new(), None);
    for (zone, sensor) in chips::find(&class) {
        match sensor.value() {
            Err(ZoneError::Denied) => denied = denied.or(Some(sensor.path)),
            Err(ZoneError::Retry | ZoneError::Gone | ZoneError::Restarted) | Ok(_) => {
                zones.push(zone);
                sensors.push(sensor);
            }
        }
    }
    if zones.iter().any(|zone: &ZoneInfo| zone.key.kind.is_attributed()) {
        return Ok(Hwmon { zones, sensors });
    }
    Err(denied.map_or(HwmonError::NoSensor { path: class }, |path| HwmonError::Denied { path }))
}

impl Hwmon {
    /// The zones, in the order in which [`Self::read`] gives them.
    pub fn zones(&self) -> &[ZoneInfo] {
        &self.zones
    }

    /// Reads each counter that is `due` and every power, each with its own instant. A sensor that fails costs no other.
    pub fn read(&mut self, now: impl Fn() -> Instant, due: &dyn Fn(&ZoneInfo) -> bool) -> Vec<ZoneReading> {
        let both = self.zones.iter().zip(&mut self.sensors);
        let due = both.filter(|(zone, sensor)| matches!(sensor.quantity, Quantity::Power(_)) || due(zone));
        let read = |(zone, sensor): (&ZoneInfo, &mut Sensor)| {
            let at = now();
            ZoneReading { key: zone.key, at, counter: sensor.read(at) }
        };
        due.map(read).collect()
    }
}

/// One file.
#[derive(Debug)]
struct Sensor {
    path: PathBuf,
    quantity: Quantity,
}

/// What the file holds.
#[derive(Debug)]
enum Quantity {
    /// `energy*_input`: microjoules, adding up.
    Energy,
    /// `power*_average`: microwatts.
    Power(Sum),
}

/// Energy of a power that was looked at now and then.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    energy: Microjoules,
    /// Up to when; `None`: nothing was read, or the last read failed.
    until: Option<Nanos>,
    has_told: bool,
}

impl Sensor {
    /// What the file shows.
    fn value(&self) -> Result<u64, ZoneError> {
        match file::parse(&self.path, parse::unsigned) {
            Ok(value) => Ok(value),
            Err(FileError::Read { source, .. }) => Err(zone_error(&source)),
            Err(FileError::Malformed { .. }) => Err(ZoneError::Retry),
        }
    }

    fn read(&mut self, at: Instant) -> Result<Microjoules, ZoneError> {
        let value = self.value();
        match &mut self.quantity {
            Quantity::Energy => value.map(Microjoules),
            Quantity::Power(sum) => sum.add(value, at.monotonic),
        }
    }
}

impl Sum {
    fn add(&mut self, microwatts: Result<u64, ZoneError>, now: Nanos) -> Result<Microjoules, ZoneError> {
        let Ok(microwatts) = microwatts else {
            self.until = None;
            return microwatts.map(Microjoules);
        };
        let span = self.until.replace(now).map(|until| now.saturating_sub(until));
        // What was drawn while the sensor told nothing is in no later power.
        if span.is_none() && std::mem::replace(&mut self.has_told, true) {
            return Err(ZoneError::Restarted);
        }
        self.energy += Watts(microwatts as f64 / 1e6).during(span.unwrap_or_default());
        Ok(self.energy)
    }
}

/// What the loop must do after an error of a sensor's file.
fn zone_error(error: &io::Error) -> ZoneError {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NODEV) => ZoneError::Gone,
        Some(Errno::ACCESS | Errno::PERM) => ZoneError::Denied,
        _ => ZoneError::Retry,
    }
}

/// The first line of a small file, where there is one.
fn line(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let text: String = String::from_utf8_lossy(&text).trim().chars().take(80).collect();
    (!text.is_empty()).then_some(text)
}
