//! The metric contract: the one table of names, units, kinds and help texts.
//!
//! `docs/metrics.md` is generated from it; every output takes its names from here.

/// What a series is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The machine.
    Node,
    /// A workload on it.
    Workload,
    /// This agent.
    Agent,
}

/// How values of a metric relate in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Cumulative and monotonic, with a start time per series.
    Sum,
    /// A value of the moment.
    Gauge,
    /// A cumulative exponential histogram.
    Histogram,
}

/// One row of the contract.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    /// Dotted OpenTelemetry name.
    pub name: &'static str,
    /// UCUM unit.
    pub unit: &'static str,
    /// Kind.
    pub kind: Kind,
    /// What it is about.
    pub entity: Entity,
    /// Keys of the attributes that tell its series apart, in the order in which they are written.
    pub attributes: &'static [&'static str],
    /// One sentence for people.
    pub help: &'static str,
}

/// Energy of a workload.
pub static WORKLOAD_ENERGY: Metric = Metric {
    name: "wattrace.workload.energy",
    unit: "J",
    kind: Kind::Sum,
    entity: Entity::Workload,
    attributes: &["wattrace.energy.zone", "wattrace.energy.state"],
    help: "Energy billed to the workload.",
};

/// Every row, in the order of the documentation.
pub static ALL: &[&Metric] = &[&WORKLOAD_ENERGY];
