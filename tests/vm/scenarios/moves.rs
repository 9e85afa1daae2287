//! A running task that is moved to another cgroup: nothing is lost or counted twice.

use std::{thread, time::Duration};

use crate::{
    outcome::ZONES,
    record::Record,
    support::{Cgroup, Load},
    thresholds::STEADY,
    world::{World, pin},
};

#[test]
fn a_running_task_that_changes_its_cgroup() {
    let Some(world) = World::new() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut load = Load::in_cgroup(&homes[0], &["spin", "6"]);
    pin(load.child.id(), &[3]);
    let measured = world.measure();
    load.go();
    thread::sleep(Duration::from_millis(3500));
    homes[1].add(load.child.id());
    load.wait();
    let outcome = measured.end();
    let mut record = Record::new(
        "a_running_task_that_changes_its_cgroup",
        "A spinner that is moved to another cgroup while it runs",
    );
    for zone in ZONES {
        let mut both = (0, 0);
        for (what, home) in ["its first cgroup", "its second cgroup"].into_iter().zip(&homes) {
            let (truth, told) = (outcome.truth(&home.name, zone), outcome.told(&home.name, zone));
            both = (both.0 + truth, both.1 + told);
            record.row(what, zone, truth, told, None);
        }
        record.row("both", zone, both.0, both.1, Some(STEADY));
    }
    record.beside("both", &outcome, &[&homes[0].name, &homes[1].name]);
    record.note(
        "A slice is billed to the cgroup in which it began: a move counts from the task's next switch on.".to_owned(),
    );
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}
