//! Raw counters with the instants at which they were read. No meaning yet.

use serde::{Deserialize, Serialize};
use wattrace_common::{
    block::{DIRECTIONS, FAILURES, PLACES},
    owner::OwnerKey,
    sched::WorkKey,
    threads::{REASONS, STATES},
};

use super::files::FilesReading;
use crate::units::{Microjoules, Nanos, Watts};

mod connections;
mod events;
mod processes;

pub use connections::*;
pub use events::*;
pub use processes::*;

/// One moment on the three clocks that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instant {
    /// `CLOCK_MONOTONIC`: stands still while suspended.
    pub monotonic: Nanos,
    /// `CLOCK_BOOTTIME`: goes on while suspended.
    pub boottime: Nanos,
    /// Wall clock, nanoseconds since 1970; may jump.
    pub wall: Nanos,
}

impl Instant {
    /// The middle between this and a later one.
    #[must_use]
    pub const fn midway(self, later: Self) -> Self {
        const fn middle(first: Nanos, second: Nanos) -> Nanos {
            // The wall clock may jump back.
            Nanos(first.0.midpoint(second.0))
        }
        Self {
            monotonic: middle(self.monotonic, later.monotonic),
            boottime: middle(self.boottime, later.boottime),
            wall: middle(self.wall, later.wall),
        }
    }
}

/// Where a CPU sits, or which part of the machine a zone covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// `physical_package_id`
    pub socket: u32,
    /// `die_id` within the socket.
    pub die: u32,
}

/// What a zone measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneKind {
    /// A CPU package (or one die of it).
    Package,
    /// The memory of a package.
    Dram,
    /// The whole server, modelled, or measured where no part of it is.
    Server,
    /// The whole platform (psys); contains the package.
    Platform,
    /// The cores, inside the package.
    Core,
    /// The uncore part, inside the package.
    Uncore,
}

impl ZoneKind {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Package => "package",
            Self::Dram => "dram",
            Self::Server => "server",
            Self::Platform => "platform",
            Self::Core => "core",
            Self::Uncore => "uncore",
        }
    }

    /// Whether the energy of such a zone is shared out. The others contain, or are contained in, one that is.
    pub const fn is_attributed(self) -> bool {
        matches!(self, Self::Package | Self::Dram | Self::Server)
    }
}

/// The CPUs a zone's energy comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All CPUs of the machine.
    Machine,
    /// All dies of one socket.
    Socket(u32),
    /// One die of one socket.
    Die(Place),
}

impl Scope {
    /// Whether a CPU at `place` draws from this zone.
    pub fn covers(self, place: Place) -> bool {
        match self {
            Self::Machine => true,
            Self::Socket(socket) => socket == place.socket,
            Self::Die(die) => die == place,
        }
    }

    /// The socket, where the zone belongs to one.
    pub fn socket(self) -> Option<u32> {
        match self {
            Self::Machine => None,
            Self::Socket(socket) => Some(socket),
            Self::Die(place) => Some(place.socket),
        }
    }

    /// The die, where the zone belongs to one.
    pub fn die(self) -> Option<u32> {
        match self {
            Self::Machine | Self::Socket(_) => None,
            Self::Die(place) => Some(place.die),
        }
    }
}

/// Identity of a zone: what it measures and of which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ZoneKey {
    /// What it measures.
    pub kind: ZoneKind,
    /// Of which part of the machine.
    pub scope: Scope,
}

/// What is constant about a zone while the agent runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneInfo {
    /// Identity.
    pub key: ZoneKey,
    /// The name the hardware interface gives it, `intel-rapl:0:0`.
    pub hw_id: String,
    /// `hw_id` of the zone beside or around it, where there is one.
    pub parent: Option<String>,
    /// Counter range: after this value it starts from 0.
    pub range: Microjoules,
    /// Smallest step of the counter.
    pub unit: Microjoules,
    /// Power the zone cannot exceed; bounds what a wrap can mean.
    pub max_power: Watts,
}

/// Where energy figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnergySource {
    /// The perf PMU `power`.
    RaplPerf,
    /// `/sys/class/powercap`
    RaplPowercap,
    /// Either of them emulated by a hypervisor.
    Vrapl,
    /// Sensors of `/sys/class/hwmon`.
    Hwmon,
    /// The power model.
    Model,
    /// Nothing.
    None,
}

impl EnergySource {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RaplPerf => "rapl_perf",
            Self::RaplPowercap => "rapl_powercap",
            Self::Vrapl => "vrapl",
            Self::Hwmon => "hwmon",
            Self::Model => "model",
            Self::None => "none",
        }
    }

    /// How far the figures can be trusted.
    pub const fn quality(self) -> &'static str {
        match self {
            Self::RaplPerf | Self::RaplPowercap | Self::Hwmon => "measured",
            Self::Vrapl | Self::Model => "modelled",
            Self::None => "missing",
        }
    }
}

/// One zone's counter, or why it could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneReading {
    /// Which zone.
    pub key: ZoneKey,
    /// When this zone was read.
    pub at: Instant,
    /// The raw counter.
    pub counter: Result<Microjoules, ZoneError>,
}

/// What the loop must do after a zone could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// Try again at the next reading.
    #[error("the read failed, it is tried again")]
    Retry,
    /// Its counter began anew elsewhere, and no later value continues an earlier one.
    #[error("its counter began anew")]
    Restarted,
    /// The zone vanished; it may come back.
    #[error("the zone is gone")]
    Gone,
    /// It will not get better: a missing right.
    #[error("the right to read it is missing")]
    Denied,
}

/// One CPU's totals since the kernel program was attached, open slice included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuReading {
    /// CPU number.
    pub cpu: u32,
    /// Where it sits.
    pub place: Place,
    /// Time of all tasks but idle; `None`: this CPU has not been seen yet.
    pub busy: Option<Nanos>,
    /// Time of the idle task; `None` also while the CPU is offline.
    pub idle: Option<Nanos>,
    /// Of [`Self::busy`], while the other thread of its core was busy, too.
    pub shared: Nanos,
    /// Whether it is online.
    pub online: bool,
}

/// One workload's time on one CPU since the kernel program was attached, open slice included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeReading {
    /// CPU number.
    pub cpu: u32,
    /// Whose time.
    pub key: WorkKey,
    /// On-CPU time.
    pub time: Nanos,
    /// Of [`Self::time`], while the other thread of the CPU's core was busy, too.
    pub shared: Nanos,
    /// `comm` of the process, for keys of processes.
    pub comm: [u8; 16],
}

/// Everything read at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// When the kernel maps were read.
    pub at: Instant,
    /// Per CPU.
    pub cpus: Vec<CpuReading>,
    /// Per CPU and workload.
    pub times: Vec<TimeReading>,
    /// Per workload, without kernel programs: then `times` is empty.
    pub files: Option<FilesReading>,
    /// Per workload, all CPUs together; `None`: where threads were is not counted.
    pub threads: Option<Vec<ThreadsReading>>,
    /// Block I/O; `None`: it is not counted.
    pub disk: Option<DiskReading>,
    /// Connections; `None`: they are not counted.
    pub tcp: Option<TcpReading>,
    /// Processes, by owner; `None`: they are not counted.
    pub processes: Option<Vec<ActorReading>>,
}

/// Block I/O that completed since the kernel program was attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskReading {
    /// By owner.
    pub work: Vec<DiskWorkReading>,
    /// By device.
    pub devices: Vec<DiskDeviceReading>,
}

/// The requests of one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskWorkReading {
    /// Whose.
    pub owner: OwnerKey,
    /// How many and how much.
    pub totals: DiskTotals,
    /// How long, by [`wattrace_common::block::DIRECTIONS`], at [`wattrace_common::block::WORK_SCALE`]; `None`: there was no room for this owner's.
    pub durations: Option<[Durations; DIRECTIONS.len()]>,
}

/// Sums of requests. They never fall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskTotals {
    /// Requests that ended, by [`wattrace_common::block::DIRECTIONS`], then those of none.
    pub operations: [u64; PLACES],
    /// Bytes of them, likewise: those of partial completions count as they come.
    pub bytes: [u64; PLACES],
    /// Requests whose duration is not known, likewise.
    pub unmeasured: [u64; PLACES],
    /// Completions with an error, by [`wattrace_common::block::FAILURES`].
    pub errors: [u64; FAILURES.len()],
}

/// The requests of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskDeviceReading {
    /// Which; `None`: those that there was no room for, together.
    pub device: Option<DeviceNumber>,
    /// Times that the kernel asked for a request again.
    pub requeues: u64,
    /// How long, by [`wattrace_common::block::DIRECTIONS`], at [`wattrace_common::block::DEVICE_SCALE`].
    pub durations: [Durations; DIRECTIONS.len()],
}

/// `major:minor` of a whole disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeviceNumber {
    /// Of the driver.
    pub major: u32,
    /// Of the disk.
    pub minor: u32,
}

/// What the threads of one workload did since the kernel program was attached, up to the instant of the reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ThreadsReading {
    /// Whose threads.
    pub key: WorkKey,
    /// Time off the CPU by [`wattrace_common::threads::State`], intervals that are open included. It may fall by a little from one reading to the
    /// next: that a sleeper was woken is known only when it runs.
    pub states: [Nanos; STATES.len()],
    /// Threads in each state now.
    pub now: [u64; STATES.len()],
    /// Threads on a CPU now.
    pub running: u64,
    /// Switches by the thread's own will.
    pub voluntary: u64,
    /// Switches because another was to run.
    pub involuntary: u64,
    /// Durations of what ended; `None`: there was no room for this workload's.
    pub durations: Option<ThreadDurations>,
}

/// Histograms of durations that ended: the bucket for zero first, as in [`wattrace_common::threads`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadDurations {
    /// Waits for a CPU.
    pub wait: Durations,
    /// Time off the CPU, by [`wattrace_common::threads::State`]: those with a reason.
    pub off: [Durations; REASONS],
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Of all.
    pub sum: Nanos,
    /// By bucket.
    #[serde(with = "super::sparse")]
    pub counts: Vec<u64>,
}
