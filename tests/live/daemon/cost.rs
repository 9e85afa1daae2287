//! What the agent says it costs, against what the kernel says.

use std::{collections::BTreeMap, fs};

use rustix::process::Signal;
use wattrace_tests::receiver::{Fault, Receiver};

use super::{
    agent::{Agent, Place},
    received::{Point, instants, until_later},
};
use crate::support::{Cgroup, live};

/// The kernel counts runs of kernel programs while this lives.
struct Statistics {
    before: String,
}

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Statistics {
    fn on() -> Self {
        let before = fs::read_to_string(SWITCH).unwrap();
        fs::write(SWITCH, "1").unwrap();
        Self { before }
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        drop(fs::write(SWITCH, &self.before));
    }
}

/// Of the programs that an agent holds: runs and nanoseconds of the busiest, and the memory of all with their maps.
fn kernel_says(agent: &Agent) -> (u64, u64, u64) {
    let (mut runs, mut time, mut memory) = (0, 0, 0);
    for entry in fs::read_dir(format!("/proc/{}/fdinfo", agent.pid())).unwrap().flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let field = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name)).and_then(|value| value.trim().parse().ok())
        };
        if field("map_type:").or(field("prog_type:")).is_some() {
            memory += field("memlock:").unwrap();
        }
        if let Some(count) = field("run_cnt:").filter(|count| *count > runs) {
            (runs, time) = (count, field("run_time_ns:").unwrap());
        }
    }
    (runs, time, memory)
}

fn number(points: &[Point], at: u64, metric: &str, values: &[(&str, &str)]) -> Option<f64> {
    let is = |point: &&Point| {
        let pairs = values.iter().all(|(key, value)| point.attribute(key) == *value);
        point.at == at && point.metric == metric && pairs
    };
    points.iter().find(is).and_then(|point| point.value)
}

#[test]
fn runs_and_memory_are_what_the_kernel_counts() {
    live!();
    let _statistics = Statistics::on();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    until_later(&receiver, 2);
    let before = kernel_says(&agent);
    let points = until_later(&receiver, 2);
    let after = kernel_says(&agent);
    agent.stop();
    let at = instants(&points).into_iter().next_back().unwrap();
    let sched = [("wattrace.agent.program", "sched")];
    let runs = number(&points, at, "wattrace.agent.ebpf.runs", &sched).unwrap();
    println!("runs: {} <= {runs} <= {}", before.0, after.0);
    // The kernel counts a run when it has ended, on each CPU.
    assert!(before.0 as f64 <= runs + 64.0 && runs <= after.0 as f64 + 64.0, "{before:?} {runs} {after:?}");
    let time = number(&points, at, "wattrace.agent.ebpf.run.time", &sched);
    println!("time: {time:?} s, by the kernel {} s with its own clock", after.1 as f64 / 1e9);
    assert!(runs < 100_000.0 || time.is_some_and(|time| time > 0.0), "none of {runs} runs was timed");
    let memory = number(&points, at, "wattrace.agent.ebpf.memory", &[]).unwrap();
    assert!((memory - after.2 as f64).abs() < 1.0, "{memory} bytes, by the kernel {}", after.2);
    let usage = number(&points, at, "wattrace.agent.ebpf.map.usage", &[("wattrace.agent.map", "TIMES")]).unwrap();
    let limit = number(&points, at, "wattrace.agent.ebpf.map.limit", &[("wattrace.agent.map", "TIMES")]).unwrap();
    assert!(usage >= 1.0 && usage <= limit, "{usage} of {limit}");
    assert_never_falls(&points);
}

/// Alone in its cgroup, the agent is all of a workload.
#[test]
fn its_energy_is_that_of_the_cgroup_it_is_alone_in() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let cgroup = Cgroup::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    cgroup.add(agent.pid());
    let points = until_later(&receiver, 6);
    let cpu = cgroup.cpu().as_secs_f64();
    agent.stop();
    let told = |at: u64| {
        let joules = |point: &Point| point.at == at && point.metric == "wattrace.workload.energy";
        let of_cgroup = points.iter().filter(|point| joules(point) && point.is_of(&cgroup.name));
        let own = number(&points, at, "wattrace.agent.energy", &[]);
        (own, of_cgroup.filter_map(|point| point.value).sum::<f64>())
    };
    let instants = instants(&points);
    let [.., first, _, _, last] = *instants else { panic!("{instants:?}") };
    let ((Some(own_before), all_before), (Some(own), all)) = (told(first), told(last)) else {
        assert!(points.iter().all(|point| point.metric != "wattrace.workload.energy"), "energy is known");
        println!("SKIPPED: no energy is known here");
        return;
    };
    let (own, all) = (own - own_before, all - all_before);
    println!("own {own} J of {all} J of the cgroup, which used {cpu} s");
    assert!(all > 0.0 && own <= all + 2e-6 && own >= 0.7 * all, "{own} of {all}");
}

#[test]
fn stages_and_failures_are_counted() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    place.configure("[agent]\ninterval = \"5 parsecs\"\n");
    agent.signal(Signal::HUP);
    agent.until_said("the configuration is kept as it was");
    let points = until_later(&receiver, 3);
    agent.stop();
    let at = instants(&points).into_iter().next_back().unwrap();
    for stage in ["read", "attribute", "describe", "save", "offer"] {
        let times = number(&points, at, "wattrace.agent.collect.duration", &[("wattrace.agent.stage", stage)]);
        assert!(times.is_some_and(|times| times >= 2.0), "{stage}: {times:?}");
    }
    let reloads = |result| number(&points, at, "wattrace.agent.reloads", &[("wattrace.agent.reload.result", result)]);
    assert_eq!((reloads("failure"), reloads("success")), (Some(1.0), Some(0.0)));
    assert_eq!(number(&points, at, "wattrace.agent.state.save.failures", &[]), Some(0.0));
}

fn assert_never_falls(points: &[Point]) {
    let mut last = BTreeMap::new();
    for point in points.iter().filter(|point| point.is_sum && point.metric.starts_with("wattrace.agent.")) {
        let Some(value) = point.value else { continue };
        let before = last.insert(point.series(), value).unwrap_or(0.0);
        assert!(value >= before, "{}: {before}, then {value}", point.metric);
    }
    assert!(last.len() > 5, "{last:?}");
}
