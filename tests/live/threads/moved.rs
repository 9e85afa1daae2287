//! A thread that is moved to another cgroup while it sleeps: its sleep ends where it began, and then it runs in the new one.

use std::time::Duration;

use wattrace_common::threads::{STATES, State};

use super::{
    probe::{Probe, View},
    truth::{Truth, asleep, assert_near},
};
use crate::support::{Cgroup, Load, live};

#[test]
fn a_sleeper_that_is_moved_ends_its_sleep_where_it_began() {
    live!();
    let [old, new] = [Cgroup::new(), Cgroup::new()];
    let mut probe = Probe::start();
    let mut load = Load::born_in(&old, &["sleeps", "1", "1000", "40", "25"], &["stay"]);
    let start = (asleep(&mut probe, &old), Truth::of(&old));
    load.tell();
    std::thread::sleep(Duration::from_millis(300));
    let mut last = asleep(&mut probe, &old);
    new.add(load.child.id());
    let moved = probe.read();
    assert_eq!(moved.of(&old, &start.0).threads(State::Sleeping), 1, "it still sleeps where it began to");
    assert!(!moved.knows(&new) || moved.of(&new, &start.0).alive() < 0.001);
    // Its sleep of a second ends, and 25 ms later it has slept in the new one.
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(50));
        let view = probe.read();
        for home in [&old, &new] {
            assert_nothing_fell(&view, &last, home);
        }
        last = view;
    }
    assert_eq!(load.line(), "done\n");
    let end = (asleep(&mut probe, &new), Truth::of(&new).since(start.1));
    let (there, here) = (end.0.of(&old, &start.0), end.0.of(&new, &start.0));
    println!("old {there:?}\nnew {here:?}\nscheduler {:?}", end.1);
    assert_near("alive in both", there.alive() + here.alive(), here.wall, 0.01, here.slack);
    let asleep_there = there.state(State::Sleeping);
    assert!(asleep_there >= 1.0, "the long sleep is where it began: {asleep_there}");
    assert!(here.state(State::Sleeping) >= 40.0 * 0.025, "the short ones are where it ran: {here:?}");
    assert_near("on a CPU", there.running + here.running, end.1.run, 0.01, 0.002);
    assert_eq!((there.now, here.now), ([0; STATES.len()], [0, 0, 1, 0, 0]), "nothing is left in the old one");
    load.tell();
    load.wait();
    drop(load);
    let gone = probe.read();
    assert_eq!(gone.of(&new, &start.0).now, [0; STATES.len()]);
    for home in [old, new] {
        home.remove();
        assert!(probe.release(&home), "nothing holds its rows");
    }
}

/// That a sleeper was woken is known when it runs: what it slept may turn out to be less by that wait.
fn assert_nothing_fell(view: &View, last: &View, home: &Cgroup) {
    let step = view.of(home, last);
    let woken = step.state(State::Runnable).max(0.0) + step.slack;
    for state in STATES {
        let grown = step.state(state);
        assert!(grown >= -woken, "{} fell by {grown} s", state.name());
    }
    assert!(step.running >= 0.0 && step.alive() >= -step.slack, "{step:?}");
}
