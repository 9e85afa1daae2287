//! Meters that wrap, and meters that fail: one fault each, which costs its own zone its own interval.

use std::{thread, time::Duration};

use wattrace_tests::simulator::{Fault, Parameter};

use crate::{
    outcome::{Outcome, ZONES},
    record::Record,
    support::{Cgroup, Load},
    thresholds::{INTERVAL, STEADY},
    world::{BUSY_UW, Measured, World, pin},
};

#[test]
fn a_zone_that_wraps() {
    let Some(world) = World::new() else { return };
    // Nearly as much as a socket may draw before its steps are taken for resets. A reader that is late by half a wrap
    // could not tell one from two: emulated agents are, where it wraps once a second.
    world.simulator.set(Parameter::BusyUw(1, 400_000_000)).unwrap();
    world.simulator.set(Parameter::RangeUj("package-1", 2_000_000_000)).unwrap();
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "14"]));
    pin(loads[0].child.id(), &[2]);
    pin(loads[1].child.id(), &[3]);
    let simulator = world.simulator.clone();
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    simulator.set(Parameter::RangeUj("package-1", 262_143_328_850)).unwrap();
    let wraps = outcome.counted("package", 1)[0] / 2_000_000_000;
    let mut record = Record::new("a_zone_that_wraps", "A zone that wraps every 2.5 s");
    record.cgroup("one spinner", &outcome, &homes[0].name, STEADY);
    record.cgroup("the other", &outcome, &homes[1].name, STEADY);
    record.holds(format!("it wrapped {wraps} times"), wraps >= 5);
    let unknown = outcome.unknown("package");
    record.holds(format!("seconds of unknown energy: {unknown:?}"), unknown.values().all(|seconds| *seconds == 0.0));
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

#[test]
fn a_zone_that_starts_again_at_0() {
    faulty("a_zone_that_starts_again_at_0", "A zone that starts again at 0", Duration::ZERO, &ZONES, |measured| {
        fault(measured, Fault::Reset);
    });
}

#[test]
fn a_zone_that_cannot_be_read_for_a_while() {
    let span = Duration::from_millis(1500);
    let title = "A zone that cannot be read for 1.5 s";
    faulty("a_zone_that_cannot_be_read_for_a_while", title, span, &ZONES, |measured| {
        fault(measured, Fault::Failing(true));
        thread::sleep(span);
        fault(measured, Fault::Failing(false));
    });
}

#[test]
fn a_zone_that_vanishes_and_comes_back() {
    let span = Duration::from_secs(2);
    let title = "A zone that vanishes with its subzone, and comes back after 2 s";
    faulty("a_zone_that_vanishes_and_comes_back", title, span, &["package"], |measured| {
        fault(measured, Fault::Vanish);
        thread::sleep(span);
        fault(measured, Fault::Return);
    });
}

fn fault(measured: &Measured, fault: Fault) {
    measured.world.simulator.fault("package-1", fault).unwrap();
}

/// Spinners on both sockets, and a fault of `package-1` that lasts for `span` after three seconds. Energy of `zones` of
/// socket 1 may be unknown for as long, and for the interval in which it began or ended.
fn faulty(name: &'static str, title: &'static str, span: Duration, zones: &[&str], happen: impl Fn(&Measured)) {
    let Some(world) = World::new() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "10"]));
    pin(loads[0].child.id(), &[1]);
    pin(loads[1].child.id(), &[3]);
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    thread::sleep(Duration::from_secs(3));
    happen(&measured);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    let mut record = Record::new(name, title);
    record.cgroup("on the other socket", &outcome, &homes[0].name, STEADY);
    let longest = span.as_secs_f64() + if span.is_zero() { 1.0 } else { 2.0 } * INTERVAL;
    cost(&mut record, &outcome, &homes[1].name, longest);
    if zones.len() > 1 {
        let (truth, told) = (outcome.truth(&homes[1].name, "dram"), outcome.told(&homes[1].name, "dram"));
        record.row("on that socket", "dram", truth, told, Some(STEADY));
    }
    record.books(&outcome);
    record.meters_of(&outcome, 0);
    record.judge();
}

/// What the fault cost: nothing is invented, and what is missing is said to be unknown.
fn cost(record: &mut Record, outcome: &Outcome, path: &str, longest: f64) {
    let (truth, told) = (outcome.truth(path, "package"), outcome.told(path, "package"));
    record.row("on that socket", "package", truth, told, None);
    let seconds = outcome.unknown("package").values().sum::<f64>();
    record.holds(format!("unknown for {seconds:.3} s of at most {longest} s"), seconds <= longest);
    let (near, missing) = (STEADY * truth as f64, (truth - told) as f64);
    let said = seconds * f64::from(BUSY_UW[1]);
    record.holds(
        format!("{missing} µJ are missing, and {said:.0} µJ were used while it was unknown"),
        missing <= said + near,
    );
    // What is known only later is shared out by who worked when it became known: more can be billed to the load than it
    // used, but not more than the others did.
    let ([_, most], measured) = (outcome.counted("package", 1), outcome.measured("package", 1));
    let others = (most - truth) as f64;
    record.holds(
        format!("package-1: {measured} µJ measured, at most {most} µJ counted, {others} µJ of them for others"),
        measured <= most && -missing <= others,
    );
}
