//! What the scheduler itself says of threads, and how near the figures must be to it.

use std::fs;

use wattrace_common::threads::State;

use super::probe::{Figures, Probe, View};
use crate::support::{Cgroup, Load, steal, until};

/// The scheduler's account of some threads, all together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Truth {
    /// Seconds on a CPU.
    pub run: f64,
    /// Seconds of waits for one.
    pub delay: f64,
    pub voluntary: u64,
    pub involuntary: u64,
    pub threads: u64,
    /// Seconds of waits for I/O, where the kernel accounts for them.
    pub io_wait: f64,
}

impl Truth {
    /// Of all threads in the cgroup.
    pub fn of(cgroup: &Cgroup) -> Self {
        let mut sum = Self::default();
        for pid in fs::read_to_string(cgroup.path.join("cgroup.procs")).unwrap().lines() {
            sum.add(pid);
        }
        sum
    }

    fn add(&mut self, pid: &str) {
        for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let task = task.unwrap().path();
            let text = fs::read_to_string(task.join("schedstat")).unwrap();
            let nanos: Vec<f64> = text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect();
            self.run += nanos[0] / 1e9;
            self.delay += nanos[1] / 1e9;
            let status = fs::read_to_string(task.join("status")).unwrap();
            let field = |name: &str| -> u64 {
                let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                value.trim().parse().unwrap()
            };
            self.voluntary += field("voluntary_ctxt_switches:");
            self.involuntary += field("nonvoluntary_ctxt_switches:");
            self.threads += 1;
            // Field 42, hundredths of a second; the name before it may have blanks.
            let stat = fs::read_to_string(task.join("stat")).unwrap();
            let ticks = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(39).unwrap();
            self.io_wait += ticks.parse::<f64>().unwrap() / 100.0;
        }
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            run: self.run - before.run,
            delay: self.delay - before.delay,
            voluntary: self.voluntary - before.voluntary,
            involuntary: self.involuntary - before.involuntary,
            threads: self.threads,
            io_wait: self.io_wait - before.io_wait,
        }
    }
}

/// A load, from a reading at which it waits for its start to one at which it waits for its end.
pub struct Watched {
    pub figures: Figures,
    pub truth: Truth,
    /// Seconds that a hypervisor gave to others, of all CPUs: the scheduler's account of a task may leave them out.
    pub stolen: f64,
}

/// Watches a load from its start to its end, and while it does `meanwhile`. The load must stay.
pub fn watch(cgroup: &Cgroup, load: &[&str], how: &[&str], meanwhile: impl FnOnce(&mut Probe, &mut Load)) -> Watched {
    watch_by(Probe::start(), cgroup, load, how, meanwhile)
}

/// As [`watch`], with programs that were loaded in another way.
pub fn watch_by(
    mut probe: Probe,
    cgroup: &Cgroup,
    load: &[&str],
    how: &[&str],
    meanwhile: impl FnOnce(&mut Probe, &mut Load),
) -> Watched {
    let mut load = Load::born_in(cgroup, load, how);
    let stolen = steal();
    let before = (asleep(&mut probe, cgroup), Truth::of(cgroup));
    load.tell();
    meanwhile(&mut probe, &mut load);
    assert_eq!(load.line(), "done\n");
    let after = (asleep(&mut probe, cgroup), Truth::of(cgroup));
    after.0.assert_nothing_lost(&before.0);
    let figures = after.0.of(cgroup, &before.0);
    let truth = after.1.since(before.1);
    println!("ours {figures:?}\nscheduler {truth:?}");
    load.tell();
    load.wait();
    Watched { figures, truth, stolen: (steal() - stolen).seconds() }
}

/// Reads when all threads of the cgroup sleep.
pub fn asleep(probe: &mut Probe, cgroup: &Cgroup) -> View {
    until("all of the cgroup sleep", || all(cgroup, ") S "));
    probe.read()
}

/// Whether all threads of the cgroup are in this state, as `stat` has it.
pub fn all(cgroup: &Cgroup, state: &str) -> bool {
    let procs = fs::read_to_string(cgroup.path.join("cgroup.procs")).unwrap();
    let mut tasks = procs.lines().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten());
    tasks.all(|task| {
        let stat = fs::read_to_string(task.unwrap().path().join("stat"));
        stat.is_ok_and(|stat| stat.contains(state))
    })
}

/// Two times in seconds: within `share` of the greater one, or `least`.
#[track_caller]
pub fn assert_near(what: &str, ours: f64, truth: f64, share: f64, least: f64) {
    println!("{what}: {ours:.6}, truth {truth:.6}");
    let most = (ours.max(truth) * share).max(least);
    assert!((ours - truth).abs() <= most, "{what}: {ours}, truth {truth}, may differ by {most}");
}

impl Watched {
    /// What holds of every load: on a CPU and waiting for one as long as the scheduler says, alive all the time.
    #[track_caller]
    pub fn assert_is_as_the_scheduler_says(&self) {
        assert_near("on a CPU", self.figures.running, self.truth.run, 0.01, self.estimates());
        self.assert_waits_and_lives();
    }

    /// The same of a deadline task. Older kernels end its account at the tick that finds its budget spent, though it runs until
    /// it is switched out: a tick at most each time.
    #[track_caller]
    pub fn assert_is_as_the_scheduler_says_but_for_throttling(&self) {
        const TICK: f64 = 0.004;
        let Self { figures: ours, truth, .. } = self;
        let (least, most) = (truth.run * 0.99, truth.run * 1.01 + TICK * truth.involuntary as f64);
        println!("on a CPU: {:.6}, truth {:.6}", ours.running, truth.run);
        assert!(
            ours.running >= least - self.estimates() && ours.running <= most + self.estimates(),
            "{}",
            ours.running
        );
        self.assert_waits_and_lives();
    }

    #[track_caller]
    fn assert_waits_and_lives(&self) {
        let waited = self.figures.state(State::Runnable);
        assert_near("waits for a CPU", waited, self.truth.delay, 0.03, self.estimates());
        self.assert_is_alive_all_the_time();
    }

    /// Seconds. Time before the cgroup was entered is in the first reading of both. What else there is are single switches whose
    /// instants are estimated, because the kernel did not report them, and what a hypervisor took.
    fn estimates(&self) -> f64 {
        0.002 + 20e-6 * self.figures.missed as f64 + self.stolen
    }

    #[track_caller]
    pub fn assert_is_alive_all_the_time(&self) {
        let ours = &self.figures;
        let lived = ours.wall * self.truth.threads as f64;
        assert_near("alive", ours.alive(), lived, 0.01, ours.slack * self.truth.threads as f64);
    }

    /// Switches, to the number. A kernel may hide some of its tasks' switches from programs: one that is hidden is in none of
    /// the figures, and whether the next one is of another thread is not known.
    #[track_caller]
    pub fn assert_switches_are_as_the_kernel_counts(&self) {
        let Self { figures: ours, truth, .. } = self;
        println!("{} switches were hidden", ours.missed);
        for (what, ours, truth) in
            [("voluntary", ours.voluntary, truth.voluntary), ("involuntary", ours.involuntary, truth.involuntary)]
        {
            println!("{what}: {ours}, truth {truth}");
            assert!(ours.abs_diff(truth) <= 2 + self.figures.missed, "{what}: ours {ours}, truth {truth}");
        }
    }
}
