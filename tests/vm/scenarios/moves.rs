//! A running task that is moved to another cgroup: from then on it is that one's.

use std::{thread, time::Duration};

use crate::{
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
    record.cgroup("its first cgroup", &outcome, &homes[0].name, STEADY);
    record.cgroup("its second cgroup", &outcome, &homes[1].name, STEADY);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}
