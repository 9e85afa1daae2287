//! The kernel programs at level full, and what one workload did between two readings: the only file here that knows how the
//! figures are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    time::Duration,
};

use wattrace::{
    clock,
    probes::bpf::{self, Machine, Programs, layout::Layouts},
    samples::{Durations, ThreadsReading},
    units::Nanos,
};
use wattrace_common::{
    loss::{Program, Reason},
    sched::WorkKey,
    threads::{OFF_SCALE, STATES, State, WAIT_SCALE},
};

use crate::support::{BTF, Cgroup, machine};

/// Programs of this test's own.
pub struct Probe {
    programs: Programs,
}

/// Everything that was read at once.
pub struct View {
    /// Before and after it was read.
    pub at: (Nanos, Nanos),
    threads: BTreeMap<WorkKey, ThreadsReading>,
    on_cpu: BTreeMap<WorkKey, Nanos>,
    missed: u64,
    lost: u64,
}

/// What the threads of one workload did in a window. Times are seconds.
#[derive(Clone, Debug)]
pub struct Figures {
    pub running: f64,
    /// By state.
    pub states: [f64; STATES.len()],
    /// Threads in each state at the end.
    pub now: [u64; STATES.len()],
    pub voluntary: u64,
    pub involuntary: u64,
    /// Waits for a CPU that ended.
    pub wait: Histogram,
    /// Time off the CPU that ended, by state with a reason.
    pub off: [Histogram; wattrace_common::threads::REASONS],
    /// From the first reading to the second.
    pub wall: f64,
    /// Seconds by which the window may be shorter or longer: readings are not an instant.
    pub slack: f64,
    /// Switches of the whole machine in the window that the kernel did not report, and for which the scheduler's stamps stood in.
    pub missed: u64,
}

/// Durations that ended.
#[derive(Clone)]
pub struct Histogram {
    pub sum: f64,
    counts: Vec<u64>,
    scale: i32,
}

impl Probe {
    pub fn start() -> Self {
        let machine = Machine { follows_threads: true, ..machine() };
        let layouts = Layouts::load(Path::new(BTF)).unwrap();
        let programs = bpf::load(&layouts, &machine).map_err(|error| error.to_string()).unwrap();
        assert_eq!(programs.waits, Ok(()), "waits for a CPU are told");
        if let Err(reason) = &programs.threads {
            panic!("threads are not followed: {reason}");
        }
        Self { programs }
    }

    pub fn read(&mut self) -> View {
        let start = clock::monotonic();
        let is_online = |cpu: u32| {
            let file = format!("/sys/devices/system/cpu/cpu{cpu}/online");
            std::fs::read_to_string(file).map_or(true, |text| text.trim() == "1")
        };
        let now = |_| Nanos(u64::MAX);
        let times = self.programs.times.read(clock::monotonic, is_online, now);
        let threads = self.programs.threads.as_mut().unwrap().read(&self.programs.times, clock::monotonic, now);
        let mut on_cpu: BTreeMap<WorkKey, Nanos> = BTreeMap::new();
        for time in &times.times {
            *on_cpu.entry(time.key).or_default() += time.time;
        }
        View {
            at: (start, clock::monotonic()),
            threads: threads.into_iter().map(|threads| (threads.key, threads)).collect(),
            on_cpu,
            missed: self.lost(|reason| reason == Reason::Missed),
            lost: self.lost(Reason::loses),
        }
    }

    fn lost(&self, which: impl Fn(Reason) -> bool) -> u64 {
        let losses = self.programs.times.losses();
        let ours = losses.into_iter().filter(|loss| loss.program == Program::Sched && which(loss.reason));
        ours.map(|loss| loss.count).sum()
    }

    /// As the agent does with a workload that died. Whether its rows were given back.
    pub fn release(&mut self, cgroup: &Cgroup) -> bool {
        let dead = BTreeSet::from([WorkKey::cgroup(cgroup.id)]);
        let threads = self.programs.threads.as_mut().ok();
        self.programs.times.release(&dead, threads) == dead
    }

    /// Rows of histograms that are taken.
    pub fn rows(&self) -> u64 {
        let fills = self.programs.fills();
        fills.iter().find(|fill| fill.map == wattrace_common::layout::MAP_HISTOGRAM_ROW).unwrap().used
    }
}

impl View {
    /// What the cgroup's threads did from `before` to this.
    pub fn of(&self, cgroup: &Cgroup, before: &Self) -> Figures {
        self.of_key(WorkKey::cgroup(cgroup.id), before)
    }

    pub fn of_key(&self, key: WorkKey, before: &Self) -> Figures {
        let (old, new) = (before.figures(key), self.figures(key));
        let on_cpu = |view: &Self| view.on_cpu.get(&key).copied().unwrap_or_default();
        Figures {
            running: on_cpu(self).seconds() - on_cpu(before).seconds(),
            states: std::array::from_fn(|state| new.states[state].seconds() - old.states[state].seconds()),
            now: new.now,
            voluntary: new.voluntary - old.voluntary,
            involuntary: new.involuntary - old.involuntary,
            wait: Histogram::between(&durations(&old, None), &durations(&new, None), WAIT_SCALE),
            off: std::array::from_fn(|at| {
                Histogram::between(&durations(&old, Some(at)), &durations(&new, Some(at)), OFF_SCALE)
            }),
            wall: self.at.1.seconds() - before.at.1.seconds(),
            slack: Duration::from(self.at.1 - self.at.0 + (before.at.1 - before.at.0)).as_secs_f64(),
            missed: self.missed - before.missed,
        }
    }

    fn figures(&self, key: WorkKey) -> ThreadsReading {
        self.threads.get(&key).cloned().unwrap_or_default()
    }

    /// Whether anything is known of the key's threads.
    pub fn knows(&self, cgroup: &Cgroup) -> bool {
        self.threads.contains_key(&WorkKey::cgroup(cgroup.id))
    }

    /// Nothing is missing from the books since `before`.
    pub fn assert_nothing_lost(&self, before: &Self) {
        assert_eq!(self.lost, before.lost, "something was lost");
    }
}

fn durations(threads: &ThreadsReading, reason: Option<usize>) -> Durations {
    let all = threads.durations.as_ref();
    all.map(|all| reason.map_or(&all.wait, |at| &all.off[at]).clone()).unwrap_or_default()
}

impl Figures {
    pub fn state(&self, state: State) -> f64 {
        self.states[state as usize]
    }

    pub fn threads(&self, state: State) -> u64 {
        self.now[state as usize]
    }

    pub fn off(&self, state: State) -> &Histogram {
        &self.off[state as usize]
    }

    /// Running, and all states.
    pub fn alive(&self) -> f64 {
        self.running + self.states.iter().sum::<f64>()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} of {:.6} s", self.count(), self.sum)
    }
}

impl Histogram {
    fn between(old: &Durations, new: &Durations, scale: i32) -> Self {
        let before = old.counts.iter().chain(std::iter::repeat(&0));
        let counts = new.counts.iter().zip(before).map(|(new, old)| new - old).collect();
        Self { sum: new.sum.seconds() - old.sum.seconds(), counts, scale }
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many lasted longer than `from` and at most `to` seconds: both must be bounds of buckets, as powers of two are.
    pub fn within(&self, from: f64, to: f64) -> u64 {
        let inside = |at: &(usize, &u64)| self.upper(at.0) > from * 1.000_001 && self.upper(at.0) <= to * 1.000_001;
        self.counts.iter().enumerate().filter(inside).map(|(_, count)| count).sum()
    }

    /// Between which seconds the sum must be, by the buckets.
    pub fn bounds(&self) -> (f64, f64) {
        let each = |bound: &dyn Fn(usize) -> f64| -> f64 {
            self.counts.iter().enumerate().map(|(at, count)| bound(at) * *count as f64).sum()
        };
        (each(&|at| if at == 0 { 0.0 } else { self.upper(at - 1) }), each(&|at| self.upper(at)))
    }

    /// Seconds at which a bucket ends; the first is that for zero, which ends at 2^-20 s.
    fn upper(&self, at: usize) -> f64 {
        let steps = f64::from(1_u32 << self.scale);
        (-20.0 + at as f64 / steps).exp2()
    }
}
