//! A Collector that is killed, that is away and that refuses, while cgroups are born and die by the hundred: in the
//! end its file tells the same totals as the agent's ledger, and of CPU time the same as the kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use wattrace_tests::{
    churn::{Churn, Lived, PER_SECOND},
    until_within,
};

use super::{
    otelcol::Collector,
    programs::{Running, agent, can_measure, peer},
    received::{Life, Point, each},
    states::{Kept, Watch},
};

/// Seconds that the Collector is away, and room for what waits: less than that will be, so that snapshots are thinned out.
/// The full form is asked for by the variable.
fn form() -> (usize, &'static str) {
    if wattrace_tests::is_long() { (15, "24MiB") } else { (10, "16MiB") }
}

/// Seconds in which cgroups are born while what was held back is on its way. The wait between two tries has no such
/// bound, and of what ends meanwhile the agent repeats 20,000 series, a dozen of each cgroup.
const MEANWHILE: usize = 5;

/// What each cgroup works.
const MILLISECONDS: &str = "4";

/// The waits between retries grow to a minute.
const LONGEST: Duration = Duration::from_secs(180);

/// The file to which the agent saves its totals.
struct State(PathBuf);

impl State {
    fn number_after(&self, words: &str) -> u64 {
        let text = fs::read_to_string(&self.0).unwrap();
        let rest = text.split(words).nth(1).unwrap_or_else(|| panic!("no {words} in {}", self.0.display()));
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    }

    /// Waits until everything is acknowledged that was told until now.
    fn wait_for_the_backlog(&self) {
        let told = self.number_after("\"lifecycle\":{\"number\":");
        until_within(LONGEST, "what was held back arrives", || self.number_after("\"acknowledged\":") >= told);
    }
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

#[test]
fn nothing_is_lost_of_a_thousand_short_lives_when_the_collector_fails_in_three_ways() {
    let Some(program) = peer("wattrace-otelcol") else { return };
    if !can_measure() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::new(program, folder.path());
    let running = collector.start();
    let config = folder.path().join("wattrace.toml");
    fs::write(&config, format!("otlp.queue_bytes = \"{}\"\n", form().1)).unwrap();
    let endpoint = format!("http://{}", collector.otlp);
    let mut agent = agent(&["--config", config.to_str().unwrap(), "--endpoint", &endpoint], folder.path());
    let file = folder.path().join("state/state.json");
    let watch = Watch::start(file.clone(), Kept::take);
    let churn = Churn::start(|| {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_burn"));
        worker.args(["turns", MILLISECONDS]);
        worker
    });
    churn.wait(2 * PER_SECOND);
    let (mut running, killed) = fail(&collector, running, &churn, &State(file));
    let lived = churn.end();
    assert!(agent.stop(), "{}", agent.said());
    assert!(running.stop());
    assert!(!agent.said().contains("could not be sent"), "{}", agent.said());
    let kept = watch.end();
    let received = Received::of(&collector.file, killed);
    assert!(received.forgotten == 0.0, "more series ended than the agent repeats: it forgot {}", received.forgotten);
    assert_same(&received.last, &kept);
    assert_closed(&received.last);
    assert_kernel_agrees(&received, &lived);
}

/// Killed, away, refusing. Returns the Collector that takes everything in the end, and when the first was killed.
fn fail(c: &Collector, mut running: Running, churn: &Churn, state: &State) -> (Running, u64) {
    running.kill();
    let killed = now();
    c.mend();
    running = c.start();
    live(churn, 1);
    state.wait_for_the_backlog();
    assert!(running.stop());
    live(churn, form().0);
    running = c.start();
    state.wait_for_the_backlog();
    assert!(running.stop());
    running = c.start_refusing();
    // Longer than a workload that is gone is told of by itself: some are in no snapshot that was not refused.
    live(churn, 14);
    assert!(running.stop());
    running = c.start();
    state.wait_for_the_backlog();
    (running, killed)
}

/// Waits for as many cgroups as die in so many seconds, and allows some more.
fn live(churn: &Churn, seconds: usize) {
    churn.allow((seconds + MEANWHILE) * PER_SECOND);
    churn.wait(seconds * PER_SECOND);
}

/// What the Collector has of the sums that outlive the agent.
#[derive(Default)]
struct Received {
    last: BTreeMap<Life, f64>,
    /// CPU time by the path of the cgroup, what was not shared first.
    cpu: BTreeMap<String, [f64; 2]>,
    points: usize,
    /// Points that had to make room, by reason.
    dropped: BTreeMap<String, f64>,
    /// What the agent says it did not see.
    unseen: BTreeMap<String, f64>,
    /// Series of which it says that it told their end to nobody: the outage was longer than it can be.
    forgotten: f64,
}

impl Received {
    fn of(file: &Path, killed: u64) -> Self {
        let mut all = Self::default();
        let (mut times, mut zeros) = (BTreeMap::<Life, u64>::new(), BTreeSet::new());
        // When the first point came, and the first that is not the zero of the start.
        let (mut first, mut values) = (BTreeMap::<Life, u64>::new(), BTreeMap::<Life, u64>::new());
        each(file, |point| {
            if !point.is_sum || !is_kept(&point) {
                all.note_loss(&point);
                return;
            }
            all.points += 1;
            let life = (point.key(), point.start);
            first.entry(life.clone()).or_insert(point.at);
            if point.at == point.start {
                assert_eq!(point.value, Some(0.0), "{point:?}");
                if !zeros.insert(life.clone()) {
                    // The snapshot came twice, since its answer did not arrive. No later one came before that.
                    assert!(values.get(&life).is_none_or(|value| times[&life] == *value), "{point:?}");
                    return;
                }
            } else {
                values.entry(life.clone()).or_insert(point.at);
            }
            let time = times.entry(life.clone()).or_default();
            assert!(point.at >= *time, "{point:?} comes after one of {time}");
            *time = point.at;
            let Some(value) = point.value else { return };
            if let (Some(path), "wattrace.workload.cpu.time") = (&point.cgroup, &*point.metric) {
                let shared = point.attributes.get("wattrace.cpu.shared").is_some_and(|shared| shared == "true");
                all.cpu.entry(path.clone()).or_default()[usize::from(shared)] = value;
            }
            if let Some(before) = all.last.insert(life, value) {
                assert!(value >= before, "{point:?} fell from {before}");
            }
        });
        println!("dropped from the queue: {:?}; not seen: {:?}", all.dropped, all.unseen);
        let forgotten: Vec<_> = first.iter().filter(|(life, _)| !zeros.contains(*life)).collect();
        println!("{} points of {} lives of series; {} without zero", all.points, all.last.len(), forgotten.len());
        // The zero was in what the Collector had acknowledged and not written when it was killed, or there was no room for
        // it at all: the start says the same, to those who read it. Snapshots that are thinned out hand theirs on.
        let full = all.dropped.iter().any(|(reason, points)| reason.contains("full") && *points > 0.0);
        let excused = |start: u64, at: u64| (start < killed && at > killed) || full;
        assert!(forgotten.iter().all(|((_, start), at)| excused(*start, **at)), "{forgotten:?}");
        all
    }

    fn note_loss(&mut self, point: &Point) {
        let losses = match point.metric.as_str() {
            "wattrace.agent.queue.dropped" => &mut self.dropped,
            "wattrace.agent.ebpf.events.lost" => &mut self.unseen,
            "wattrace.agent.series.dropped" => {
                self.forgotten = point.value.unwrap_or(self.forgotten);
                return;
            }
            _ => return,
        };
        let reason = point.attributes.values().cloned().collect::<Vec<_>>().join(" ");
        losses.extend(point.value.filter(|value| *value > 0.0).map(|value| (reason, value)));
    }
}

/// Whether it is of a sum that outlives the agent: those are in its states.
fn is_kept(point: &Point) -> bool {
    ["wattrace.workload.", "wattrace.node.", "wattrace.agent.energy", "hw."]
        .iter()
        .any(|prefix| point.metric.starts_with(prefix))
}

/// Every series that ever was has the same last value on both sides, to the bit.
fn assert_same(received: &BTreeMap<Life, f64>, kept: &Kept) {
    let bits = |values: &BTreeMap<Life, f64>| -> BTreeMap<Life, u64> {
        values.iter().map(|(life, value)| (life.clone(), value.to_bits())).collect()
    };
    let (here, there) = (bits(received), bits(&kept.last));
    let wrong = |a: &BTreeMap<Life, u64>, b: &BTreeMap<Life, u64>| {
        a.iter().filter(|(life, value)| b.get(*life) != Some(value)).map(|(life, _)| life.clone()).collect::<Vec<_>>()
    };
    let (extra, missing) = (wrong(&here, &there), wrong(&there, &here));
    let shown = |lives: &[Life]| -> String {
        let value = |all: &BTreeMap<Life, f64>, life: &Life| all.get(life).copied();
        let line = |life: &Life| {
            format!("{life:?}: received {:?}, kept {:?}\n", value(received, life), value(&kept.last, life))
        };
        lives.iter().take(5).map(line).collect()
    };
    assert!(missing.is_empty(), "{} last values are not what the ledger says:\n{}", missing.len(), shown(&missing));
    assert!(extra.is_empty(), "{} series were in no state:\n{}", extra.len(), shown(&extra));
    let workloads: BTreeSet<_> = kept.last.keys().map(|((id, _, _), _)| id).collect();
    println!("{} series of {} entities equal the ledger, from {} states", here.len(), workloads.len(), kept.states);
}

/// Of what was received: active energy of all workloads that ever were, and what is nobody's, is the node's.
fn assert_closed(received: &BTreeMap<Life, f64>) {
    #[expect(clippy::cast_possible_truncation, reason = "no test uses more than kilojoules")]
    let whole = |joules: f64| (joules * 1e6).round() as i64;
    let mut open: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for (((_, metric, values), _), joules) in received {
        let Some(zone) = values.iter().find(|value| ["package", "dram", "server"].contains(&value.as_str())) else {
            continue;
        };
        let (node, billed) = open.entry(zone).or_default();
        match metric.as_str() {
            "wattrace.node.energy" if values.iter().any(|value| value == "active") => *node += whole(*joules),
            "wattrace.node.energy.residual" | "wattrace.workload.energy" => *billed += whole(*joules),
            _ => {}
        }
    }
    println!("node and billed, in microjoules: {open:?}");
    assert!(!open.is_empty());
    assert!(open.values().all(|(node, billed)| node == billed && *node > 0), "{open:?}");
}

/// Every cgroup's CPU time is what the kernel counted. Its worker may still be on its way to sleep when it is moved on,
/// and the agent sees that at the next switch: so not each, but all that is off anywhere, together, is held to a bound.
fn assert_kernel_agrees(received: &Received, lived: &[Lived]) {
    let names = lived.iter().map(|lived| &lived.name);
    let missing: Vec<_> = names.filter(|name| !received.cpu.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{} of {} cgroups are missing: {missing:?}", missing.len(), lived.len());
    let (mut truth, mut off, mut worst) = (0.0, 0.0, 0.0_f64);
    for lived in lived {
        let kernel = lived.cpu.seconds();
        let error = (received.cpu[&lived.name].iter().sum::<f64>() - kernel).abs();
        (truth, off, worst) = (truth + kernel, off + error, worst.max(error));
    }
    let (count, percent) = (lived.len(), 100.0 * off / truth);
    println!("{count} cgroups: {truth:.4} s by cpu.stat, {percent:.3} % off in all, the worst {:.3} ms", worst * 1e3);
    assert!(off <= truth * 0.02, "{off} s of {truth} s are billed to a wrong cgroup");
}
