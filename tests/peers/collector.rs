//! What a Collector writes down, against what the agent kept: the same numbers to the last bit.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value as Json;
use wattrace::{identity::Triplet, pipeline::state::Saved};

use super::programs::{Running, Workload, agent, can_measure, free, listens, peer, until};

/// One number that was received.
#[derive(Clone, Debug)]
struct Point {
    id: Triplet,
    metric: String,
    attributes: BTreeMap<String, String>,
    is_sum: bool,
    start: u64,
    at: u64,
    /// None: `NO_RECORDED_VALUE`.
    value: Option<f64>,
}

type Key = (Triplet, String, Vec<String>);

impl Point {
    fn key(&self) -> Key {
        (self.id.clone(), self.metric.clone(), self.attributes.values().cloned().collect())
    }
}

fn whole(json: &Json) -> u64 {
    json.as_str().map_or(0, |text| text.parse().unwrap())
}

fn attributes(json: &Json) -> BTreeMap<String, String> {
    let text = |pair: &Json| {
        let word = |value: &Json| value.as_str().unwrap().to_owned();
        (word(&pair["key"]), word(&pair["value"]["stringValue"]))
    };
    json.as_array().into_iter().flatten().map(text).collect()
}

/// All numbers of the file, in the order of their arrival. Histograms have tests of their own.
fn received(file: &Path) -> Vec<Point> {
    let mut points = Vec::new();
    let text = fs::read_to_string(file).unwrap();
    // Of a line that is being written the end is missing.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let request: Json = serde_json::from_str(line).unwrap();
        let list = |json: &Json, key: &str| json[key].as_array().cloned().unwrap_or_default();
        for resource in list(&request, "resourceMetrics") {
            let who = attributes(&resource["resource"]["attributes"]);
            for metric in list(&resource, "scopeMetrics").iter().flat_map(|scope| list(scope, "metrics")) {
                points.extend(numbers(&who, &metric));
            }
        }
    }
    points
}

fn numbers(who: &BTreeMap<String, String>, metric: &Json) -> Vec<Point> {
    let get = |key: &str| who.get(key).unwrap_or_else(|| panic!("{who:?} has no {key}")).clone();
    let id = Triplet {
        namespace: get("service.namespace"),
        name: get("service.name"),
        instance: get("service.instance.id"),
    };
    let is_sum = metric.get("sum").is_some();
    if is_sum {
        assert_eq!(metric["sum"]["aggregationTemporality"], 2, "cumulative: {metric}");
        assert_eq!(metric["sum"]["isMonotonic"], true, "{metric}");
    }
    let data = if is_sum { &metric["sum"] } else { &metric["gauge"] };
    let point = |point: &Json| Point {
        id: id.clone(),
        metric: metric["name"].as_str().unwrap().to_owned(),
        attributes: attributes(&point["attributes"]),
        is_sum,
        start: whole(&point["startTimeUnixNano"]),
        at: whole(&point["timeUnixNano"]),
        value: if point["flags"] == 1 { None } else { Some(point["asDouble"].as_f64().unwrap()) },
    };
    data["dataPoints"].as_array().into_iter().flatten().map(point).collect()
}

/// Every state that the agent put on disk while this watched, by the time of its snapshot.
struct Watch {
    end: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<u64, Saved>>,
}

impl Watch {
    fn start(file: PathBuf) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let mut all = BTreeMap::new();
            let mut last = Vec::new();
            loop {
                let is_last = ended.load(Ordering::Acquire);
                let bytes = fs::read(&file).unwrap_or_default();
                if !bytes.is_empty() && bytes != last {
                    let saved: Saved = serde_json::from_slice(&bytes).unwrap();
                    all.insert(saved.telemetry.lifecycle.at.0, saved);
                    last = bytes;
                }
                if is_last {
                    return all;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { end, thread }
    }

    fn end(self) -> BTreeMap<u64, Saved> {
        self.end.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// What the ledger says of the workloads at one instant.
fn ledger(saved: &Saved) -> BTreeMap<Key, f64> {
    let mut told = BTreeMap::new();
    for account in &saved.ledger.accounts {
        let id = &account.workload.id;
        let mut tell = |metric: &str, values: &[&str], value: f64| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            told.insert((id.clone(), format!("wattrace.workload.{metric}"), values), value);
        };
        for (zone, energy) in &account.energy {
            // In the order of the keys: state, zone.
            tell("energy", &["active", zone.name()], energy.joules().0);
        }
        tell("cpu.time", &[], account.cpu.seconds());
        if !account.energy.is_empty() {
            tell("carbon", &["operational"], account.operational.0);
        }
    }
    told
}

struct Collector {
    program: PathBuf,
    config: PathBuf,
    otlp: std::net::SocketAddr,
    log: PathBuf,
    pub file: PathBuf,
}

impl Collector {
    fn new(program: PathBuf, folder: &Path) -> Self {
        let (otlp, file, config) = (free(), folder.join("out.jsonl"), folder.join("collector.yaml"));
        let text = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"{otlp}\"}}}}}}}}\n\
            exporters: {{file: {{path: \"{}\", append: true}}}}\n\
            service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
            pipelines: {{metrics: {{receivers: [otlp], exporters: [file]}}}}\n",
            file.display()
        );
        fs::write(&config, text).unwrap();
        Self { program, config, otlp, log: folder.join("collector.log"), file }
    }

    fn start(&self) -> Running {
        let mut command = Command::new(&self.program);
        let mut running = Running::start(command.arg("--config").arg(&self.config), &self.log);
        until("the Collector listens", || {
            assert!(running.is_running(), "the Collector ended: {}", running.said());
            listens(self.otlp)
        });
        running
    }

    /// Time of the newest point in the file.
    fn newest(&self) -> u64 {
        if self.file.exists() { received(&self.file).iter().map(|point| point.at).max().unwrap_or(0) } else { 0 }
    }

    /// Waits for two snapshots more.
    fn wait(&self) {
        for _ in 0..2 {
            let before = self.newest();
            until("a snapshot arrives", || self.newest() > before);
        }
    }
}

/// Every point against the state of its instant.
fn compare(points: &[Point], states: &BTreeMap<u64, Saved>) {
    let mut compared = 0;
    for (at, saved) in states {
        let here: Vec<&Point> = points.iter().filter(|point| point.at == *at && point.is_sum).collect();
        let sums: BTreeMap<Key, f64> = here.iter().filter_map(|point| Some((point.key(), point.value?))).collect();
        let workloads = |(id, metric, _): &Key| metric.starts_with("wattrace.workload.") && id.name != "node";
        let received: BTreeMap<&Key, u64> =
            sums.iter().filter(|(key, _)| workloads(key)).map(|(key, value)| (key, value.to_bits())).collect();
        let kept = ledger(saved);
        let kept: BTreeMap<&Key, u64> = kept.iter().map(|(key, value)| (key, value.to_bits())).collect();
        assert_eq!(received, kept, "at {at}");
        // Node and workloads, as they are remembered for the next run.
        for series in &saved.telemetry.lifecycle.series {
            let found = here.iter().find(|point| {
                let mut values: Vec<_> = point.attributes.values().cloned().collect();
                let mut wanted: Vec<_> = series.attributes.iter().filter(|text| !text.is_empty()).cloned().collect();
                values.sort();
                wanted.sort();
                point.id == series.id && point.metric == series.metric && values == wanted
            });
            let found = found.unwrap_or_else(|| panic!("at {at}: {series:?} did not arrive"));
            assert_eq!(found.value.map(f64::to_bits), Some(series.value.to_bits()), "{found:?} {series:?}");
            assert_eq!(found.start, series.start.0, "{found:?}");
            compared += 1;
        }
    }
    println!("{} instants, {compared} sums compared", states.len());
    assert!(compared > 0);
}

/// Rules of every cumulative series on its own: times, growth, and how it begins and ends.
fn check_lives(points: &[Point]) {
    let mut lives: BTreeMap<Key, Vec<&Point>> = BTreeMap::new();
    for point in points.iter().filter(|point| point.is_sum) {
        assert!(point.start > 0 && point.start <= point.at, "{point:?}");
        lives.entry(point.key()).or_default().push(point);
    }
    for life in lives.values() {
        let first = life[0];
        assert_eq!((first.value, first.at), (Some(0.0), first.start), "a series begins with 0: {first:?}");
        for pair in life.windows(2) {
            let [before, after] = pair else { continue };
            if before.value.is_none() || after.start != before.start {
                assert_eq!((after.value, after.at), (Some(0.0), after.start), "begins anew with 0: {after:?}");
                assert!(after.start >= before.at, "{before:?} {after:?}");
                continue;
            }
            assert!(after.at > before.at, "{before:?} {after:?}");
            assert!(after.value.is_none_or(|value| Some(value) >= before.value), "{before:?} {after:?}");
        }
    }
}

/// The series of one workload that came and went.
fn check_ended(points: &[Point], name: &str, states: &BTreeMap<u64, Saved>) {
    let accounts = states.values().flat_map(|saved| &saved.ledger.accounts);
    let of_it = accounts.filter(|account| account.cgroup.as_ref().is_some_and(|cgroup| cgroup.path == name));
    let account = of_it.last().unwrap_or_else(|| panic!("no account of {name}"));
    let cpu = points.iter().filter(|point| point.id == account.workload.id && point.metric.ends_with("cpu.time"));
    let cpu: Vec<_> = cpu.map(|point| point.value).collect();
    let [.., last, gone] = &*cpu else { panic!("{cpu:?}") };
    assert_eq!((*last, *gone), (Some(account.cpu.seconds()), None), "{cpu:?}");
    assert!(account.cpu.0 > 0);
}

fn run(outage: bool) {
    let Some(program) = peer("wattrace-otelcol") else { return };
    if !can_measure() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::new(program, folder.path());
    let mut running = collector.start();
    let mut agent = agent(&["--endpoint", &format!("http://{}", collector.otlp)], folder.path());
    let watch = Watch::start(folder.path().join("state/state.json"));
    let (short, long) = (Workload::spin("1"), Workload::spin("3"));
    let names = [short.name.clone(), long.name.clone()];
    short.end();
    if outage {
        collector.wait();
        assert!(running.stop());
        // It ends, and one begins and ends, while nobody listens.
        long.end();
        Workload::spin("1.5").end();
        running = collector.start();
    } else {
        long.end();
    }
    let gone = |name: &str| {
        let path = format!("/wattrace{}", name.strip_prefix("/wattrace").unwrap());
        let points = received(&collector.file);
        let ended: BTreeSet<_> = points.iter().filter(|point| point.value.is_none()).map(|point| &point.id).collect();
        ended.iter().any(|id| id.instance.contains(path.trim_start_matches('/')) || id.name.contains(&path[1..]))
    };
    until("the ends of the workloads arrive", || names.iter().all(|name| gone(name)));
    collector.wait();
    assert!(agent.stop(), "{}", agent.said());
    let states = watch.end();
    until("the last snapshot is written", || Some(&collector.newest()) == states.keys().next_back());
    assert!(running.stop());
    let points = received(&collector.file);
    compare(&points, &states);
    check_lives(&points);
    for name in &names {
        check_ended(&points, name, &states);
    }
}

#[test]
fn a_collector_writes_what_the_ledger_says() {
    run(false);
}

#[test]
fn nothing_is_lost_while_the_collector_is_away() {
    run(true);
}
