//! The metric contract: the one table of names, units, kinds and help texts.
//!
//! `docs/metrics.md` is generated from it; every output takes its names from here.

use super::names;

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

impl Kind {
    /// The name the reference uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
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

macro_rules! catalog {
    ($($id:ident = $entity:ident $kind:ident $name:literal $unit:literal [$($key:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Metric = Metric {
                name: $name,
                unit: $unit,
                kind: Kind::$kind,
                entity: Entity::$entity,
                attributes: &[$($key),*],
                help: $help,
            };
        )*

        /// Every row, in the order of the documentation.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

// The hardware rows, `process.*` and `otel.sdk.*` are OpenTelemetry's own, schema 1.44.0. Two of those are
// up-down counters there and gauges here: both are the same series in Prometheus.
catalog! {
    HW_ENERGY = Node Sum "hw.energy" "J" ["hw.id", "hw.type", "hw.name", "hw.parent"]
        "Energy that a hardware zone counted; zones with a parent are part of it and are not to be added to it.";
    HW_POWER = Node Gauge "hw.power" "W" ["hw.id", "hw.type", "hw.name", "hw.parent"]
        "Mean power of a hardware zone over the interval.";
    HW_HOST_ENERGY = Node Sum "hw.host.energy" "J" ["hw.id"]
        "Energy of the whole machine, where a meter measures it.";
    HW_HOST_POWER = Node Gauge "hw.host.power" "W" ["hw.id"]
        "Mean power of the whole machine over the interval, where a meter measures it.";
    NODE_ENERGY = Node Sum "wattrace.node.energy" "J" ["wattrace.energy.zone", "wattrace.energy.state", "wattrace.energy.source"]
        "Energy of the machine that is shared out. Per zone, state active equals that of all workloads and the residual; state idle is all idle energy: that of all workloads, and what stays with the node.";
    NODE_POWER = Node Gauge "wattrace.node.power" "W" ["wattrace.energy.zone", "wattrace.energy.state", "wattrace.energy.source"]
        "Mean power of the machine over the interval.";
    NODE_ENERGY_AVAILABLE = Node Gauge "wattrace.node.energy.available" "1" ["wattrace.energy.unavailable.reason"]
        "1 when energy is measured or modelled, 0 when there is neither a meter nor a model.";
    NODE_ENERGY_RESIDUAL = Node Sum "wattrace.node.energy.residual" "J" ["wattrace.energy.zone"]
        "Active energy billed to nobody: 0 in a healthy agent.";
    NODE_ENERGY_UNKNOWN_TIME = Node Sum "wattrace.node.energy.unknown.time" "s" ["wattrace.energy.zone", "wattrace.energy.unknown.reason"]
        "Meter time whose energy is unknown and in no figure, by zone and reason: reset, gap or error.";
    NODE_CPU_UNACCOUNTED = Node Gauge "wattrace.node.cpu.unaccounted" "1" []
        "Share of the CPUs' time over the interval that neither tasks nor idle account for.";
    NODE_CPU_UTILIZATION = Node Gauge "wattrace.node.cpu.utilization" "1" []
        "Share of the CPUs' time over the interval in which they were busy.";
    NODE_PRESSURE = Node Gauge "wattrace.node.pressure" "1" ["wattrace.resource", "wattrace.pressure.kind"]
        "Share of the interval in which tasks waited for cpu, memory or io (PSI): some, at least one; full, all that were not idle. None where the kernel does not count it.";
    NODE_CPU_RUNQUEUE = Node Gauge "wattrace.node.cpu.runqueue" "{thread}" []
        "Threads that waited for a CPU, mean over the interval: how saturated the CPUs are.";
    NODE_THREADS_UNOBSERVED = Node Gauge "wattrace.node.threads.unobserved" "{thread}" []
        "Threads that have not run since the kernel programs were attached, so that their time is in no figure; those that ended and were not waited for are among them.";
    NODE_DISK_OPERATION_DURATION = Node Histogram "wattrace.node.disk.operation.duration" "s" ["system.device", "disk.io.direction"]
        "Block I/O requests of a device that ended, by how long that took: from the kernel's start of the request to its end, waits in its queue included, or, by `probes.block`, from when the device was given it; flushes are not timed. Devices made of others (dm, md) ask those, which tell it. Device other: those that the kernel has no room for.";
    NODE_DISK_REQUEUES = Node Sum "wattrace.node.disk.requeues" "{request}" ["system.device"]
        "Times a request was put back into the queue of a device, to be asked for again.";
    NODE_DISK_UTILIZATION = Node Gauge "wattrace.node.disk.utilization" "1" ["system.device"]
        "Share of the interval in which a block device had any request in flight. None where the kernel keeps no account (queue/iostats 0), and of devices that were never used.";
    NODE_DISK_QUEUE_DEPTH = Node Gauge "wattrace.node.disk.queue.depth" "{operation}" ["system.device"]
        "Requests of a block device in flight, mean over the interval; each counts when it ends.";
    NODE_CARBON = Node Sum "wattrace.node.carbon" "g" ["wattrace.carbon.phase"]
        "CO2-equivalent of the machine: operational from its energy, idle included, and embodied from its making.";
    NODE_PUE = Node Gauge "wattrace.node.pue" "1" ["wattrace.pue.source"]
        "Power usage effectiveness that operational carbon was multiplied by; 1 when none is applied.";
    GRID_CARBON_INTENSITY = Node Gauge "wattrace.grid.carbon_intensity" "g/(kW.h)" ["wattrace.grid.zone", "wattrace.grid.source", "wattrace.grid.signal", "wattrace.grid.basis", "wattrace.grid.precision", "wattrace.grid.estimated"]
        "Carbon intensity of the electricity in force.";

    WORKLOAD_ENERGY = Workload Sum "wattrace.workload.energy" "J" ["wattrace.energy.zone", "wattrace.energy.state"]
        "Energy billed to the workload: state active for what it ran; state idle, by the policy `by_request` alone, for the CPUs that it has reserved, which is a part of the node's idle energy.";
    WORKLOAD_POWER = Workload Gauge "wattrace.workload.power" "W" ["wattrace.energy.zone"]
        "Mean power of the workload's active energy over the interval.";
    WORKLOAD_CARBON = Workload Sum "wattrace.workload.carbon" "g" ["wattrace.carbon.phase"]
        "CO2-equivalent of the workload's energy, in both states.";
    WORKLOAD_CPU_TIME = Workload Sum "wattrace.workload.cpu.time" "s" ["wattrace.cpu.shared"]
        "Time the workload's tasks were on a CPU: shared true while the other thread of the core was busy, too, false the rest. Without kernel programs, or where cores have no two threads, all of it is false.";
    WORKLOAD_PRESSURE = Workload Gauge "wattrace.workload.pressure" "1" ["wattrace.resource", "wattrace.pressure.kind"]
        "Share of the interval in which tasks of the workload waited for a resource (PSI of its control group): some, at least one; full, all that were not idle. Told of who ran, from the second time on; of cpu alone.";
    WORKLOAD_THREAD_TIME = Workload Sum "wattrace.workload.thread.time" "s" ["wattrace.thread.state"]
        "Time of the workload's threads by state: running, runnable (waiting for a CPU), `io_wait`, sleeping, uninterruptible or stopped. It counts while they wait, and all states together are the thread-seconds they were alive.";
    WORKLOAD_SCHED_WAIT_DURATION = Workload Histogram "wattrace.workload.sched.wait.duration" "s" []
        "Waits for a CPU that ended: from runnable to running. The kernel has room for those of some hundred workloads; of others only the sum is told, in thread.time.";
    WORKLOAD_OFFCPU_DURATION = Workload Histogram "wattrace.workload.offcpu.duration" "s" ["wattrace.offcpu.reason"]
        "Times off the CPU that ended, by reason: io, sleep, uninterruptible or preempt. The kernel has room for those of some hundred workloads; of others only the sums are told, in thread.time.";
    WORKLOAD_CONTEXT_SWITCHES = Workload Sum "wattrace.workload.context_switches" "{context_switch}" ["process.context_switch.type"]
        "Times a thread of the workload left its CPU: voluntary, to wait for something, or involuntary, because another was to run.";
    WORKLOAD_DISK_IO = Workload Sum "wattrace.workload.disk.io" "By" ["disk.io.direction", "wattrace.disk.attribution"]
        "Bytes of block I/O requests of the workload that ended: read, write, discard, or other, which have no direction.";
    WORKLOAD_DISK_OPERATIONS = Workload Sum "wattrace.workload.disk.operations" "{operation}" ["disk.io.direction", "wattrace.disk.attribution"]
        "Block I/O requests of the workload that ended: read, write, flush, discard, or other, which have no direction. What was never done has no series.";
    WORKLOAD_DISK_OPERATION_DURATION = Workload Histogram "wattrace.workload.disk.operation.duration" "s" ["disk.io.direction", "wattrace.disk.attribution"]
        "Block I/O requests of the workload that ended, by how long that took, as in node.disk.operation.duration. The kernel has room for those of some hundred workloads.";
    WORKLOAD_DISK_UNMEASURED = Workload Sum "wattrace.workload.disk.unmeasured" "{operation}" ["disk.io.direction", "wattrace.disk.attribution"]
        "Of disk.operations, those whose duration is not known: where the kernel keeps no account (queue/iostats 0) it stamps no start. Flushes, and those without a direction, are never timed and not among them.";
    WORKLOAD_DISK_ERRORS = Workload Sum "wattrace.workload.disk.errors" "{error}" ["error.type", "wattrace.disk.attribution"]
        "Block I/O of the workload that ended with an error: io, `timed_out`, medium, transport, target, `no_space`, `not_supported`, resource, offline or other.";
    WORKLOAD_TCP_CONNECTIONS = Workload Sum "wattrace.workload.tcp.connections" "{connection}" ["wattrace.tcp.role", "network.type"]
        "TCP connections of the workload that were established: as client, which asked for them, or server; ipv4, what an IPv6 socket carries to a mapped address among it, or ipv6. What was never done has no series.";
    WORKLOAD_TCP_FAILURES = Workload Sum "wattrace.workload.tcp.connection.failures" "{connection}" ["wattrace.tcp.role", "error.type", "wattrace.tcp.phase"]
        "TCP connections of the workload that an error ended: refused, reset, `timed_out`, unreachable or other; in the handshake, or once established.";
    WORKLOAD_TCP_ABORTED = Workload Sum "wattrace.workload.tcp.connections.aborted" "{connection}" ["wattrace.tcp.role"]
        "TCP connections that the workload gave up itself before they were established.";
    WORKLOAD_TCP_UNOBSERVED = Workload Sum "wattrace.workload.tcp.connections.unobserved_start" "{connection}" []
        "TCP connections of the workload that ended and are older than the agent: in which role is not known, nor for how long. They are in no other count of connections.";
    WORKLOAD_TCP_OPEN = Workload Gauge "wattrace.workload.tcp.connection.count" "{connection}" ["wattrace.tcp.role"]
        "TCP connections of the workload that are open.";
    WORKLOAD_TCP_DURATION = Workload Histogram "wattrace.workload.tcp.connection.duration" "s" ["wattrace.tcp.role"]
        "TCP connections of the workload that ended, by how long they were established. The kernel has room for those of some hundred workloads.";
    WORKLOAD_TCP_HANDSHAKE = Workload Histogram "wattrace.workload.tcp.handshake.duration" "s" ["wattrace.tcp.role"]
        "TCP connections of the workload that were established, by how long that took: as client from when it asked, as server the round trip of its answer. The kernel has room for those of some hundred workloads.";
    WORKLOAD_TCP_UNMEASURED = Workload Sum "wattrace.workload.tcp.handshake.unmeasured" "{connection}" ["wattrace.tcp.role"]
        "Of tcp.connections, those of which it is not known how long the handshake took.";
    WORKLOAD_TCP_IO = Workload Sum "wattrace.workload.tcp.io" "By" ["network.io.direction"]
        "Payload bytes of TCP connections of the workload, each once: transmit or receive. Open connections count as they go where the agent can see them, in its own network namespace; others when they end.";
    WORKLOAD_TCP_RETRANSMITS = Workload Sum "wattrace.workload.tcp.retransmits" "{segment}" []
        "TCP segments that the workload's connections sent again, told as in tcp.io.";
    WORKLOAD_TCP_RTT = Workload Histogram "wattrace.workload.tcp.rtt.duration" "s" []
        "TCP connections of the workload that ended, by their smoothed round trip time then. The kernel has room for those of some hundred workloads.";
    WORKLOAD_PROCESS_EXECS = Workload Sum "wattrace.workload.process.execs" "{exec}" []
        "Programs that processes of the workload started. What was never done has no series.";
    WORKLOAD_PROCESS_FORKS = Workload Sum "wattrace.workload.process.forks" "{process}" []
        "Processes that processes of the workload made; threads are not among them.";
    WORKLOAD_PROCESS_EXITS = Workload Sum "wattrace.workload.process.exits" "{process}" ["wattrace.process.exit.reason"]
        "Processes of the workload that ended: normal, with status 0; error, with another one; by a signal; or oom, by the kernel for want of memory.";
    WORKLOAD_PROCESS_SHORT_LIVED = Workload Sum "wattrace.workload.process.short_lived" "{process}" []
        "Of process.exits, those of processes that lived shorter than a second.";
    WORKLOAD_PROCESS_CPU_TIME = Workload Sum "wattrace.workload.process.cpu.time" "s" []
        "CPU time of processes' threads that ended: a part of wattrace.workload.cpu.time, told again.";
    WORKLOAD_OPERATIONS = Workload Sum "wattrace.workload.operations" "{operation}" ["wattrace.functional_unit"]
        "How often the workload did what is configured as the functional unit: `disk_operations`, all of disk.operations; `connections_closed`, TCP connections that ended; or `execs`, process.execs. Joules per operation are its energy by this, over the same time.";

    PROCESS_CPU_TIME = Agent Sum "process.cpu.time" "s" ["cpu.mode"]
        "CPU time of the agent's process.";
    PROCESS_MEMORY_USAGE = Agent Gauge "process.memory.usage" "By" []
        "Resident memory of the agent's process.";
    EXPORTED = Agent Sum "otel.sdk.exporter.metric_data_point.exported" "{data_point}" ["otel.component.name", "otel.component.type", "error.type"]
        "Points whose export has ended; those with an error type have failed.";
    INFLIGHT = Agent Gauge "otel.sdk.exporter.metric_data_point.inflight" "{data_point}" ["otel.component.name", "otel.component.type"]
        "Points handed to the exporter whose export has not ended.";
    RECORDS_EXPORTED = Agent Sum "otel.sdk.exporter.log.exported" "{log_record}" ["otel.component.name", "otel.component.type", "error.type"]
        "Events whose export has ended; those with an error type have failed. The agent's own log records are not among them.";
    RECORDS_INFLIGHT = Agent Gauge "otel.sdk.exporter.log.inflight" "{log_record}" ["otel.component.name", "otel.component.type"]
        "Events handed to the exporter whose export has not ended.";
    EVENTS_DROPPED = Agent Sum "wattrace.agent.events.dropped" "{event}" ["wattrace.agent.drop.reason"]
        "Events that were dropped on their way to the exporter, by reason: limited (beyond events.rate), `ring_full`, malformed, memory (too many in one interval), queue (it was full), `no_destination`. Metrics count what they would have told.";
    QUEUE_USAGE = Agent Gauge "wattrace.agent.queue.usage" "By" []
        "Size of what waits to be sent.";
    QUEUE_LIMIT = Agent Gauge "wattrace.agent.queue.limit" "By" []
        "Size at which the queue thins out metrics and drops events.";
    QUEUE_OLDEST_AGE = Agent Gauge "wattrace.agent.queue.oldest.age" "s" []
        "Age of the oldest item that waits to be sent; 0 when none does.";
    QUEUE_DROPPED = Agent Sum "wattrace.agent.queue.dropped" "{item}" ["wattrace.agent.drop.reason"]
        "Items that left the queue unsent, by reason: full, thinned, expired, corrupt, rejected or `too_large`.";
    COLLECT_DURATION = Agent Histogram "wattrace.agent.collect.duration" "s" ["wattrace.agent.stage"]
        "Time a stage of one collection took.";
    EBPF_EVENTS_LOST = Agent Sum "wattrace.agent.ebpf.events.lost" "{event}" ["wattrace.agent.program", "wattrace.agent.loss.reason"]
        "Events that a kernel program, or what takes its events, could not count.";
    EBPF_RUN_TIME = Agent Sum "wattrace.agent.ebpf.run.time" "s" ["wattrace.agent.program", "wattrace.agent.sampled"]
        "CPU time of a kernel program, without the clock that takes it; sampled: the mean of 1 of 1,024 runs, times all. It is spent in, and billed to, whoever runs on the CPU: it is in none of the agent's own figures.";
    EBPF_RUNS = Agent Sum "wattrace.agent.ebpf.runs" "{run}" ["wattrace.agent.program"]
        "Times a kernel program ran.";
    EBPF_MEMORY = Agent Gauge "wattrace.agent.ebpf.memory" "By" []
        "Kernel memory of the maps and programs, as the kernel accounts it.";
    EBPF_MAP_MEMORY = Agent Gauge "wattrace.agent.ebpf.map.memory" "By" ["wattrace.agent.map"]
        "Kernel memory of a kernel map: a part of ebpf.memory.";
    EBPF_MAP_USAGE = Agent Gauge "wattrace.agent.ebpf.map.usage" "{entry}" ["wattrace.agent.map"]
        "Entries in use of a kernel map; of the time table, those of the CPU where it is fullest.";
    EBPF_MAP_LIMIT = Agent Gauge "wattrace.agent.ebpf.map.limit" "{entry}" ["wattrace.agent.map"]
        "Entries that a kernel map has; of the time table, those of one CPU.";
    EBPF_PROBE_MODE = Agent Gauge "wattrace.agent.ebpf.probe.mode" "1" ["wattrace.agent.program", "wattrace.agent.probe.mode", "wattrace.agent.probe.reason", "wattrace.agent.probe.level"]
        "1 for the mode in which a probe works: btf, cgroupfs, procfs or off, and why not a better one; level: how much of threads is counted, full or lean, and from when block I/O is timed, total or device.";
    WORKLOAD_COUNT = Agent Gauge "wattrace.agent.workload.count" "{workload}" []
        "Workloads that live.";
    SERIES_COUNT = Agent Gauge "wattrace.agent.series.count" "{series}" []
        "Series told, this one and those that repeat a final value among them.";
    SERIES_DROPPED = Agent Sum "wattrace.agent.series.dropped" "{series}" []
        "Ended series forgotten before every destination acknowledged their final value.";
    AGENT_ENERGY = Agent Sum "wattrace.agent.energy" "J" []
        "Energy that the CPU time of the agent's process cost: its part of the active energy of its workload, so not to be added to it. What its kernel programs cost is not in it.";
    RELOADS = Agent Sum "wattrace.agent.reloads" "{reload}" ["wattrace.agent.reload.result"]
        "Times the configuration was to be loaded anew: success, or failure when it had mistakes and was kept as it was.";
    LOG_LOST = Agent Sum "wattrace.agent.log.lost" "{record}" ["wattrace.agent.log.output"]
        "Messages of the agent that an output did not take: stderr or otlp.";
    STATE_SAVE_FAILURES = Agent Sum "wattrace.agent.state.save.failures" "{failure}" []
        "Times the totals could not be written to disk.";
}

/// Place of a row in [`ALL`]; its length for a metric that is no row.
pub fn position(metric: &Metric) -> usize {
    ALL.iter().position(|row| std::ptr::eq(*row, metric)).unwrap_or(ALL.len())
}

const HEAD: &str = "<!-- Written by `cargo xtask docs` from the program's own table. Do not edit. -->

# Metrics of wattrace

Sums are cumulative and monotonic, with a start time per series: a new one starts with a point of value 0. Units are
UCUM. Histograms are exponential. What is unknown has no series: it is never 0.

Every series also carries its resource: the node, a workload or the agent, with `service.namespace`, `service.name`,
`service.instance.id`, `host.id` and `host.name`; a workload's kind, name, cgroup and quality of energy besides.

How active energy was shared out, the node's resource says in `wattrace.attribution.method`: `cpu_time`, by time on the
CPUs, or `cpu_time+smt`, where time that two threads of a core shared counts for less, by `wattrace.attribution.smt_gain`.

Whose idle energy is, the node's resource says in `wattrace.energy.idle_policy`: `separate`, the node's, or `by_request`,
which workloads then say, too. The books of each zone close in both states: over all workloads, ended ones among them,
`wattrace.workload.energy` of state active + `wattrace.node.energy.residual` = `wattrace.node.energy` of state active; and of
state idle what is missing to the node's was reserved by nobody and stays with it. Carbon likewise.

Whose block I/O is, the kernel says by the cgroup that it charges a request to, and `wattrace.disk.attribution` how far that is the
workload: `cgroup`, its own; `ancestor`, its own and that of cgroups below it, for which the io controller is not enabled;
`unknown`, its cgroup was gone before it could be looked at. The workload `unattributed` has the rest: `root`, of the root cgroup,
which are the kernel's own and those of everybody for whom the io controller is not enabled; `v1`, of a version 1 hierarchy; `none`,
requests that name nobody. Over all of them and all workloads nothing is missing.
";

/// The reference of all metrics, in Markdown.
pub fn markdown() -> String {
    let sections = [(Entity::Node, "Node"), (Entity::Workload, "Workload"), (Entity::Agent, "Agent")];
    sections.iter().fold(HEAD.to_owned(), |text, (entity, title)| text + &section(*entity, title))
}

fn section(entity: Entity, title: &str) -> String {
    let rows: String = ALL.iter().filter(|metric| metric.entity == entity).map(|metric| row(metric)).collect();
    format!(
        "\n## {title}\n\n| name | in Prometheus | kind, unit | attributes | meaning |\n|---|---|---|---|---|\n{rows}"
    )
}

fn row(metric: &Metric) -> String {
    let keys: Vec<String> = metric.attributes.iter().map(|key| format!("`{key}`")).collect();
    let keys = if keys.is_empty() { "–".to_owned() } else { keys.join(" ") };
    let Metric { name, unit, kind, help, .. } = metric;
    format!("| `{name}` | `{}` | {}, `{unit}` | {keys} | {help} |\n", names::sample(metric), kind.name())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_reference_is_in_step() {
        let committed = include_str!("../../../docs/metrics.md");
        assert!(committed == markdown(), "docs/metrics.md is not what the catalogue says: run `cargo xtask docs`");
    }

    #[test]
    fn names_follow_the_rules() {
        let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        for metric in ALL {
            assert!(metric.name.split('.').all(is_word), "{}", metric.name);
            assert!(!metric.name.ends_with("total"), "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.help);
            let keys: BTreeSet<_> = metric.attributes.iter().collect();
            assert_eq!(keys.len(), metric.attributes.len(), "{}", metric.name);
            assert_eq!(metric.name.ends_with(".duration"), metric.kind == Kind::Histogram, "{}", metric.name);
        }
    }

    #[test]
    fn names_are_unique_in_every_output() {
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
        let families: BTreeSet<_> = ALL.iter().map(|metric| names::family(metric)).collect();
        assert_eq!((names.len(), families.len()), (ALL.len(), ALL.len()));
    }

    #[test]
    fn every_row_has_its_place() {
        for (at, metric) in ALL.iter().enumerate() {
            assert_eq!(position(metric), at);
        }
        let stranger =
            Metric { name: "x", unit: "1", kind: Kind::Sum, entity: Entity::Node, attributes: &[], help: "" };
        assert_eq!(position(&stranger), ALL.len());
    }
}
