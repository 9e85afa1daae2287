//! What is told of the agent itself.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Metric, Point, Value, catalog, point};
use crate::{
    telemetry::snapshot::Histogram,
    units::{Bytes, Microjoules, Nanos},
};

/// The agent's own numbers, since its start. `None`: unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// CPU time of the process.
    pub cpu: Option<Cpu>,
    /// Resident memory.
    pub memory: Option<Bytes>,
    /// Clients that send.
    pub exporters: Vec<Exporter>,
    /// What waits to be sent; `None`: nothing is sent.
    pub queue: Option<Queue>,
    /// Time of the stages of a collection, by stage. The range of buckets of a stage stays the same.
    pub collect: BTreeMap<&'static str, Histogram>,
    /// Kernel programs.
    pub programs: Vec<Program>,
    /// What was not counted, by who lost it and reason.
    pub lost: BTreeMap<(String, String), u64>,
    /// How full maps are.
    pub maps: Vec<Fill>,
    /// Kernel memory of each map.
    pub map_memory: Vec<(String, Bytes)>,
    /// Kernel memory of the maps and programs.
    pub ebpf_memory: Option<Bytes>,
    /// Times the configuration was loaded anew, or was to be.
    pub reloads: Reloads,
    /// Times the totals could not be written to disk.
    pub save_failures: u64,
    /// What became of events; `None`: none are asked for.
    pub events: Option<EventsHealth>,
    /// Messages that were not taken, by output.
    pub lost_messages: BTreeMap<&'static str, u64>,
}

/// Attempts to load the configuration anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// It was taken.
    pub success: u64,
    /// It had mistakes, and was kept as it was.
    pub failure: u64,
}

/// How full a map is, in entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The map.
    pub map: &'static str,
    /// Entries in use.
    pub used: u64,
    /// Entries there are.
    pub limit: u64,
}

/// CPU time of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// In its own code.
    pub user: Nanos,
    /// In the kernel.
    pub system: Nanos,
}

/// A client that sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exporter {
    /// `otel.component.name`: unique in the agent.
    pub name: String,
    /// `otel.component.type`: `otlp_http_metric_exporter`, `otlp_grpc_metric_exporter`.
    pub component: &'static str,
    /// Points that arrived.
    pub exported: u64,
    /// Points that did not and will not, by `error.type`.
    pub failed: BTreeMap<String, u64>,
    /// Points on their way.
    pub inflight: u64,
}

/// What waits to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its size.
    pub usage: Bytes,
    /// Its largest size.
    pub limit: Bytes,
    /// Age of the oldest item, 0 without any.
    pub oldest: Nanos,
    /// Items that left it unsent, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// What became of events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsHealth {
    /// The client that sends them; its points are records. `None`: there is none.
    pub exporter: Option<Exporter>,
    /// Those that were dropped before they could be sent, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// A kernel program, or what stands in for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// `btf`, `cgroupfs`, `procfs` or `off`.
    pub mode: &'static str,
    /// Why not a better mode; empty for the best.
    pub reason: String,
    /// How much it counts, where there is a choice; else empty.
    pub level: &'static str,
    /// Time it ran, and whether that is estimated from a part of its runs.
    pub run_time: Option<(Nanos, bool)>,
    /// Times it ran.
    pub runs: Option<u64>,
}

/// The values of the agent; `energy` is what it cost. The number of series is filled in when it is known.
pub(super) fn points(health: &Health, energy: Option<Microjoules>, workloads: usize, dropped: u64) -> Vec<Point> {
    let mut points = Vec::new();
    if let Some(cpu) = health.cpu {
        points.push(point(&catalog::PROCESS_CPU_TIME, ["user".into()], cpu.user.seconds()));
        points.push(point(&catalog::PROCESS_CPU_TIME, ["system".into()], cpu.system.seconds()));
    }
    points.extend(size(&catalog::PROCESS_MEMORY_USAGE, health.memory));
    health
        .exporters
        .iter()
        .for_each(|exporter| points.extend(sent(exporter, [&catalog::EXPORTED, &catalog::INFLIGHT])));
    points.extend(health.events.iter().flat_map(events));
    points.extend(health.queue.iter().flat_map(waiting));
    points.extend(health.collect.iter().map(|(stage, time)| Point {
        metric: &catalog::COLLECT_DURATION,
        attributes: vec![Cow::Borrowed(*stage)],
        value: Value::Histogram(time.clone()),
    }));
    health.programs.iter().for_each(|program| points.extend(ran(program)));
    points.extend(health.lost.iter().map(|((who, reason), events)| {
        count(&catalog::EBPF_EVENTS_LOST, [who.clone().into(), reason.clone().into()], *events)
    }));
    for fill in &health.maps {
        points.push(count(&catalog::EBPF_MAP_USAGE, [fill.map.into()], fill.used));
        points.push(count(&catalog::EBPF_MAP_LIMIT, [fill.map.into()], fill.limit));
    }
    let memory = health.map_memory.iter();
    points.extend(memory.map(|(map, memory)| count(&catalog::EBPF_MAP_MEMORY, [map.clone().into()], memory.0)));
    points.extend(size(&catalog::EBPF_MEMORY, health.ebpf_memory));
    points.push(count(&catalog::WORKLOAD_COUNT, [], workloads as u64));
    points.push(count(&catalog::SERIES_COUNT, [], 0));
    points.push(count(&catalog::SERIES_DROPPED, [], dropped));
    points.extend(energy.map(|energy| point(&catalog::AGENT_ENERGY, [], energy.joules().0)));
    points.push(count(&catalog::RELOADS, ["success".into()], health.reloads.success));
    points.push(count(&catalog::RELOADS, ["failure".into()], health.reloads.failure));
    points.push(count(&catalog::STATE_SAVE_FAILURES, [], health.save_failures));
    let lost = health.lost_messages.iter();
    points.extend(lost.map(|(output, messages)| count(&catalog::LOG_LOST, [(*output).into()], *messages)));
    points
}

fn events(events: &EventsHealth) -> Vec<Point> {
    const RECORDS: [&Metric; 2] = [&catalog::RECORDS_EXPORTED, &catalog::RECORDS_INFLIGHT];
    let dropped = events.dropped.iter();
    let dropped = dropped.map(|(reason, count_of)| count(&catalog::EVENTS_DROPPED, [(*reason).into()], *count_of));
    let sent = events.exporter.iter().flat_map(|exporter| sent(exporter, RECORDS));
    dropped.chain(sent).collect()
}

fn sent(exporter: &Exporter, [ended, under_way]: [&'static Metric; 2]) -> Vec<Point> {
    let Exporter { name, component, .. } = exporter;
    let of = |error: &str, points| {
        let attributes = [name.clone().into(), (*component).into(), error.to_owned().into()];
        count(ended, attributes, points)
    };
    let failed = exporter.failed.iter().map(|(error, points)| of(error, *points));
    let inflight = count(under_way, [name.clone().into(), (*component).into()], exporter.inflight);
    [of("", exporter.exported)].into_iter().chain(failed).chain([inflight]).collect()
}

fn waiting(queue: &Queue) -> Vec<Point> {
    let sizes = [size(&catalog::QUEUE_USAGE, Some(queue.usage)), size(&catalog::QUEUE_LIMIT, Some(queue.limit))];
    let age = point(&catalog::QUEUE_OLDEST_AGE, [], queue.oldest.seconds());
    let dropped =
        queue.dropped.iter().map(|(reason, items)| count(&catalog::QUEUE_DROPPED, [(*reason).into()], *items));
    sizes.into_iter().flatten().chain([age]).chain(dropped).collect()
}

fn ran(program: &Program) -> Vec<Point> {
    let name = || Cow::from(program.name);
    let time = program.run_time.map(|(time, sampled)| {
        let sampled = if sampled { "true" } else { "false" };
        point(&catalog::EBPF_RUN_TIME, [name(), sampled.into()], time.seconds())
    });
    let runs = program.runs.map(|runs| count(&catalog::EBPF_RUNS, [name()], runs));
    let mode = [name(), program.mode.into(), program.reason.clone().into(), program.level.into()];
    time.into_iter().chain(runs).chain([point(&catalog::EBPF_PROBE_MODE, mode, 1.0)]).collect()
}

fn count<const N: usize>(metric: &'static Metric, attributes: [Cow<'static, str>; N], count: u64) -> Point {
    point(metric, attributes, count as f64)
}

fn size(metric: &'static Metric, size: Option<Bytes>) -> Option<Point> {
    size.map(|size| count(metric, [], size.0))
}
