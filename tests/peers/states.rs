//! What the agent put on disk while it ran: the truth that receivers are held to.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use wattrace::{
    attribution::ledger::Account, pipeline::state::Saved, samples::disk::places, telemetry::lifecycle::SeriesRecord,
};
use wattrace_common::{
    block::FAILURES,
    process::EXIT_REASONS,
    tcp::{self, FAMILIES, PHASES, ROLES},
    threads::STATES,
};

use super::received::{Key, Life, key};

/// Takes every state that the agent puts on disk, into what the test makes of them.
pub(super) struct Watch<T> {
    end: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Default + Send + 'static> Watch<T> {
    /// Starts to look.
    pub(super) fn start(file: PathBuf, take: fn(&mut T, Saved)) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let mut all = T::default();
            let mut last = Vec::new();
            loop {
                let is_last = ended.load(Ordering::Acquire);
                let bytes = fs::read(&file).unwrap_or_default();
                if !bytes.is_empty() && bytes != last {
                    take(&mut all, serde_json::from_slice(&bytes).unwrap());
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

    /// What was found, the last state among it.
    pub(super) fn end(self) -> T {
        self.end.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// States by the time of their snapshot.
pub(super) type States = BTreeMap<u64, Saved>;

/// Keeps all.
pub(super) fn keep(states: &mut States, saved: Saved) {
    states.insert(saved.telemetry.lifecycle.at.0, saved);
}

/// Seconds on the CPUs by `wattrace.cpu.shared`. Where no core has two threads, the second is 0 and not told.
pub(super) fn cpu_times(account: &Account) -> [(&'static str, f64); 2] {
    [("false", (account.cpu - account.shared).seconds()), ("true", account.shared.seconds())]
}

/// What the ledger says of the workloads at one instant.
pub(super) fn ledger(saved: &Saved) -> BTreeMap<Key, f64> {
    let mut told = BTreeMap::new();
    let is_shared = |values: &[String]| values.iter().any(|value| value == "true");
    let mut cpu = saved.telemetry.lifecycle.series.iter().filter(|series| series.metric.ends_with(".cpu.time"));
    let tells_shared = cpu.any(|series| is_shared(&series.attributes));
    for account in &saved.ledger.accounts {
        let id = &account.workload.id;
        let mut tell = |metric: &str, values: &[&str], value: f64| {
            told.insert(key(id, &format!("wattrace.workload.{metric}"), values), value);
        };
        for (zone, energy) in &account.energy {
            tell("energy", &["active", zone.name()], energy.joules().0);
        }
        for (shared, time) in cpu_times(account).into_iter().filter(|(shared, _)| *shared == "false" || tells_shared) {
            tell("cpu.time", &[shared], time);
        }
        if !account.energy.is_empty() {
            tell("carbon", &["operational"], account.operational.0);
        }
        if let Some(threads) = &account.threads {
            tell("thread.time", &["running"], threads.running.seconds());
            for (state, time) in STATES.iter().zip(threads.states) {
                tell("thread.time", &[state.name()], time.seconds());
            }
            tell("context_switches", &["voluntary"], threads.voluntary as f64);
            tell("context_switches", &["involuntary"], threads.involuntary as f64);
        }
        for (ownership, done) in &account.disk {
            let totals = &done.totals;
            let figures = [("io", totals.bytes), ("operations", totals.operations), ("unmeasured", totals.unmeasured)];
            for (metric, figures) in figures {
                for ((place, _), figure) in places().zip(figures).filter(|(_, figure)| *figure > 0) {
                    tell(&format!("disk.{metric}"), &[place, ownership.name()], figure as f64);
                }
            }
            for (failure, count) in FAILURES.into_iter().zip(totals.errors).filter(|(_, count)| *count > 0) {
                tell("disk.errors", &[failure.name(), ownership.name()], count as f64);
            }
        }
        for (metric, values, value) in connections(account).into_iter().chain(processes(account)) {
            tell(metric, &values, value);
        }
    }
    told
}

type Told = (&'static str, Vec<&'static str>, f64);

/// What is not 0 of a workload's connections.
fn connections(account: &Account) -> Vec<Told> {
    let Some(done) = &account.tcp else { return Vec::new() };
    let totals = &done.totals;
    let mut told = vec![
        ("tcp.connections.unobserved_start", vec![], totals.unobserved),
        ("tcp.io", vec!["transmit"], totals.sent),
        ("tcp.io", vec!["receive"], totals.received),
        ("tcp.retransmits", vec![], totals.retransmits),
    ];
    for (role, of) in ROLES.into_iter().zip(&totals.roles) {
        let role = role.name();
        for (family, count) in FAMILIES.into_iter().zip(of.established) {
            told.push(("tcp.connections", vec![role, family.name()], count));
        }
        for (phase, counts) in PHASES.into_iter().zip(of.failures) {
            for (failure, count) in tcp::FAILURES.into_iter().zip(counts) {
                told.push(("tcp.connection.failures", vec![role, failure.name(), phase.name()], count));
            }
        }
        told.push(("tcp.connections.aborted", vec![role], of.aborted));
        told.push(("tcp.handshake.unmeasured", vec![role], of.unmeasured));
    }
    let told = told.into_iter().filter(|(_, _, count)| *count > 0);
    told.map(|(metric, values, count)| (metric, values, count as f64)).collect()
}

/// Of its processes.
fn processes(account: &Account) -> Vec<Told> {
    let Some(done) = &account.processes else { return Vec::new() };
    let totals = &done.totals;
    let counts = [
        ("process.execs", vec![], totals.execs as f64),
        ("process.forks", vec![], totals.forks as f64),
        ("process.short_lived", vec![], totals.short_lived as f64),
        ("process.cpu.time", vec![], totals.exited_cpu.seconds()),
    ];
    let exits = EXIT_REASONS.into_iter().zip(totals.exits);
    let exits = exits.map(|(reason, count)| ("process.exits", vec![reason.name()], count as f64));
    counts.into_iter().chain(exits).filter(|(_, _, value)| *value > 0.0).collect()
}

/// Whether a series is a number and no histogram.
pub(super) fn is_sum(series: &SeriesRecord) -> bool {
    !series.metric.ends_with(".duration")
}

/// The last value of every series of node and workloads that was ever in a state.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) last: BTreeMap<Life, f64>,
    pub(super) states: usize,
}

impl Kept {
    /// Of workloads the ledger's value is taken; the series only say since when it counts.
    pub(super) fn take(&mut self, saved: Saved) {
        let mut told = ledger(&saved);
        for series in saved.telemetry.lifecycle.series.into_iter().filter(is_sum) {
            let key = key(&series.id, &series.metric, &series.attributes);
            let value = if series.metric.starts_with("wattrace.workload.") {
                told.remove(&key).unwrap_or_else(|| panic!("{key:?} is a series without an account"))
            } else {
                series.value
            };
            self.last.insert((key, series.start.0), value);
        }
        assert!(told.is_empty(), "accounts without series: {told:?}");
        self.states += 1;
    }
}
