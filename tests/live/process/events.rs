//! Programs that are started, as they are told; and floods of both kinds of event.

use std::{
    os::{fd::AsFd, unix::fs::symlink},
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    time::Timespec,
};
use wattrace::{probes::bpf::EventPlan, samples::Exec};
use wattrace_common::{
    events::{ARGS_MAX, FILE_MAX},
    loss::Reason,
};
use wattrace_tests::{patience, until_within};

use super::{
    lives::Lives,
    probe::{EXECS, EXITS, Probe},
};
use crate::support::{Cgroup, live, until};

/// The one program that a load starts.
fn start(events: EventPlan, program: &str, args: &[&str]) -> Exec {
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(events);
    let mut lives = Lives::new(&cgroup, &[&["many", "1", "0", program], args].concat());
    lives.go();
    let children = lives.ended();
    let execs = probe.execs(&cgroup);
    let [exec] = execs.as_slice() else { panic!("{execs:?}") };
    assert_eq!((exec.who.tgid, exec.who.parent), (children[0].pid, lives.end()));
    cgroup.remove();
    exec.clone()
}

#[test]
fn a_program_is_told_with_its_path_and_no_arguments() {
    live!();
    let exec = start(EXECS, "/bin/echo", &["a secret"]);
    assert_eq!((exec.file.as_slice(), exec.who.comm), (&b"/bin/echo"[..], *b"echo\0\0\0\0\0\0\0\0\0\0\0\0"));
    assert!(exec.args.is_empty() && !exec.is_cut, "{exec:?}");
}

#[test]
fn arguments_travel_where_they_are_asked_for_as_far_as_there_is_room() {
    live!();
    let plan = EventPlan { args: true, ..EXECS };
    let exec = start(plan, "/bin/echo", &["one", "", "two three"]);
    assert_eq!(exec.args, b"/bin/echo\0one\0\0two three\0");
    assert!(!exec.is_cut);
    let long = "x".repeat(3_000);
    let exec = start(plan, "/bin/echo", &[&long]);
    assert_eq!(exec.args, format!("/bin/echo\0{long}").as_bytes()[..ARGS_MAX]);
    assert!(exec.is_cut);
}

#[test]
fn a_long_path_is_cut() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("n".repeat(80));
    symlink("/bin/echo", &path).unwrap();
    let exec = start(EXECS, path.to_str().unwrap(), &[]);
    // With the NUL that the kernel ends it with.
    assert_eq!(exec.file, path.as_os_str().as_encoded_bytes()[..FILE_MAX - 1]);
    assert_eq!(exec.who.comm, *b"nnnnnnnnnnnnnnn\0");
}

/// Twenty thousand programs of one cgroup beside a hundred of another.
#[test]
fn a_flood_of_one_cgroup_costs_another_nothing() {
    const FLOOD: u64 = 20_000;
    const OTHERS: u64 = 100;

    live!();
    let [noisy, quiet] = [Cgroup::new(), Cgroup::new()];
    let mut probe = Probe::start(EventPlan { exit: true, rate: Some(100), ..EXECS });
    let mut flood = Lives::new(&noisy, &["storm", "20000"]);
    let mut others = Lives::new(&quiet, &["many", "100", "20", "/bin/true"]);
    flood.go();
    others.go();
    // Each says `done` when it is; events are taken out all the time.
    let ended = thread::spawn(move || (others.ended(), others.end()));
    let flooded = thread::spawn(move || (flood.ended(), flood.end()));
    until_within(patience(150), "the flood ends", || {
        probe.execs(&quiet);
        flooded.is_finished() && ended.is_finished()
    });
    let (children, first) = ended.join().unwrap();
    flooded.join().unwrap();
    until("all ends are counted", || probe.of(&noisy).exits[0] == FLOOD + 1 && probe.of(&quiet).exits[0] == OTHERS + 1);
    let exits = probe.exits(&quiet);
    let execs = probe.execs(&quiet);
    for child in &children {
        assert_eq!(exits.iter().filter(|exit| exit.who.tgid == child.pid).count(), 1, "{child:?}");
        assert_eq!(execs.iter().filter(|exec| exec.who.tgid == child.pid).count(), 1, "{child:?}");
    }
    assert_eq!((children.len() as u64, execs.len() as u64), (OTHERS, OTHERS));
    assert!(exits.iter().all(|exit| exit.who.tgid == first || exit.who.parent == first));
    let totals = probe.of(&quiet);
    assert_eq!((totals.forks, totals.execs), (OTHERS, OTHERS));
    let totals = probe.of(&noisy);
    assert_eq!((totals.forks, totals.execs), (FLOOD, FLOOD));
    let told = (probe.exits(&noisy).len() + probe.execs(&noisy).len()) as u64;
    let dropped: Vec<u64> = [&noisy, &quiet].into_iter().map(|cgroup| probe.dropped(cgroup)).collect();
    println!("of the flood {told} told, {} dropped; of the other {} dropped", dropped[0], dropped[1]);
    assert_eq!(told + dropped[0], 2 * FLOOD + 1);
    assert_eq!(dropped[1], OTHERS + 1 - exits.len() as u64, "none but, it may be, the load's own end");
    assert_eq!(probe.lost(Reason::Limited) + probe.lost(Reason::RingFull), probe.all_dropped());
    assert!(dropped[0] > 0, "the flood is held back");
}

#[test]
fn a_full_ring_is_counted() {
    live!();
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(EventPlan { exit: true, ..EXECS });
    let mut flood = Lives::new(&cgroup, &["storm", "5000"]);
    flood.go();
    flood.ended();
    flood.end();
    until("all ends are counted", || probe.of(&cgroup).exits[0] == 5_001);
    let told = (probe.exits(&cgroup).len() + probe.execs(&cgroup).len()) as u64;
    let dropped = probe.dropped(&cgroup);
    println!("{told} told, {dropped} dropped");
    assert!(dropped > 0 && probe.lost(Reason::Limited) == 0);
    assert_eq!(told + dropped, 10_001);
    assert_eq!(probe.lost(Reason::RingFull), probe.all_dropped());
}

/// Of each kind alone: ends are told where nobody may be woken.
#[test]
fn who_waits_is_woken_before_the_ring_is_full() {
    live!();
    for events in [EXECS, EXITS] {
        let cgroup = Cgroup::new();
        let mut probe = Probe::start(events);
        let mut flood = Lives::new(&cgroup, &["storm", "8000"]);
        // Nothing is in the ring: there would be nothing to wait for.
        probe.exits(&cgroup);
        flood.go();
        let flooded = thread::spawn(move || (flood.ended(), flood.end()));
        let ring = probe.programs.events.as_ref().unwrap();
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(ring.as_fd(), PollFlags::IN)], Some(&limit)).unwrap();
        assert!(!flooded.is_finished(), "nobody was woken");
        until_within(patience(150), "the flood ends", || {
            probe.exits(&cgroup);
            flooded.is_finished()
        });
        flooded.join().unwrap();
        until("all ends are counted", || probe.of(&cgroup).exits[0] == 8_001);
        let told = probe.exits(&cgroup).len() + probe.execs(&cgroup).len();
        assert_eq!((told, probe.lost(Reason::RingFull)), (if events.exit { 8_001 } else { 8_000 }, 0));
    }
}
