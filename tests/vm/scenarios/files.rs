//! The agent without its kernel programs: CPU time from `cpu.stat` and `/proc`, joules from the same meter.

use std::{fs, thread, time::Duration};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    outcome::ZONES,
    record::Record,
    support::{Cgroup, Load, until},
    thresholds::STEADY,
    world::{BUSY_UW, World, pin},
};

const WITHOUT: &[&str] = &["--no-bpf"];
/// Femtojoules.
const MICROWATT_SECOND: u128 = 1_000_000_000;

/// A world in which this test, the agent and its receiver run on the first CPU alone, and the other socket rests.
fn on_one_socket() -> Option<World> {
    let mut here = CpuSet::new();
    here.set(0);
    sched_setaffinity(None, &here).unwrap();
    let world = World::new()?;
    // The kernel's own threads are busy for some seconds after it has started.
    until("the other socket rests", || {
        let before = world.simulator.truth().unwrap().sockets[&1].total.package;
        thread::sleep(Duration::from_secs(1));
        let used = world.simulator.truth().unwrap().sockets[&1].total.package - before;
        used < u128::from(BUSY_UW[1]) * MICROWATT_SECOND / 100
    });
    world.simulator.reset_truth().unwrap();
    Some(world)
}

/// Everything that is not the kernel's runs on one socket, so that there is nothing to estimate.
#[test]
fn files_on_one_socket() {
    let Some(world) = on_one_socket() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = [Load::in_cgroup(&homes[0], &["spin", "8"]), Load::in_cgroup(&homes[1], &["spin", "4"])];
    for load in &loads {
        pin(load.child.id(), &[1]);
    }
    let measured = world.measure_with(WITHOUT);
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    let mut record = Record::new("files_on_one_socket", "Without kernel programs: two spinners that share a CPU");
    record.cgroup("for 8 s", &outcome, &homes[0].name, STEADY);
    record.cgroup("for 4 s", &outcome, &homes[1].name, STEADY);
    for zone in ZONES {
        let nobody = outcome.books(zone).unattributed;
        record.note(format!("{zone}: {nobody} µJ without an owner"));
    }
    record.closes(&outcome);
    record.meters(&outcome);
    record.judge();
}

/// Which of them ran on the dear socket, no file tells: shown only.
#[test]
fn files_on_two_sockets() {
    let Some(world) = World::new() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "6"]));
    pin(loads[0].child.id(), &[1]);
    pin(loads[1].child.id(), &[3]);
    let measured = world.measure_with(WITHOUT);
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    let mut record =
        Record::new("files_on_two_sockets", "Without kernel programs: two spinners on sockets of different price");
    for zone in ZONES {
        let [cheap, dear] =
            homes.each_ref().map(|home| (outcome.truth(&home.name, zone), outcome.told(&home.name, zone)));
        record.row("socket 0", zone, cheap.0, cheap.1, None);
        record.row("socket 1", zone, dear.0, dear.1, None);
        record.row("both", zone, cheap.0 + dear.0, cheap.1 + dear.1, None);
    }
    record.note("on which socket they ran is estimated from how busy each was".to_owned());
    record.closes(&outcome);
    record.meters(&outcome);
    record.judge();
}

/// Its last part is in the total of the cgroup above, and nobody is billed for it twice.
#[test]
fn files_of_a_cgroup_that_is_removed() {
    let Some(world) = on_one_socket() else { return };
    let above = Cgroup::new();
    let [first, second] = ["first", "second"].map(|name| above.below(name));
    let mut loads = [Load::in_cgroup(&first, &["spin", "5.5"]), Load::in_cgroup(&second, &["spin", "9"])];
    for load in &loads {
        pin(load.child.id(), &[1]);
    }
    let measured = world.measure_with(WITHOUT);
    loads.iter_mut().for_each(Load::go);
    loads[0].wait();
    // As soon as it is empty: the agent does not read it again before.
    until("it is empty", || fs::remove_dir(&first.path).is_ok());
    loads[1].wait();
    thread::sleep(Duration::from_secs(1));
    let outcome = measured.end();
    let mut record = Record::new(
        "files_of_a_cgroup_that_is_removed",
        "Without kernel programs: a cgroup that is removed between two readings, beside one that stays",
    );
    record.cgroup("removed", &outcome, &first.name, STEADY);
    record.cgroup("stays", &outcome, &second.name, STEADY);
    for zone in ZONES {
        let told = outcome.told(&above.name, zone);
        // Totals are whole microseconds: two of them can lack one that their sum has.
        record.holds(format!("{zone}: the cgroup above is billed {told} µJ"), told <= 100);
        let nobody = outcome.books(zone).unattributed;
        record.note(format!("{zone}: {nobody} µJ without an owner"));
    }
    record.closes(&outcome);
    record.meters(&outcome);
    record.judge();
}
