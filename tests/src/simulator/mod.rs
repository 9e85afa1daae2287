//! The powercap simulator of `tests/vm/simulator`, through its files in debugfs: its parameters, its
//! faults, and its truth about who used what.
//!
//! Building and loading the module is not done here.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub use self::truth::{Cpu, Owner, Parts, Psys, Row, Socket, Truth};

mod truth;

/// Where the module puts its files, once debugfs is mounted in its usual place.
pub const DIRECTORY: &str = "/sys/kernel/debug/wattrace_sim";

/// A loaded simulator.
#[derive(Clone, Debug)]
pub struct Simulator {
    directory: PathBuf,
}

/// A setting, in microwatts, microjoules or per mille. Sockets are named by their physical package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// `k`: two busy siblings cost `1 + k` times one.
    SmtPerMille(u32),
    /// The platform beyond its packages.
    PsysUw(u32),
    /// A package at rest.
    IdleUw(u32, u32),
    /// A package on top of that, for each busy CPU.
    BusyUw(u32, u32),
    /// A socket's memory at rest.
    DramIdleUw(u32, u32),
    /// A socket's memory on top of that, for each busy CPU.
    DramBusyUw(u32, u32),
    /// The part of a package's energy that its `core` zone shows.
    CorePerMille(u32, u32),
    /// `max_energy_range_uj` of a zone, `package-0/dram` say.
    RangeUj(&'a str, u64),
    /// `constraint_0_max_power_uw` of a zone.
    MaxPowerUw(&'a str, u64),
    /// `constraint_0_power_limit_uw` of a zone.
    PowerLimitUw(&'a str, u64),
}

impl fmt::Display for Parameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmtPerMille(value) => write!(f, "smt_per_mille {value}"),
            Self::PsysUw(value) => write!(f, "psys_uw {value}"),
            Self::IdleUw(package, value) => write!(f, "idle_uw {package} {value}"),
            Self::BusyUw(package, value) => write!(f, "busy_uw {package} {value}"),
            Self::DramIdleUw(package, value) => write!(f, "dram_idle_uw {package} {value}"),
            Self::DramBusyUw(package, value) => write!(f, "dram_busy_uw {package} {value}"),
            Self::CorePerMille(package, value) => write!(f, "core_per_mille {package} {value}"),
            Self::RangeUj(zone, value) => write!(f, "range_uj {zone} {value}"),
            Self::MaxPowerUw(zone, value) => write!(f, "max_power_uw {zone} {value}"),
            Self::PowerLimitUw(zone, value) => write!(f, "power_limit_uw {zone} {value}"),
        }
    }
}

/// Something that happens to a zone. The truth and the perf events know nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The counter starts again at 0.
    Reset,
    /// The counter moves by this many microjoules.
    Jump(i64),
    /// Reads of the counter fail.
    Failing(bool),
    /// The zone goes, with its subzones.
    Vanish,
    /// It comes back, with its subzones.
    Return,
}

impl Fault {
    fn command(self, zone: &str) -> String {
        match self {
            Self::Reset => format!("reset {zone}"),
            Self::Jump(uj) => format!("jump {zone} {uj}"),
            Self::Failing(true) => format!("eio {zone} on"),
            Self::Failing(false) => format!("eio {zone} off"),
            Self::Vanish => format!("vanish {zone}"),
            Self::Return => format!("return {zone}"),
        }
    }
}

impl Simulator {
    /// The simulator of this machine, if it is loaded.
    pub fn loaded() -> Option<Self> {
        Self::at(Path::new(DIRECTORY))
    }

    /// The simulator whose files lie in `directory`.
    pub fn at(directory: &Path) -> Option<Self> {
        directory.join("truth").exists().then(|| Self { directory: directory.to_owned() })
    }

    /// Everything since the last reset, at one instant.
    pub fn truth(&self) -> Result<Truth> {
        let path = self.directory.join("truth");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Truth::parse(&text)
    }

    /// Starts the truth at zero; the counters go on.
    pub fn reset_truth(&self) -> Result<()> {
        self.write("reset", "1")
    }

    /// Changes a parameter; what was used before keeps its price.
    pub fn set(&self, parameter: Parameter<'_>) -> Result<()> {
        self.write("parameters", &parameter.to_string())
    }

    /// Lets something happen to a zone: `package-0`, `package-0/dram`, `psys`.
    pub fn fault(&self, zone: &str, fault: Fault) -> Result<()> {
        self.write("fault", &fault.command(zone))
    }

    fn write(&self, file: &str, command: &str) -> Result<()> {
        let path = self.directory.join(file);
        fs::write(&path, command).with_context(|| format!("{} refuses {command:?}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_module_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Simulator::at(directory.path()).is_none());
        fs::write(directory.path().join("truth"), "").unwrap();
        let simulator = Simulator::at(directory.path()).unwrap();
        let written = |file: &str| fs::read_to_string(directory.path().join(file)).unwrap();
        let faults = [
            (Fault::Reset, "reset psys"),
            (Fault::Jump(-5), "jump psys -5"),
            (Fault::Failing(true), "eio psys on"),
            (Fault::Failing(false), "eio psys off"),
            (Fault::Vanish, "vanish psys"),
            (Fault::Return, "return psys"),
        ];
        for (fault, expected) in faults {
            simulator.fault("psys", fault).unwrap();
            assert_eq!(written("fault"), expected);
        }
        simulator.set(Parameter::BusyUw(1, 25_000_000)).unwrap();
        assert_eq!(written("parameters"), "busy_uw 1 25000000");
        simulator.set(Parameter::RangeUj("package-0/dram", 3_000_000)).unwrap();
        assert_eq!(written("parameters"), "range_uj package-0/dram 3000000");
        assert!(simulator.truth().is_err());
    }
}
