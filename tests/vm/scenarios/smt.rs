//! Hyperthreads: what a core draws when both of its threads are busy. Needs a machine of two cores with two threads each on
//! every socket. The simulator's k, what a second thread adds, is the agent's or another.

use std::{fs, path::Path};

use wattrace_tests::{
    run::{Measuring, command},
    simulator::Parameter,
};

use crate::{
    outcome::{Outcome, ZONES},
    record::Record,
    support::{Cgroup, Load},
    thresholds::STEADY,
    world::{World, pin},
};

/// Threads of the first core of socket 1, and one of its second.
const SIBLINGS: [usize; 2] = [4, 5];
const ALONE: usize = 6;
/// What the agent takes unless it is configured.
pub(super) const USUAL_GAIN: u32 = 150;

/// A spinner, and what it is called in the figures.
pub(super) struct Spinner {
    what: &'static str,
    cpu: usize,
    seconds: &'static str,
}

pub(super) const fn spinner(what: &'static str, cpu: usize, seconds: &'static str) -> Spinner {
    Spinner { what, cpu, seconds }
}

const BESIDE: [Spinner; 3] = [
    spinner("one thread", SIBLINGS[0], "4"),
    spinner("the other", SIBLINGS[1], "4"),
    spinner("alone on its core", ALONE, "4"),
];
const HALF: [Spinner; 3] = [
    spinner("shares its core half of the time", SIBLINGS[0], "4"),
    spinner("the other, meanwhile", SIBLINGS[1], "2"),
    spinner("alone on its core", ALONE, "4"),
];
const APART: [Spinner; 2] = [spinner("one core", SIBLINGS[0], "4"), spinner("the other core", ALONE, "4")];

#[test]
fn siblings_as_the_agent_takes_them() {
    let title = "Two spinners on threads of one core and one that has its core alone; a second thread adds 0.15";
    run("siblings_as_the_agent_takes_them", title, &BESIDE, USUAL_GAIN, None, Some(STEADY));
}

#[test]
fn two_spinners_on_cores_of_their_own() {
    let title = "Two spinners on different cores of two threads; a second thread adds 0.15";
    run("two_spinners_on_cores_of_their_own", title, &APART, USUAL_GAIN, None, Some(STEADY));
}

#[test]
fn a_core_that_is_shared_half_of_the_time() {
    let title =
        "A spinner that shares its core half of the time, beside one that has its own; a second thread adds 0.15";
    run("a_core_that_is_shared_half_of_the_time", title, &HALF, USUAL_GAIN, None, Some(STEADY));
}

#[test]
fn siblings_that_cost_as_much_as_two_cores() {
    let title =
        "Two spinners on threads of one core and one that has its core alone; a second thread adds 1, as configured";
    run("siblings_that_cost_as_much_as_two_cores", title, &BESIDE, 1_000, Some("1.0"), Some(STEADY));
}

#[test]
fn siblings_of_a_gain_that_is_configured() {
    let title =
        "Two spinners on threads of one core and one that has its core alone; a second thread adds 0.3, as configured";
    run("siblings_of_a_gain_that_is_configured", title, &BESIDE, 300, Some("0.3"), Some(STEADY));
}

/// Shown only: nobody told the agent.
#[test]
fn siblings_that_gain_more_than_the_agent_takes() {
    let title = "Two spinners on threads of one core and one that has its core alone; a second thread adds 0.3, the agent takes 0.15";
    run("siblings_that_gain_more_than_the_agent_takes", title, &BESIDE, 300, None, None);
}

/// Shown only, likewise.
#[test]
fn siblings_that_are_cores_to_the_meter_alone() {
    let title = "Two spinners on threads of one core and one that has its core alone; a second thread adds 1, the agent takes 0.15";
    run("siblings_that_are_cores_to_the_meter_alone", title, &BESIDE, 1_000, None, None);
}

/// `once` has no receiver: its lines against the simulator's account of the same time.
#[test]
fn once_tells_how_long_cores_were_shared() {
    let Some(world) = World::new() else { return };
    assert_siblings(SIBLINGS);
    let (homes, mut loads) = placed(&HALF);
    let once = Measuring::start(command("once", Path::new("/")).args(["--interval", "15s"])).unwrap();
    let begin = world.simulator.truth().unwrap();
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let end = world.simulator.truth().unwrap();
    let lines = once.lines().unwrap();
    for (spinner, home) in HALF.iter().zip(&homes) {
        let line = lines.iter().find(|line| line["cgroup"] == home.name.as_str()).unwrap();
        let told = ["cpu_s", "cpu_shared_s"].map(|field| line[field].as_f64().unwrap());
        let truth = end.time_since(&begin, &home.name);
        println!("{}: {told:?} s told, {truth:?} s were", spinner.what);
        let allowed = truth[0] * STEADY;
        assert!(truth[0] > 1.0 && told.iter().zip(truth).all(|(told, truth)| (told - truth).abs() <= allowed));
    }
}

/// `per_mille` is the simulator's k, `configured` the agent's; `allowed` is for energy, time is always held.
fn run(
    name: &'static str,
    title: &str,
    spinners: &[Spinner],
    per_mille: u32,
    configured: Option<&str>,
    allowed: Option<f64>,
) {
    let Some(world) = World::new() else { return };
    assert_siblings(SIBLINGS);
    world.simulator.set(Parameter::SmtPerMille(per_mille)).unwrap();
    if let Some(gain) = configured {
        world.configure(&format!("idle_watts = 0\nsmt_gain = {gain}"));
    }
    judge(world, Record::new(name, title), spinners, allowed);
}

/// A cgroup for each, in which it waits on its CPU.
fn placed(spinners: &[Spinner]) -> (Vec<Cgroup>, Vec<Load>) {
    let homes: Vec<Cgroup> = spinners.iter().map(|_| Cgroup::new()).collect();
    let loads: Vec<Load> =
        spinners.iter().zip(&homes).map(|(it, home)| Load::in_cgroup(home, &["spin", it.seconds])).collect();
    for (load, spinner) in loads.iter().zip(spinners) {
        pin(load.child.id(), &[spinner.cpu]);
    }
    (homes, loads)
}

/// These are the threads of one core here: another machine would hold nothing to the truth.
pub(super) fn assert_siblings([one, other]: [usize; 2]) {
    let list = format!("/sys/devices/system/cpu/cpu{one}/topology/thread_siblings_list");
    assert_eq!(fs::read_to_string(list).unwrap().trim(), format!("{one}-{other}"), "the machine's hyperthreads");
}

pub(super) fn judge(world: World, mut record: Record, spinners: &[Spinner], allowed: Option<f64>) {
    let (homes, mut loads) = placed(spinners);
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    for (spinner, home) in spinners.iter().zip(&homes) {
        for zone in ZONES {
            let (truth, told) = (outcome.truth(&home.name, zone), outcome.told(&home.name, zone));
            record.row(spinner.what, zone, truth, told, allowed);
        }
        shared(&mut record, spinner.what, &outcome, &home.name);
    }
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

/// Holds the time that is told as shared to that of the simulator, by a share of all of the workload's time.
fn shared(record: &mut Record, what: &str, outcome: &Outcome, cgroup: &str) {
    let ([all, truth], told) = (outcome.true_time(cgroup), outcome.told_shared(cgroup));
    record.holds(
        format!("{what}: {told:.6} s told as shared, {truth:.6} s of {all:.6} s were"),
        all > 0.0 && (told - truth).abs() <= all * STEADY,
    );
}
