//! An agent that is killed, and one that follows it: nothing that a meter counted is lost, nothing counted twice.

use std::{thread, time::Duration};

use rustix::process::Signal;
use wattrace_tests::patience;

use crate::{
    outcome::ZONES,
    record::Record,
    support::{Cgroup, Load},
    thresholds::STEADY,
    world::{World, pin},
};

#[test]
fn an_agent_that_is_killed_and_started_again() {
    let Some(world) = World::new() else { return };
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["spin", "16"]);
    pin(load.child.id(), &[3]);
    let mut measured = world.measure();
    load.go();
    measured.world.place.until_saved(4);
    measured.agent.signal(Signal::KILL);
    measured.agent.end(patience(5));
    thread::sleep(Duration::from_secs(1));
    let endpoint = measured.world.receiver.endpoint();
    measured.agent = measured.world.place.start(&["--endpoint", &endpoint]);
    load.wait();
    let outcome = measured.end();
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
    record.closes(&outcome);
    record.meters(&outcome);
    record.judge();
}
