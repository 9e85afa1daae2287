//! Work that is over before anybody can look at it.

use wattrace_tests::is_long;

use crate::{
    record::Record,
    support::{Cgroup, Load},
    thresholds::{SHORT_LIVED, STEADY},
    world::{World, pin},
};

#[test]
fn many_short_processes_beside_a_spinner() {
    let Some(world) = World::new() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let count = if is_long() { "10000" } else { "500" };
    let mut storm = Load::in_cgroup(&homes[0], &["storm", count, "2"]);
    let mut spinner = Load::in_cgroup(&homes[1], &["spin", "5"]);
    pin(spinner.child.id(), &[3]);
    let measured = world.measure();
    storm.go();
    spinner.go();
    storm.wait();
    spinner.wait();
    let outcome = measured.end();
    let title = format!("{count} processes of 2 ms beside a spinner");
    let mut record = Record::new("many_short_processes_beside_a_spinner", &title);
    record.cgroup("processes", &outcome, &homes[0].name, STEADY);
    record.cgroup("spinner", &outcome, &homes[1].name, STEADY);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

#[test]
fn bursts_of_10_ms_in_200_cgroups() {
    let Some(world) = World::new() else { return };
    let measured = world.measure();
    let homes: Vec<Cgroup> = (0..200).map(|_| Cgroup::new()).collect();
    // As many at a time as there are CPUs.
    for some in homes.chunks(4) {
        let mut loads: Vec<Load> = some.iter().map(|home| Load::in_cgroup(home, &["spin", "0.01"])).collect();
        loads.iter_mut().for_each(Load::go);
        loads.iter_mut().for_each(Load::wait);
    }
    let outcome = measured.end();
    let mut record = Record::new("bursts_of_10_ms_in_200_cgroups", "Bursts of 10 ms in 200 cgroups");
    record.cgroups("bursts", &outcome, &names(&homes), SHORT_LIVED);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

#[test]
fn cgroups_that_live_50_ms() {
    let Some(world) = World::new() else { return };
    let measured = world.measure();
    let mut homes = Vec::new();
    for _ in 0..40 {
        let home = Cgroup::new();
        let mut load = Load::in_cgroup(&home, &["spin", "0.03"]);
        load.go();
        load.wait();
        home.remove();
        homes.push(home);
    }
    let outcome = measured.end();
    let mut record = Record::new("cgroups_that_live_50_ms", "40 cgroups that live for some 50 ms");
    record.cgroups("cgroups", &outcome, &names(&homes), SHORT_LIVED);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

fn names(homes: &[Cgroup]) -> Vec<String> {
    homes.iter().map(|home| home.name.clone()).collect()
}
