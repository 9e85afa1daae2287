//! What is told adds up, says who, and is silent about what is unknown.

use proptest::{collection::vec, prelude::*};

use self::machine::{Machine, POD, Step, busy, instant, step};
use super::*;
use crate::{
    attribution::ledger::ZoneAccount,
    telemetry::{
        catalog::Kind as Metrics,
        snapshot::{EntitySeries, Phase, Series},
    },
    units::{Bytes, MicroCpus, Watts},
};

mod disk;
mod machine;
mod process;
mod tcp;
mod threads;

/// The series of an entity as `metric{values} value`.
fn lines(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let entity = find(snapshot, name);
    let line = |series: &Series| {
        let Value::Number(value) = series.value else { return series.metric.name.to_owned() };
        let values: Vec<_> = series.attributes.iter().map(AsRef::as_ref).collect();
        format!("{}{{{}}} {value}", series.metric.name, values.join(","))
    };
    entity.series.iter().map(line).collect()
}

fn find<'a>(snapshot: &'a Snapshot, name: &str) -> &'a EntitySeries {
    let found = snapshot.entities.iter().find(|entity| entity.resource.id.name == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn what_is_told_of_a_machine() {
    let mut machine = Machine::new();
    let snapshot = machine.tell(&busy());
    let expected = [
        "hw.energy{package:0,cpu,package-0,} 90",
        "hw.energy{package:1,cpu,package-1,} 60",
        "hw.energy{dram:0,memory,dram-0,package:0} 15",
        "hw.energy{core:0,cpu,core-0,} 30",
        "hw.power{package:0,cpu,package-0,} 6",
        "hw.power{package:1,cpu,package-1,} 4",
        "hw.power{dram:0,memory,dram-0,package:0} 1",
        "hw.power{core:0,cpu,core-0,} 2",
        "hw.host.energy{platform:0} 200",
        "hw.host.power{platform:0} 13.333333333333334",
        "wattrace.node.energy{package,active,rapl_powercap} 60",
        "wattrace.node.energy{package,idle,rapl_powercap} 90",
        "wattrace.node.energy{dram,active,rapl_powercap} 0",
        "wattrace.node.energy{dram,idle,rapl_powercap} 15",
        "wattrace.node.power{package,active,rapl_powercap} 4",
        "wattrace.node.power{package,idle,rapl_powercap} 6",
        "wattrace.node.power{dram,active,rapl_powercap} 0",
        "wattrace.node.power{dram,idle,rapl_powercap} 1",
        "wattrace.node.energy.available{} 1",
        "wattrace.node.energy.residual{package} 0",
        "wattrace.node.energy.residual{dram} 0",
    ];
    let told = lines(&snapshot, "node");
    let sorted = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<_>>();
    let all: BTreeSet<_> = told.iter().cloned().collect();
    assert!(sorted(&expected).is_subset(&all), "{told:#?}");
    let intensity = "wattrace.grid.carbon_intensity{WORLD,static,average,lifecycle,world,} 458";
    assert!(told.iter().any(|line| line.starts_with(intensity)), "{told:#?}");
    // The embodied carbon of a guest is unknown.
    let carbon = |line: &&String| line.starts_with("wattrace.node.carbon");
    assert_eq!(told.iter().filter(carbon).count(), 1, "{told:#?}");
    assert_eq!(
        lines(&snapshot, "ssh.service"),
        [
            "wattrace.workload.energy{dram,active} 0",
            "wattrace.workload.energy{package,active} 9",
            "wattrace.workload.power{dram} 0",
            "wattrace.workload.power{package} 0.6",
            &format!("wattrace.workload.carbon{{operational}} {}", machine.factors.intensity.value.0 * 9.0 / 3.6e6),
            "wattrace.workload.cpu.time{false} 1",
        ]
    );
}

#[test]
fn who_is_who() {
    let snapshot = Machine::new().tell(&busy());
    let attributes = |name| find(&snapshot, name).resource.attributes.clone();
    let get = |name, key| attributes(name).into_iter().find(|(found, _)| *found == key).map(|(_, value)| value);
    let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_eq!(get("0123456789ab", "container.id").as_deref(), Some(id));
    assert_eq!(get("0123456789ab", "k8s.pod.uid").as_deref(), Some("0f1e2d3c-4b5a-4968-8776-655443322110"));
    assert_eq!(get("0123456789ab", "wattrace.cgroup.path").as_deref(), Some(POD));
    assert_eq!(get("run-*.service", "wattrace.cgroup.path"), None, "it has many");
    let ssh: Vec<_> = attributes("ssh.service").into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let expected = [
        "service.namespace=systemd",
        "service.name=ssh.service",
        "service.instance.id=h/ssh.service",
        "host.id=h",
        "host.name=node-1",
        "wattrace.workload.kind=systemd_unit",
        "wattrace.workload.name=ssh.service",
        "wattrace.energy.quality=measured",
        "wattrace.cgroup.path=/system.slice/ssh.service",
        "systemd.unit.name=ssh.service",
    ];
    assert_eq!(ssh, expected);
}

#[test]
fn without_a_meter_nothing_is_zero() {
    let snapshot = Machine::new().tell(&Step { energy: Vec::new(), ..busy() });
    assert_eq!(lines(&snapshot, "ssh.service"), ["wattrace.workload.cpu.time{false} 1"]);
    let node = lines(&snapshot, "node");
    assert!(node.contains(&"wattrace.node.energy.available{no meter} 0".to_owned()), "{node:?}");
    assert!(!node.iter().any(|line| line.starts_with("wattrace.node.energy{") || line.contains("carbon{")), "{node:?}");
}

#[test]
fn the_power_of_a_part_is_not_that_of_the_whole() {
    let mut machine = Machine::new();
    machine.tell(&busy());
    let mut step = busy();
    step.energy[1] = None;
    let snapshot = machine.tell(&step);
    let told: Vec<_> = snapshot.entities.iter().flat_map(|entity| lines(&snapshot, &entity.resource.id.name)).collect();
    let live = |line: &&String| line.contains(".power{package");
    let phases: BTreeSet<_> = snapshot
        .entities
        .iter()
        .flat_map(|entity| &entity.series)
        .filter(|series| {
            (series.metric.unit, series.metric.kind) == ("W", Metrics::Gauge) && series.attributes[0] == "package"
        })
        .map(|series| format!("{:?}", series.phase))
        .collect();
    assert!(told.iter().any(|line| live(&line)));
    assert_eq!(phases, BTreeSet::from(["Gone".to_owned()]));
    let unknown = "wattrace.node.energy.unknown.time{package,error} 15".to_owned();
    assert!(lines(&snapshot, "node").contains(&unknown));
}

#[test]
fn the_agent_tells_of_itself() {
    let mut machine = Machine::new();
    machine.health = Health {
        lost_messages: [("stderr", 3)].into(),
        cpu: Some(Cpu { user: Nanos::from_secs(2), system: Nanos::from_secs(1) }),
        memory: Some(Bytes(4_096)),
        exporters: vec![Exporter {
            name: "collector".to_owned(),
            component: "otlp_http_metric_exporter",
            exported: 10,
            failed: BTreeMap::from([("rejected".to_owned(), 2)]),
            inflight: 3,
        }],
        queue: Some(Queue { usage: Bytes(1), limit: Bytes(2), ..Queue::default() }),
        programs: vec![Program {
            name: "sched",
            mode: "btf",
            level: "lean",
            runs: Some(5),
            run_time: Some((Nanos::from_millis(250), true)),
            ..Program::default()
        }],
        lost: BTreeMap::from([(("sched".to_owned(), "full".to_owned()), 7)]),
        maps: vec![Fill { map: "TIMES", used: 3, limit: 1_024 }],
        ebpf_memory: Some(Bytes(8_192)),
        reloads: Reloads { success: 1, failure: 2 },
        save_failures: 4,
        ..Health::default()
    };
    let snapshot = machine.tell(&busy());
    let told = lines(&snapshot, "agent");
    let series: usize = snapshot.entities.iter().map(|entity| entity.series.len()).sum();
    for line in [
        "process.cpu.time{user} 2",
        "process.memory.usage{} 4096",
        "otel.sdk.exporter.metric_data_point.exported{collector,otlp_http_metric_exporter,} 10",
        "otel.sdk.exporter.metric_data_point.exported{collector,otlp_http_metric_exporter,rejected} 2",
        "wattrace.agent.queue.limit{} 2",
        "wattrace.agent.ebpf.runs{sched} 5",
        "wattrace.agent.ebpf.run.time{sched,true} 0.25",
        "wattrace.agent.ebpf.probe.mode{sched,btf,,lean} 1",
        "wattrace.agent.ebpf.events.lost{sched,full} 7",
        "wattrace.agent.ebpf.map.usage{TIMES} 3",
        "wattrace.agent.ebpf.map.limit{TIMES} 1024",
        "wattrace.agent.ebpf.memory{} 8192",
        "wattrace.agent.reloads{success} 1",
        "wattrace.agent.reloads{failure} 2",
        "wattrace.agent.state.save.failures{} 4",
        "wattrace.agent.log.lost{stderr} 3",
        "wattrace.agent.workload.count{} 6",
        &format!("wattrace.agent.series.count{{}} {series}"),
    ] {
        assert!(told.contains(&line.to_owned()), "{line} in {told:#?}");
    }
    assert!(!told.iter().any(|line| line.starts_with("wattrace.agent.energy")), "unknown: {told:#?}");
}

#[test]
fn what_the_agent_cost_goes_on_after_a_restart() {
    let mut machine = Machine::new();
    let energy = |snapshot: &Snapshot| {
        let mut series = find(snapshot, "agent").series.iter();
        series.find(|series| *series.metric == catalog::AGENT_ENERGY).cloned()
    };
    machine.own = Some(Microjoules(1_500_000));
    let first = energy(&machine.tell(&busy())).unwrap();
    assert_eq!((first.value, first.phase), (Value::Number(1.5), Phase::Born));
    machine.own = None;
    assert_eq!(energy(&machine.tell(&busy())).unwrap().value, Value::Number(1.5), "it never falls");
    let text = serde_json::to_string(&machine.telemetry.record()).unwrap();
    machine.telemetry = Telemetry::restore(serde_json::from_str(&text).unwrap(), &machine.ledger, instant(30));
    machine.own = Some(Microjoules(500_000));
    let last = energy(&machine.tell(&busy())).unwrap();
    assert_eq!((last.value, last.phase, last.start), (Value::Number(2.0), Phase::Live, first.start));
}

#[test]
fn a_restart_goes_on() {
    let mut machine = Machine::new();
    machine.tell(&busy());
    let record = machine.telemetry.record();
    let text = serde_json::to_string(&record).expect("plain data");
    assert_eq!(serde_json::from_str::<TelemetryRecord>(&text).expect("its own text"), record);
    machine.telemetry = Telemetry::restore(record.clone(), &machine.ledger, instant(15));
    assert_eq!(machine.telemetry.record(), record);
    let snapshot = machine.tell(&busy());
    assert_eq!(snapshot.number, 2);
    let told = lines(&snapshot, "ssh.service");
    assert!(told.contains(&"wattrace.workload.power{package} 0.6".to_owned()), "of the interval alone: {told:?}");
    assert!(lines(&snapshot, "node").contains(&"hw.host.energy{platform:0} 400".to_owned()));
    let sums = find(&snapshot, "ssh.service").series.iter().filter(|series| series.metric.kind == Metrics::Sum);
    assert!(sums.into_iter().all(|series| series.phase == Phase::Live && series.start < instant(15).wall));
}

#[test]
fn idle_of_who_reserved_is_told_and_whose_it_is() {
    let mut machine = Machine::new();
    let reserved = [0, 1_000_000, 0, 0, 0].map(MicroCpus).to_vec();
    let snapshot = machine.tell(&Step { reserved, ..busy() });
    let grams = (9.0 + 52.5) / 3.6e6 * machine.factors.intensity.value.0;
    assert_eq!(
        lines(&snapshot, "ssh.service"),
        [
            "wattrace.workload.energy{dram,active} 0",
            "wattrace.workload.energy{dram,idle} 7.5",
            "wattrace.workload.energy{package,active} 9",
            "wattrace.workload.energy{package,idle} 45",
            "wattrace.workload.power{dram} 0",
            "wattrace.workload.power{package} 0.6",
            &format!("wattrace.workload.carbon{{operational}} {grams}"),
            "wattrace.workload.cpu.time{false} 1",
        ]
    );
    let idle = |name: &str| lines(&snapshot, name).iter().filter(|line| line.contains(",idle}")).count();
    assert_eq!(idle("0123456789ab"), 0, "who reserved nothing has none");
    let node = lines(&snapshot, "node");
    assert!(node.contains(&"wattrace.node.energy{package,idle,rapl_powercap} 90".to_owned()), "all of it: {node:?}");
    for name in ["node", "ssh.service"] {
        let says = ("wattrace.energy.idle_policy", "by_request".to_owned());
        assert!(find(&snapshot, name).resource.attributes.contains(&says), "{name}");
    }
}

/// µJ of all series of a metric in a zone, with this state if one is given, those that are gone left out.
fn microjoules(snapshot: &Snapshot, metric: &Metric, zone: &str, state: Option<&str>) -> u64 {
    let series = snapshot.entities.iter().flat_map(|entity| &entity.series);
    let of = series
        .filter(|series| series.metric == metric && series.attributes[0] == zone && series.phase != Phase::Gone)
        .filter(|series| state.is_none_or(|state| series.attributes[1] == state));
    let value = |series: &Series| match series.value {
        Value::Number(joules) => Watts(joules).during(Nanos::from_secs(1)).0,
        Value::Histogram(_) => panic!("no histogram here"),
    };
    of.map(value).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In each snapshot and zone: workloads, those long gone among them, + residual = the node's active part, and
    /// with idle all that was measured. Their parts of idle + what was not handed out = the node's idle. No two resources
    /// share a key, no sum falls.
    #[test]
    fn what_is_told_adds_up(steps in vec((step(), prop::bool::ANY), 1..30)) {
        let mut machine = Machine::new();
        let mut sums: BTreeMap<_, f64> = BTreeMap::new();
        for (step, acknowledged) in steps {
            let snapshot = machine.tell(&step);
            prop_assert!(machine.ledger.closes());
            for kind in [ZoneKind::Package, ZoneKind::Dram] {
                let told = |metric, state| microjoules(&snapshot, metric, kind.name(), state);
                let gone = |retired: &BTreeMap<ZoneKind, Microjoules>| retired.get(&kind).map_or(0, |energy| energy.0);
                let sum = |part: fn(&ZoneAccount) -> u64| -> u64 {
                    machine.ledger.zones().filter(|zone| zone.key.kind == kind).map(part).sum()
                };
                let work = told(&catalog::WORKLOAD_ENERGY, Some("active")) + gone(machine.ledger.retired());
                let billed = work + told(&catalog::NODE_ENERGY_RESIDUAL, None);
                prop_assert_eq!(billed, told(&catalog::NODE_ENERGY, Some("active")));
                let idle = told(&catalog::NODE_ENERGY, Some("idle"));
                prop_assert_eq!(billed + idle, sum(|zone| zone.measured.0));
                let parts = told(&catalog::WORKLOAD_ENERGY, Some("idle")) + gone(machine.ledger.retired_idle());
                prop_assert_eq!(parts + sum(|zone| zone.idle.0 - zone.idle_handed_out.0), idle);
            }
            let ids: BTreeSet<_> = snapshot.entities.iter().map(|entity| entity.resource.id.clone()).collect();
            prop_assert_eq!(ids.len(), snapshot.entities.len());
            for entity in &snapshot.entities {
                for series in entity.series.iter().filter(|series| series.metric.kind == Metrics::Sum) {
                    let key = (entity.resource.id.clone(), series.metric.name, series.attributes.clone());
                    let Value::Number(value) = series.value else { panic!("a number") };
                    prop_assert!(value >= sums.get(&key).copied().unwrap_or(0.0));
                    prop_assert_eq!(series.attributes.len(), series.metric.attributes.len());
                    if series.phase == Phase::Gone { sums.remove(&key) } else { sums.insert(key, value) };
                }
            }
            if acknowledged {
                machine.telemetry.acknowledge(snapshot.number);
            }
        }
    }
}

#[test]
fn shared_time_is_told_where_cores_have_two_threads_and_does_not_vanish() {
    let mut machine = Machine::new();
    let cpu = |snapshot: &Snapshot| {
        let told = lines(snapshot, "ssh.service").into_iter().filter(|line| line.contains(".cpu.time"));
        told.collect::<Vec<_>>()
    };
    machine.method = Method::CpuTimeSmt(crate::attribution::weight::SmtGain::default());
    let time = |shared, seconds| format!("wattrace.workload.cpu.time{{{shared}}} {seconds}");
    let snapshot = machine.tell(&busy());
    assert_eq!(cpu(&snapshot), [time("false", 0.75), time("true", 0.25)]);
    let attributes = &find(&snapshot, "node").resource.attributes;
    for says in [("wattrace.attribution.method", "cpu_time+smt"), ("wattrace.attribution.smt_gain", "0.15")] {
        assert!(attributes.contains(&(says.0, says.1.to_owned())), "{attributes:?}");
    }
    machine.method = Method::CpuTime;
    assert_eq!(cpu(&machine.tell(&busy())), [time("false", 1.75), time("true", 0.25)], "neither falls");
}

#[test]
fn use_of_the_cpus_and_waiting_are_told() {
    let mut machine = Machine::new();
    let ssh = Workload::of_path("/system.slice/ssh.service", "h").id;
    machine.pressure = vec![
        (Resource::Cpu, Pressure { some: 0.5, full: None }),
        (Resource::Io, Pressure { some: 0.25, full: Some(0.125) }),
    ];
    machine.waits = BTreeMap::from([(ssh, Pressure { some: 0.75, full: Some(0.0) })]);
    let snapshot = machine.tell(&busy());
    let of = |name: &str, part: &str| -> Vec<String> {
        lines(&snapshot, name).into_iter().filter(|line| line.contains(part)).collect()
    };
    let expected =
        ["cpu,some} 0.5", "io,full} 0.125", "io,some} 0.25"].map(|end| format!("wattrace.node.pressure{{{end}"));
    assert_eq!(of("node", ".pressure"), expected);
    let share = 5.0 / 30.0;
    assert_eq!(of("node", ".utilization"), [format!("wattrace.node.cpu.utilization{{}} {share}")], "5 s of 2 CPUs");
    let expected = ["cpu,full} 0", "cpu,some} 0.75"].map(|end| format!("wattrace.workload.pressure{{{end}"));
    assert_eq!(of("ssh.service", ".pressure"), expected);
    assert_eq!(of("kernel", ".pressure"), Vec::<String>::new());
    (machine.pressure, machine.waits) = (Vec::new(), BTreeMap::new());
    let snapshot = machine.tell(&busy());
    let live = |name: &str| {
        let series = find(&snapshot, name).series.iter().filter(|series| series.metric.name.ends_with(".pressure"));
        series.filter(|series| series.phase == Phase::Live).count()
    };
    assert_eq!((live("node"), live("ssh.service")), (0, 0), "what is not known is not told");
}
