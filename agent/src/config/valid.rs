//! The configuration as the agent uses it: in range, free of contradictions, with units. Made by
//! [`super::judge`] alone; nothing behind it checks again.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    attribution::{functional::FunctionalUnit, reserved::IdlePolicy, weight::SmtGain},
    units::{Bytes, Grams, GramsPerKwh, Watts},
};

mod events;

pub use events::{Arguments, Events};

/// Readings closer together show what a neighbour computes (CVE-2020-8694): they are root's.
pub const SHORTEST_UNPRIVILEGED: Duration = Duration::from_secs(10);

/// A configuration that makes sense. The default is that of no file: everything is found out or assumed,
/// and nothing leaves the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The agent itself.
    pub agent: Agent,
    /// The machine's power.
    pub energy: Energy,
    /// What kernel programs count.
    pub probes: Probes,
    /// Carbon.
    pub carbon: Carbon,
    /// The OTLP export.
    pub otlp: Otlp,
    /// What is told one by one.
    pub events: Events,
    /// The Prometheus page.
    pub prometheus: Prometheus,
    /// What all exported series say.
    pub resource: Resource,
}

/// What the agent does and where it keeps what it must not forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Between two readings, from 1 s to 1 h.
    pub interval: Duration,
    /// Absolute.
    pub state_dir: PathBuf,
    /// The least grave that is logged.
    pub log_level: LogLevel,
    /// What workloads do, for energy per operation; `None`: that is not told.
    pub functional_unit: Option<FunctionalUnit>,
}

impl Agent {
    /// Whether only root may read so often, by [`SHORTEST_UNPRIVILEGED`].
    pub fn needs_root(&self) -> bool {
        self.interval < SHORTEST_UNPRIVILEGED
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            state_dir: PathBuf::from("/var/lib/wattrace"),
            log_level: LogLevel::Info,
            functional_unit: None,
        }
    }
}

/// Gravity of a log line, gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something works less well than it could.
    Warn,
    /// What the agent does.
    Info,
    /// Why it does it.
    Debug,
    /// Each step.
    Trace,
}

impl LogLevel {
    /// As it is written in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What the operator knows about the machine's power.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Energy {
    /// The only meter to use; `None`: the best there is.
    pub source: Option<MeterKind>,
    /// Idle floor; `None`: saved, measured or assumed.
    pub idle: Option<Watts>,
    /// Power when fully busy, for the power model; never without `idle` and never below it.
    pub max: Option<Watts>,
    /// Whose idle energy is.
    pub idle_policy: IdlePolicy,
    /// What the second thread of a core adds.
    pub smt_gain: SmtGain,
}

/// What kernel programs count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// Of threads.
    pub sched: SchedLevel,
    /// Of block I/O.
    pub block: BlockLevel,
    /// Of connections.
    pub tcp: Counting,
    /// Of processes.
    pub process: Counting,
}

/// Whether something is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// It is.
    #[default]
    On,
    /// It is not.
    Off,
}

impl Counting {
    /// Both.
    pub const ALL: [Self; 2] = [Self::On, Self::Off];

    /// The name that the configuration uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// How much is counted of block I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockLevel {
    /// Nothing.
    Off,
    /// Requests, and how long each took from its start to its end.
    #[default]
    Total,
    /// That, from when the device has it.
    Device,
}

impl BlockLevel {
    /// All.
    pub const ALL: [Self; 3] = [Self::Off, Self::Total, Self::Device];

    /// The name that the configuration uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Total => "total",
            Self::Device => "device",
        }
    }
}

/// How much is counted of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchedLevel {
    /// Time on the CPUs, the run queue, time off the CPUs and states of threads.
    #[default]
    Full,
    /// Time on the CPUs alone.
    Lean,
}

impl SchedLevel {
    /// All, the default first.
    pub const ALL: [Self; 2] = [Self::Full, Self::Lean];

    /// The name that the configuration, metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lean => "lean",
        }
    }
}

/// What energy can be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterKind {
    /// RAPL through the perf PMU.
    Perf,
    /// RAPL through powercap.
    Powercap,
    /// Sensors of CPUs or of the machine.
    Hwmon,
    /// The power model.
    Model,
}

impl MeterKind {
    /// All, the best first.
    pub const ALL: [Self; 4] = [Self::Perf, Self::Powercap, Self::Hwmon, Self::Model];

    /// As it is written in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Powercap => "powercap",
            Self::Hwmon => "hwmon",
            Self::Model => "model",
        }
    }
}

/// Where the machine stands and what was emitted to make it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carbon {
    /// Grid zone, ISO 3166-2 or country code, by form alone; whether it is in the tables is theirs to say.
    pub location: Option<String>,
    /// Fixed intensity; never together with `location`.
    pub intensity: Option<GramsPerKwh>,
    /// Power usage effectiveness, at least 1, without unit; `None`: not applied.
    pub pue: Option<f64>,
    /// Emissions of making the machine; `None`: estimated from its parts.
    pub embodied: Option<Grams>,
    /// Years over which those are spread; `None`: the default.
    pub embodied_lifespan_years: Option<f64>,
}

/// The OTLP export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The URL to post metrics to, path included; `http://` or `https://`. `None`: nothing is sent.
    pub endpoint: Option<String>,
    /// Added to each request; may hold secrets.
    pub headers: Headers,
    /// For one request.
    pub timeout: Duration,
    /// Of bodies.
    pub compression: Compression,
    /// PEM file of the roots to trust; `None`: the system's. Only with `https://`, as the next.
    pub certificate: Option<PathBuf>,
    /// PEM files by which the agent shows who it is.
    pub client: Option<ClientFiles>,
    /// Room for what is not yet sent.
    pub queue: Bytes,
    /// The agent's own log records, which share certificates and compression.
    pub logs: Logs,
}

/// Where events and the agent's own log records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// The URL to post to, path included. `None`: log records are written to standard error only, and there are no events.
    pub endpoint: Option<String>,
    /// Added to each request; may hold secrets.
    pub headers: Headers,
    /// For one request.
    pub timeout: Duration,
}

impl Default for Otlp {
    fn default() -> Self {
        let timeout = Duration::from_secs(10);
        Self {
            endpoint: None,
            headers: Headers::default(),
            timeout,
            compression: Compression::Gzip,
            certificate: None,
            client: None,
            queue: Bytes(64 << 20),
            logs: Logs { endpoint: None, headers: Headers::default(), timeout },
        }
    }
}

/// The client's side of mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Header names in lower case with their values. `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub BTreeMap<String, String>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// Not at all.
    None,
}

impl Compression {
    /// As it is written in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::None => "none",
        }
    }
}

/// The Prometheus page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prometheus {
    /// Where to listen; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// What all exported series say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Added to each Resource that has no attribute of that name; none of the names by which entities are told apart.
    pub attributes: BTreeMap<String, String>,
    /// `service.name` of the agent's own Resource; `None`: `agent`.
    pub service_name: Option<String>,
}
