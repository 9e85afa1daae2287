//! Hyperthreads: what a core draws when both of its threads are busy. Needs a machine of two cores with two threads each on
//! every socket. The agent bills a thread that shares its core like one that has it alone, which is a factor k of 1.

use std::fs;

use wattrace_tests::simulator::Parameter;

use crate::{
    record::Record,
    support::{Cgroup, Load},
    thresholds::STEADY,
    world::{World, pin},
};

/// Threads of the first core of socket 1, and one of its second.
const SIBLINGS: [usize; 2] = [4, 5];
const ALONE: usize = 6;

#[test]
fn siblings_that_cost_as_much_as_two_cores() {
    siblings("siblings_that_cost_as_much_as_two_cores", 1_000, Some(STEADY));
}

/// Shown only: sharing a core is not weighted.
#[test]
fn siblings_that_cost_little_more_than_one_core() {
    siblings("siblings_that_cost_little_more_than_one_core", 150, None);
}

fn siblings(name: &'static str, smt_per_mille: u32, allowed: Option<f64>) {
    let Some(world) = World::new() else { return };
    let siblings = fs::read_to_string("/sys/devices/system/cpu/cpu4/topology/thread_siblings_list").unwrap();
    assert_eq!(siblings.trim(), "4-5", "the machine's hyperthreads");
    world.simulator.set(Parameter::SmtPerMille(smt_per_mille)).unwrap();
    let homes = [Cgroup::new(), Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "4"]));
    for (load, cpu) in loads.iter().zip([SIBLINGS[0], SIBLINGS[1], ALONE]) {
        pin(load.child.id(), &[cpu]);
    }
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    let share = f64::from(smt_per_mille) / 1e3;
    let title =
        format!("Two spinners on threads of one core and one that has its core alone; a second thread adds {share}");
    let mut record = Record::new(name, &title);
    for (what, home) in ["one thread", "the other", "alone on its core"].into_iter().zip(&homes) {
        for zone in ["package", "dram"] {
            let (truth, told) = (outcome.truth(&home.name, zone), outcome.told(&home.name, zone));
            record.row(what, zone, truth, told, allowed);
        }
    }
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}
