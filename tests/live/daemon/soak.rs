//! Everything switched on for minutes, while 50 cgroups a second are born, work, and die: the books stay closed, no counter
//! falls, what all of them did together is what was done, and neither the agent nor its maps grow.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use wattrace::probes::cgroupfs;
use wattrace_tests::{
    churn::{Churn, Lived},
    is_long, patience,
    receiver::{Fault, Receiver},
    until_within,
};

use super::{
    agent::{Agent, Place, wait_for_the_host},
    figures::microjoules,
    received::{Point, Series, points_of},
};
use crate::{
    support::{Cgroup, live},
    tcp::probe::Talker,
    threads::disk::is_direct,
};

const CONFIG: &str = "[agent]\ninterval = \"5s\"\n[probes]\nsched = \"full\"\nblock = \"device\"\ntcp = \"on\"\nprocess = \"on\"\n\
    [events]\nprocess_exec = true\nprocess_exit = true\ntcp_connection_closed = true\nargs = \"redacted\"\nenergy = true\n";
/// What each cgroup spins.
const MILLISECONDS: &str = "2";
/// Payload of its connection, each way, as the load has it.
const BYTES: u64 = 64;
/// Entries of maps that others may take meanwhile: other cgroups of the machine come, too. Those of who is gone are given back
/// where a map is half full.
const SLACK: f64 = 256.0;

/// What was received, as it came: of series that have ended only their part in the sums is kept.
#[derive(Default)]
struct Told {
    /// Start and last value.
    last: BTreeMap<Series, (u64, f64)>,
    /// What all cgroups of the load did, by metric and its attributes.
    load: BTreeMap<(String, Vec<String>), f64>,
    /// By zone, in microjoules: active energy of the node, and what is booked.
    books: BTreeMap<String, [i64; 2]>,
    /// Entries in use, by map.
    usage: BTreeMap<String, f64>,
    lost: BTreeMap<String, f64>,
    at: u64,
    snapshots: usize,
    events: usize,
}

impl Told {
    fn take(&mut self, receiver: &Receiver) {
        for request in receiver.take() {
            self.events += usize::from(request.path == "/v1/logs");
            for point in points_of(&request) {
                self.point(&point);
            }
        }
    }

    fn point(&mut self, point: &Point) {
        // A new series begins with a zero point, which has no instant of its own.
        if point.at != point.start && point.at > self.at {
            self.assert_closed();
            (self.at, self.snapshots) = (point.at, self.snapshots + 1);
        }
        let Some(value) = point.value else {
            self.last.remove(&point.series());
            return;
        };
        if point.is_sum {
            self.sum(point, value);
        } else if point.metric == "wattrace.agent.ebpf.map.usage" {
            self.usage.insert(point.attribute("wattrace.agent.map").to_owned(), value);
        }
    }

    fn sum(&mut self, point: &Point, value: f64) {
        let series = point.series();
        let before = match self.last.insert(series.clone(), (point.start, value)) {
            Some((start, before)) if start == point.start => before,
            Some((start, before)) => panic!("{series:?} starts anew at {}: {before} since {start}", point.start),
            None => 0.0,
        };
        assert!(value >= before, "{series:?} fell from {before} to {value}");
        self.book(point, before, value);
        if point.metric == "wattrace.agent.ebpf.events.lost" && value > 0.0 {
            let key = format!("{:?}", point.attributes);
            self.lost.insert(key, value);
        }
        if point.resource.get("wattrace.cgroup.path").is_some_and(|path| path.starts_with("/wattrace-churn-")) {
            let key = (point.metric.clone(), point.attributes.values().cloned().collect());
            *self.load.entry(key).or_default() += value - before;
        }
    }

    fn book(&mut self, point: &Point, before: f64, value: f64) {
        let Some(zone) = point.attributes.get("wattrace.energy.zone") else { return };
        let side = match (point.metric.as_str(), point.attribute("wattrace.energy.state")) {
            ("wattrace.node.energy", "active") => 0,
            ("wattrace.workload.energy", "active") | ("wattrace.node.energy.residual", _) => 1,
            _ => return,
        };
        self.books.entry(zone.clone()).or_default()[side] += microjoules(value) - microjoules(before);
    }

    fn assert_closed(&self) {
        for (zone, [node, booked]) in &self.books {
            assert_eq!(node, booked, "zone {zone} at {}", self.at);
        }
    }

    fn of_load(&self, metric: &str, values: &[&str]) -> f64 {
        let of = |(name, has): &(String, Vec<String>)| {
            name == metric && values.iter().all(|value| has.iter().any(|found| found == value))
        };
        self.load.iter().filter(|(key, _)| of(key)).map(|(_, value)| value).sum()
    }

    /// The same of what is counted.
    fn count_of_load(&self, metric: &str, values: &[&str]) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole numbers, all added up")]
        let count = self.of_load(metric, values) as u64;
        count
    }

    fn usage(&self) -> f64 {
        self.usage.values().sum()
    }
}

/// Bytes of memory that a process has in use.
fn memory(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// What grew: the most of it in the second, and in the last third of the time.
struct Growth(Vec<f64>);

impl Growth {
    #[track_caller]
    fn assert_none(&self, what: &str, slack: f64) {
        let most = |from: usize, to: usize| self.0[from..to].iter().copied().fold(0.0, f64::max);
        let third = self.0.len() / 3;
        let (middle, last) = (most(third, 2 * third), most(2 * third, self.0.len()));
        println!("{what}: at first {:.0}, then {middle:.0}, at last {last:.0}", most(0, third));
        assert!(last <= middle * 1.1 + slack, "{what} grew from {middle} to {last}");
    }
}

/// Whether block I/O has a cgroup here that is the load's own.
fn cgroups_have_io() -> bool {
    let root = cgroupfs::mount(Path::new("/")).unwrap();
    fs::write(root.join("cgroup.subtree_control"), "+io").is_ok()
}

fn load(file: &Path, port: &str) -> Command {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_burn"));
    worker.args(["turns", MILLISECONDS]).arg(file).arg(format!("127.0.0.1:{port}"));
    worker
}

#[test]
fn everything_at_once_for_minutes() {
    live!();
    let (span, place, home) = (Duration::from_secs(if is_long() { 1800 } else { 120 }), Place::new(), Cgroup::new());
    let folder = tempfile::tempdir().unwrap();
    let block = folder.path().join("block");
    fs::write(&block, [1; 4096]).unwrap();
    rustix::fs::fsync(fs::File::open(&block).unwrap()).unwrap();
    let reads = is_direct(&block) && cgroups_have_io();
    let mut server = Talker::new(&home);
    let port = server.must("listen all 127.0.0.1:0");
    server.order("serve all 1000000000 64");

    let receiver = Receiver::start(|_| Fault::None).unwrap();
    place.configure(CONFIG);
    wait_for_the_host();
    let agent = Agent::of(place.command(&["--endpoint", &receiver.endpoint()]).spawn().unwrap());
    agent.until_said("measuring every 5s");
    let mut told = Told::default();
    until_within(patience(60), "a snapshot of a quiet machine", || {
        told.take(&receiver);
        told.snapshots >= 2
    });
    if !reads {
        println!("nothing is read: cgroups have no I/O of their own here, or files cannot be read past the cache");
    }
    let churn = Churn::start(|| load(if reads { &block } else { Path::new("-") }, &port));
    let [memories, usages] = watch(&mut told, &receiver, &agent, span);
    let lived = churn.end();
    told.until_all_is_told(&receiver, &lived);
    agent.stop();

    told.assert_is_what_was_done(&lived, reads);
    memories.assert_none("bytes of memory", f64::from(8 << 20));
    usages.assert_none("entries of maps", SLACK);
    assert!(!told.books.is_empty() && told.books.values().all(|[node, _]| *node > 0), "{:?}", told.books);
    println!("{} snapshots, {} requests with events, books {:?}", told.snapshots, told.events, told.books);
    assert!(told.events > 10, "{}", told.events);
    assert_eq!(told.lost, BTreeMap::new());
}

/// Takes what comes, for so long; the agent's memory, and the entries of its maps, at each snapshot.
fn watch(told: &mut Told, receiver: &Receiver, agent: &Agent, span: Duration) -> [Growth; 2] {
    let (start, mut growths) = (Instant::now(), [Growth(Vec::new()), Growth(Vec::new())]);
    while start.elapsed() < span {
        let seen = told.snapshots;
        until_within(patience(60), "another snapshot", || {
            told.take(receiver);
            told.snapshots > seen
        });
        #[expect(clippy::cast_precision_loss, reason = "it is no petabyte")]
        growths[0].0.push(memory(agent) as f64);
        growths[1].0.push(told.usage());
    }
    growths
}

impl Told {
    /// Waits until the last of the load has been told.
    fn until_all_is_told(&mut self, receiver: &Receiver, lived: &[Lived]) {
        until_within(patience(60), "all is told", || {
            self.take(receiver);
            self.count_of_load("wattrace.workload.process.exits", &["normal"]) >= lived.len() as u64
        });
    }

    fn assert_is_what_was_done(&self, lived: &[Lived], reads: bool) {
        let count = lived.len() as u64;
        let workload =
            |metric: &str, values: &[&str]| self.count_of_load(&format!("wattrace.workload.{metric}"), values);
        assert_eq!(workload("process.execs", &[]), count, "programs started");
        assert_eq!(workload("process.exits", &["normal"]), count, "programs ended");
        assert_eq!(workload("tcp.connections", &["client"]), count, "connections");
        for direction in ["transmit", "receive"] {
            assert_eq!(workload("tcp.io", &[direction]), count * BYTES, "{direction}");
        }
        if reads {
            assert_eq!(workload("disk.operations", &["read"]), count, "reads");
        }
        let truth: f64 = lived.iter().map(|lived| lived.cpu.seconds()).sum();
        let cpu = self.of_load("wattrace.workload.cpu.time", &[]);
        println!("{count} cgroups: {cpu:.4} s on the CPUs, {truth:.4} s by cpu.stat");
        assert!((cpu - truth).abs() <= truth * 0.02, "{cpu} s, by cpu.stat {truth} s");
    }
}
