//! An agent that is killed, and one that follows it: nothing that a meter counted is lost, nothing counted twice.

use std::{thread, time::Duration};

use rustix::process::Signal;
use wattrace_tests::patience;

use crate::{
    outcome::{Outcome, ZONES},
    record::Record,
    support::{Cgroup, Load},
    thresholds::STEADY,
    world::{BUSY_UW, DRAM_BUSY_UW, SOCKETS, World, pin},
};

#[test]
fn an_agent_that_is_killed_and_started_again() {
    let Some(world) = World::with_powercap() else { return };
    let (home, outcome) = killed(world);
    let title = "An agent that is killed with SIGKILL, and started again beside a spinner";
    let mut record = Record::new("an_agent_that_is_killed_and_started_again", title);
    for zone in ZONES {
        let (truth, told) = (outcome.truth(&home.name, zone), outcome.told(&home.name, zone));
        record.row("spinner", zone, truth, told, None);
        let (missing, near) = (truth - told, STEADY * truth as f64);
        let nobodys = outcome.books(zone).unattributed;
        record.holds(
            format!(
                "{zone}: {missing} µJ of the spinner are missing, {nobodys} µJ are nobody's: used without an agent"
            ),
            missing > 0 && missing as f64 <= nobodys as f64 + near,
        );
    }
    record.beside("spinner", &outcome, &[&home.name]);
    record.closes(&outcome);
    record.meters(&outcome);
    record.judge();
}

/// Counters of perf begin when they are opened.
#[test]
fn an_agent_that_is_killed_while_it_counts_with_perf() {
    let Some(world) = World::new() else { return };
    let (home, outcome) = killed(world);
    let title = "An agent that counts with perf and is killed with SIGKILL, and started again beside a spinner";
    let mut record = Record::new("an_agent_that_is_killed_while_it_counts_with_perf", title);
    for (zone, watts) in ZONES.into_iter().zip([BUSY_UW, DRAM_BUSY_UW]) {
        let (truth, told) = (outcome.truth(&home.name, zone), outcome.told(&home.name, zone));
        record.row("spinner", zone, truth, told, None);
        // Both sockets were without an agent for as long.
        let seconds = outcome.unknown(zone).get("agent_down").copied().unwrap_or_default() / f64::from(SOCKETS);
        let (missing, near) = ((truth - told) as f64, STEADY * truth as f64);
        let said = seconds * f64::from(watts[1]);
        record.holds(
            format!("{zone}: {missing} µJ of the spinner are missing, {said:.0} µJ were used while no agent ran"),
            // Less where the next agent came only after the spinner's end.
            missing <= said + near && missing > 0.0,
        );
    }
    record.beside("spinner", &outcome, &[&home.name]);
    record.closes(&outcome);
    record.judge();
}

/// A spinner, and an agent that is killed after some intervals; another one follows.
fn killed(world: World) -> (Cgroup, Outcome) {
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["spin", "12"]);
    pin(load.child.id(), &[3]);
    let mut measured = world.measure();
    load.go();
    measured.world.place.until_saved(3);
    measured.agent.signal(Signal::KILL);
    measured.agent.end(patience(5));
    thread::sleep(Duration::from_secs(1));
    measured.agent = measured.world.start(&[]);
    load.wait();
    (home, measured.end())
}
