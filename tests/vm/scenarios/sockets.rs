//! Sockets of different price: work is billed where it ran.

use std::{fs, thread, time::Duration};

use crate::{
    outcome::ZONES,
    record::Record,
    support::{Cgroup, Load},
    thresholds::STEADY,
    world::{World, pin},
};

#[test]
fn two_spinners_on_priced_sockets() {
    let Some(world) = World::new() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "4"]));
    pin(loads[0].child.id(), &[1]);
    pin(loads[1].child.id(), &[3]);
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    let mut record = Record::new("two_spinners_on_priced_sockets", "Two spinners on sockets of different price");
    record.cgroup("socket 0", &outcome, &homes[0].name, STEADY);
    record.cgroup("socket 1", &outcome, &homes[1].name, STEADY);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

#[test]
fn a_task_that_migrates_between_sockets() {
    let Some(world) = World::new() else { return };
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["spin", "5"]);
    pin(load.child.id(), &[1]);
    let measured = world.measure();
    load.go();
    let pid = load.child.id();
    for turn in 0..40 {
        thread::sleep(Duration::from_millis(100));
        pin(pid, &[[3, 1][turn % 2]]);
    }
    load.wait();
    let outcome = measured.end();
    let mut record =
        Record::new("a_task_that_migrates_between_sockets", "A spinner that changes its socket 40 times in 4 s");
    record.cgroup("spinner", &outcome, &home.name, STEADY);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

#[test]
fn a_cpu_goes_offline_and_comes_back() {
    let Some(world) = World::new() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "6"]));
    pin(loads[0].child.id(), &[1]);
    pin(loads[1].child.id(), &[2, 3]);
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    for state in ["0", "1"] {
        thread::sleep(Duration::from_millis(1500));
        fs::write("/sys/devices/system/cpu/cpu3/online", state).unwrap();
    }
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    let mut record =
        Record::new("a_cpu_goes_offline_and_comes_back", "A CPU that goes offline beside two spinners, and comes back");
    record.cgroup("on the other socket", &outcome, &homes[0].name, STEADY);
    record.beside("on that socket", &outcome, &[&homes[1].name]);
    // Shown only: in some runs the CPU's last task is still billed for part of a second in which it was offline.
    for zone in ZONES {
        record.row(
            "on that socket",
            zone,
            outcome.truth(&homes[1].name, zone),
            outcome.told(&homes[1].name, zone),
            None,
        );
    }
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}
