//! What receivers were told in the end, beside the truth of the same time. Energies in microjoules.

use std::collections::BTreeMap;

use wattrace_tests::simulator::{Owner, Parts, Truth};

use crate::{
    received::{Point, Series},
    scaphandre::Beside,
    world::SOCKETS,
};

/// Zones that are shared out over workloads.
pub const ZONES: [&str; 2] = ["package", "dram"];
const FEMTOJOULES: u128 = 1_000_000_000;

/// A measurement that is over.
pub struct Outcome {
    begin: [Truth; 2],
    end: [Truth; 2],
    /// Totals when it began.
    first: BTreeMap<Series, f64>,
    last: BTreeMap<Series, Point>,
    /// Scaphandre's figures of the same loads.
    pub scaphandre: Option<Beside>,
}

/// All of one kind of zone, as it was told.
pub struct Books {
    pub measured: i64,
    pub workloads: i64,
    pub unattributed: i64,
    pub idle: i64,
    pub residual: i64,
}

impl Outcome {
    /// `told` is what receivers knew when it began.
    pub fn new(
        begin: [Truth; 2],
        end: [Truth; 2],
        told: &[Point],
        points: &[Point],
        scaphandre: Option<Beside>,
    ) -> Self {
        // A series that ended keeps its last value.
        let sums = |points: &[Point]| -> BTreeMap<Series, Point> {
            let sums = points.iter().filter(|point| point.is_sum && point.value.is_some());
            sums.map(|point| (point.series(), point.clone())).collect()
        };
        let first = sums(told).into_iter().filter_map(|(series, point)| Some((series, point.value?))).collect();
        Self { begin, end, first, last: sums(points), scaphandre }
    }

    /// What a cgroup used since the agent measures.
    pub fn truth(&self, cgroup: &str, zone: &str) -> i64 {
        microjoules(used(&self.end[1], cgroup, zone) - used(&self.begin[1], cgroup, zone))
    }

    /// Owners in the truth that it has no path of.
    pub fn nameless(&self) -> Vec<Owner> {
        self.end[1].rows.iter().filter(|row| row.path.is_empty()).map(|row| row.owner).collect()
    }

    /// What a receiver knows of it; 0 when it was never told of it.
    pub fn told(&self, cgroup: &str, zone: &str) -> i64 {
        self.sum(|point| {
            point.metric == "wattrace.workload.energy"
                && point.is_of(cgroup)
                && point.attribute("wattrace.energy.zone") == zone
        })
    }

    /// Seconds a cgroup ran since the agent measures, and those of them in which the other thread of the core was busy.
    pub fn true_time(&self, cgroup: &str) -> [f64; 2] {
        self.end[1].time_since(&self.begin[1], cgroup)
    }

    /// Seconds of the latter that a receiver knows of; 0 when it was never told of any.
    pub fn told_shared(&self, cgroup: &str) -> f64 {
        let is_wanted = |point: &Point| {
            point.metric == "wattrace.workload.cpu.time"
                && point.is_of(cgroup)
                && point.attribute("wattrace.cpu.shared") == "true"
        };
        self.sum(is_wanted) as f64 / 1e6
    }

    /// The books of a kind of zone.
    pub fn books(&self, zone: &str) -> Books {
        let of_zone = |metric: &'static str, state: &'static str| {
            move |point: &&Point| {
                point.metric == metric
                    && point.attribute("wattrace.energy.zone") == zone
                    && point.attribute("wattrace.energy.state") == state
            }
        };
        let nobody =
            |point: &Point| point.resource.get("wattrace.workload.kind").is_some_and(|kind| kind == "unattributed");
        let workloads = of_zone("wattrace.workload.energy", "active");
        let measured = (0..SOCKETS).map(|socket| self.measured(zone, socket)).sum();
        Books {
            measured,
            workloads: self.sum(|point| workloads(&point)),
            unattributed: self.sum(|point| workloads(&point) && nobody(point)),
            idle: self.sum(|point| of_zone("wattrace.node.energy", "idle")(&point)),
            residual: self.sum(|point| of_zone("wattrace.node.energy.residual", "")(&point)),
        }
    }

    /// What the agent says a socket's meter counted.
    pub fn measured(&self, zone: &str, socket: u32) -> i64 {
        let name = format!("{zone}-{socket}");
        self.sum(|point| point.metric == "hw.energy" && point.attribute("hw.name") == name)
    }

    /// What it counted between the agent's first and last reading: at least, and at most. Each of them lies between two
    /// truths.
    pub fn counted(&self, zone: &str, socket: u32) -> [i64; 2] {
        let total = |truth: &Truth| microjoules(part(truth.sockets[&socket].total, zone));
        let ([first, second], [third, fourth]) = (&self.begin, &self.end);
        [total(third) - total(second), total(fourth) - total(first)]
    }

    /// Of that, what was used at rest: at least, and at most.
    pub fn rested(&self, zone: &str, socket: u32) -> [i64; 2] {
        let rest = |truth: &Truth| microjoules(part(truth.sockets[&socket].idle, zone));
        let ([first, second], [third, fourth]) = (&self.begin, &self.end);
        [rest(third) - rest(second), rest(fourth) - rest(first)]
    }

    /// Seconds whose energy is unknown, by reason.
    pub fn unknown(&self, zone: &str) -> BTreeMap<String, f64> {
        let points = self.last.values().filter(|point| {
            point.metric == "wattrace.node.energy.unknown.time" && point.attribute("wattrace.energy.zone") == zone
        });
        let reason = |point: &Point| point.attribute("wattrace.energy.unknown.reason").to_owned();
        points.filter_map(|point| Some((reason(point), point.value?))).collect()
    }

    fn sum(&self, is_wanted: impl Fn(&Point) -> bool) -> i64 {
        let wanted = self.last.iter().filter(|(_, point)| is_wanted(point));
        let first = |series| self.first.get(series).copied().map_or(0, of_joules);
        wanted.filter_map(|(series, point)| Some(of_joules(point.value?) - first(series))).sum()
    }
}

/// What a cgroup used in a kind of zone since the truth was reset.
pub fn microjoules_of(truth: &Truth, cgroup: &str, zone: &str) -> i64 {
    microjoules(used(truth, cgroup, zone))
}

fn used(truth: &Truth, cgroup: &str, zone: &str) -> u128 {
    truth.of_path(cgroup).map(|row| part(row.active, zone)).sum()
}

fn part(parts: Parts, zone: &str) -> u128 {
    match zone {
        "package" => parts.package,
        "dram" => parts.dram,
        other => panic!("{other} is not shared out"),
    }
}

fn microjoules(femtojoules: u128) -> i64 {
    ((femtojoules + FEMTOJOULES / 2) / FEMTOJOULES).try_into().unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "some kilojoules")]
fn of_joules(joules: f64) -> i64 {
    (joules * 1e6).round() as i64
}
