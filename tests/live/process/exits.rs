//! Ends of processes: how many, how, and what they ran.

use std::{collections::BTreeMap, path::Path, time::Duration};

use wattrace::{
    probes::bpf::{EventPlan, layout::Layouts},
    samples::ProcessTotals,
};
use wattrace_common::{
    events::ExitEvent,
    loss::Reason,
    process::{EXIT_REASONS, ExitReason, SHORT_LIFE},
};

use super::{
    lives::{Ended, Lives},
    probe::{EXITS, Probe},
};
use crate::support::{BTF, Cgroup, live, until};

/// A load, all of which is gone: its figures, its ends, what it said of its children, and what the kernel counted.
struct Gone {
    totals: ProcessTotals,
    exits: Vec<ExitEvent>,
    children: Vec<Ended>,
    cpu: Duration,
    /// What the load's first process ran in another cgroup: at least and at most.
    before: [Duration; 2],
    first: u32,
}

fn run(events: EventPlan, follows_threads: bool, what: &[&str]) -> Gone {
    let cgroup = Cgroup::new();
    let mut probe = Probe::with(events, follows_threads);
    let mut lives = Lives::new(&cgroup, what);
    lives.go();
    let (children, before) = (lives.ended(), lives.before);
    let first = lives.end();
    // Who waits for a process is told before that has left its CPU.
    let count = |totals: &ProcessTotals| totals.exits.iter().sum::<u64>();
    until("all ends are counted", || {
        let totals = probe.of(&cgroup);
        assert!(count(&totals) <= totals.forks + 1, "more ended than there were: {totals:?}");
        count(&totals) == totals.forks + 1
    });
    let exits = if events.exit { probe.exits(&cgroup) } else { Vec::new() };
    let totals = probe.of(&cgroup);
    println!("{totals:?}, {} told", exits.len());
    assert_eq!(probe.unseen(), 0, "no note of a process is left that is gone");
    assert_eq!([Reason::Full, Reason::Limited, Reason::RingFull].map(|reason| probe.lost(reason)), [0; 3]);
    let cpu = cgroup.cpu();
    cgroup.remove();
    Gone { totals, exits, children, cpu, before, first }
}

impl Gone {
    /// The kernel's account of the cgroup has all that ran in it, in whole microseconds.
    fn assert_cpu(&self) {
        let all = Duration::from_nanos(self.totals.exited_cpu.0);
        let [most, least] = self.before.map(|before| all - before);
        println!("cpu: {least:?} to {most:?}, cpu.stat {:?}", self.cpu);
        let rounded = Duration::from_micros(1);
        assert!(self.cpu + rounded >= least && self.cpu <= most + rounded);
    }

    /// One end for each process, as `wait4` told it, and all figures from them.
    fn assert_exits(&self) {
        let mut by_pid: BTreeMap<u32, Vec<&ExitEvent>> = BTreeMap::new();
        for exit in &self.exits {
            by_pid.entry(exit.who.tgid).or_default().push(exit);
        }
        for child in &self.children {
            let [exit] = by_pid.remove(&child.pid).unwrap_or_default()[..] else { panic!("{child:?} has not one end") };
            let reason = ExitReason::of_status(child.status, false);
            assert_eq!((exit.status, exit.reason), (child.status, reason as u32), "{child:?}");
            let ours = Duration::from_nanos(exit.cpu);
            // `wait4` adds what a child's own children ran.
            let is_alone = child.name != "vfork";
            assert!(!is_alone || ours + Duration::from_micros(2) >= child.cpu, "{child:?} ran {ours:?} only");
        }
        let sum: u64 = self.exits.iter().map(|exit| exit.cpu).sum();
        assert_eq!(sum, self.totals.exited_cpu.0);
        let of_reason =
            |reason: ExitReason| self.exits.iter().filter(|exit| exit.reason == reason as u32).count() as u64;
        assert_eq!(EXIT_REASONS.map(of_reason), self.totals.exits);
    }
}

impl Gone {
    /// Those that were there for less than a second, by their own instants, which are on two clocks.
    fn assert_short_lives(&self) {
        // The one that is never behind comes last.
        let [monotonic, boot] = [rustix::time::ClockId::Monotonic, rustix::time::ClockId::Boottime]
            .map(|clock| Duration::try_from(rustix::time::clock_gettime(clock)).unwrap());
        let lived = |exit: &ExitEvent| {
            Duration::from_nanos(exit.head.at) + (boot - monotonic) - Duration::from_nanos(exit.who.start)
        };
        let below =
            |most: u64| self.exits.iter().filter(|exit| lived(exit) < Duration::from_millis(most)).count() as u64;
        assert!(
            (below(999)..=below(1_001)).contains(&self.totals.short_lived),
            "{} {}",
            below(1_000),
            self.totals.short_lived
        );
    }
}

/// Ends by what the load said of its children, and its own.
fn reasons(children: &[Ended]) -> [u64; EXIT_REASONS.len()] {
    let mut reasons = [1, 0, 0, 0];
    for child in children {
        reasons[ExitReason::of_status(child.status, false) as usize] += 1;
    }
    reasons
}

#[test]
fn a_thousand_children_end_as_wait_says() {
    live!();
    for (events, follows_threads) in [(EventPlan::default(), false), (EXITS, true)] {
        let gone = run(events, follows_threads, &["mix", "1000"]);
        assert_eq!(gone.children.len(), 1_000);
        // The load itself came into the cgroup as it was.
        assert_eq!((gone.totals.forks, gone.totals.execs), (1_000, 200));
        assert_eq!(gone.totals.exits, [251, 250, 500, 0]);
        assert_eq!(gone.totals.exits, reasons(&gone.children));
        // Two slept for longer, and the load waited for them; where a machine is slow, others take longer, too.
        assert!((1..=998).contains(&gone.totals.short_lived));
        let waited: Duration = gone.children.iter().map(|child| child.cpu).sum();
        println!("children by wait4: {waited:?}");
        gone.assert_cpu();
        if events.exit {
            gone.assert_exits();
            gone.assert_short_lives();
            assert!(gone.exits.iter().all(|exit| exit.who.parent == gone.first || exit.who.tgid == gone.first));
        }
    }
}

/// How many processes a shape makes.
const SHAPES: [(&str, u64); 9] = [
    ("leader-first", 1),
    ("together", 1),
    ("killed", 1),
    ("at-once", 1),
    ("churn", 1),
    ("exec-thread", 1),
    ("exec-then-first", 1),
    ("vfork", 2),
    ("end", 1),
];

#[test]
fn a_process_ends_once_with_its_last_thread() {
    const EACH: u64 = 20;

    live!();
    for (events, follows_threads) in [(EventPlan::default(), true), (EXITS, false)] {
        let names = SHAPES.iter().take(8).map(|(name, _)| *name);
        let load: Vec<&str> = ["shapes", "20"].into_iter().chain(names).collect();
        let gone = run(events, follows_threads, &load);
        let processes: u64 = SHAPES.iter().take(8).map(|(_, processes)| processes * EACH).sum();
        assert_eq!(gone.totals.forks, processes);
        // Each shape is a program; three start one more.
        assert_eq!(gone.totals.execs, (8 + 3) * EACH);
        gone.assert_cpu();
        if events.exit {
            gone.assert_exits();
        } else {
            let mut expected = reasons(&gone.children);
            // The children of those that forked.
            expected[ExitReason::Error as usize] += EACH;
            assert_eq!(gone.totals.exits, expected);
        }
    }
}

#[test]
fn threads_that_end_at_once_are_one_end() {
    live!();
    let gone = run(EXITS, false, &["shapes", "500", "at-once"]);
    assert_eq!((gone.totals.forks, gone.exits.len()), (500, 501));
    gone.assert_exits();
    gone.assert_cpu();
}

#[test]
fn a_process_that_is_older_ends_once_with_its_last_thread() {
    live!();
    let cgroup = Cgroup::new();
    let mut lives = Lives::new(&cgroup, &["kept", "100"]);
    lives.go();
    assert!(lives.ended().is_empty());
    let mut probe = Probe::start(EXITS);
    lives.go();
    let children = lives.ended();
    lives.end();
    until("all ends are told", || probe.exits(&cgroup).len() == 101);
    let (totals, exits) = (probe.of(&cgroup), probe.exits(&cgroup));
    assert_eq!((totals.forks, totals.execs, totals.exits), (0, 0, [1, 50, 50, 0]));
    for child in &children {
        let of_child: Vec<&ExitEvent> = exits.iter().filter(|exit| exit.who.tgid == child.pid).collect();
        let [exit] = of_child[..] else { panic!("{child:?} has not one end") };
        assert_eq!((exit.status, &exit.who.comm[..6]), (child.status, b"lives\0".as_slice()));
        assert!(Duration::from_nanos(exit.cpu) + Duration::from_micros(2) >= child.cpu, "{child:?}: {exit:?}");
    }
    assert_eq!((probe.unseen(), probe.lost(Reason::Full)), (0, 0));
}

#[test]
fn a_fork_is_of_who_forks_whoever_the_parent_is() {
    live!();
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(EventPlan::default());
    let mut lives = Lives::new(&cgroup, &["sibling"]);
    lives.go();
    let [child] = &lives.ended()[..] else { panic!("one child") };
    // It is this process's own.
    let pid = rustix::process::Pid::from_raw(child.pid.cast_signed());
    rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
    lives.end();
    until("both ends are counted", || probe.of(&cgroup).exits == [1, 1, 0, 0]);
    let layouts = Layouts::load(Path::new(BTF)).unwrap();
    let tells_maker = layouts.process.unwrap().tells_current_task;
    assert_eq!(probe.of(&cgroup).forks, u64::from(tells_maker));
}

#[test]
fn a_process_id_that_is_given_again_is_another_process() {
    live!();
    let gone = run(EXITS, false, &["reuse"]);
    assert_eq!(gone.totals.exits, [2, 1, 0, 0]);
    let mut ends: Vec<&ExitEvent> = gone.exits.iter().filter(|exit| exit.who.tgid != gone.first).collect();
    // An end is told at the last switch, which may come after another CPU has been given the number again.
    ends.sort_by_key(|exit| exit.who.start);
    let [first, again] = ends.as_slice() else { panic!("{ends:?}") };
    assert_eq!((first.who.tgid, first.status, again.status), (again.who.tgid, 0, 3 << 8));
    assert_ne!(first.who.start, again.who.start);
}

#[test]
fn an_end_names_its_process() {
    live!();
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(EXITS);
    let mut lives = Lives::new(&cgroup, &["many", "3", "1", "/bin/sleep", "0.01"]);
    let start = std::fs::read_to_string(format!("/proc/{}/stat", lives.child.id())).unwrap();
    let ticks: u64 = start.rsplit(' ').nth(52 - 22).unwrap().parse().unwrap();
    lives.go();
    let children = lives.ended();
    let first = lives.end();
    until("all ends are told", || probe.exits(&cgroup).len() == 4);
    let exits = probe.exits(&cgroup);
    for (exit, child) in exits.iter().zip(&children) {
        assert_eq!((exit.who.tgid, exit.who.parent), (child.pid, first));
        assert_eq!(exit.who.comm, *b"sleep\0\0\0\0\0\0\0\0\0\0\0");
        assert!(exit.head.at > 0 && exit.reason == ExitReason::Normal as u32);
    }
    let load = exits.last().unwrap();
    assert_eq!((load.who.tgid, load.who.start / 10_000_000), (first, ticks));
    assert_eq!((load.who.parent, load.who.comm), (std::process::id(), *b"lives\0\0\0\0\0\0\0\0\0\0\0"));
    assert!(exits.windows(2).all(|pair| pair[0].head.at < pair[1].head.at && pair[0].who.start > load.who.start));
    const { assert!(SHORT_LIFE == 1_000_000_000) };
}
