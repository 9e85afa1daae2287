//! Meters that wrap, and meters that fail: one fault each, which costs its own zone its own interval.

use std::{fs, thread, time::Duration};

use wattrace_tests::simulator::{Fault, Parameter};

use crate::{
    outcome::{Outcome, ZONES},
    record::Record,
    support::{Cgroup, Load},
    thresholds::{INTERVAL, STEADY},
    world::{BUSY_UW, DRAM_BUSY_UW, Measured, World, pin},
};

/// First of socket 1.
const COUNTING_CPU: &str = "/sys/devices/system/cpu/cpu2/online";
/// The other one of socket 1.
const OTHER_CPU: &str = "/sys/devices/system/cpu/cpu3/online";
/// A reader that is late by half of it could not tell one wrap from two.
const RANGE_UJ: u64 = 600_000_000;

#[test]
fn a_zone_that_wraps() {
    let Some(world) = World::with_powercap() else { return };
    // Nearly as much as a socket may draw before its steps are taken for resets.
    world.simulator.set(Parameter::BusyUw(1, 450_000_000)).unwrap();
    world.simulator.set(Parameter::RangeUj("package-1", RANGE_UJ)).unwrap();
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "4.5"]));
    pin(loads[0].child.id(), &[2]);
    pin(loads[1].child.id(), &[3]);
    let simulator = world.simulator.clone();
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    simulator.set(Parameter::RangeUj("package-1", 262_143_328_850)).unwrap();
    let wraps = outcome.measured("package", 1).cast_unsigned() / RANGE_UJ;
    let mut record = Record::new("a_zone_that_wraps", "A zone that wraps every 0.7 s");
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
    faulty(
        "a_zone_that_starts_again_at_0",
        "A zone that starts again at 0",
        Duration::ZERO,
        &["package"],
        |measured| {
            fault(measured, Fault::Reset);
        },
    );
}

#[test]
fn a_zone_that_jumps() {
    let title = "A zone whose counter jumps by 100 kJ";
    faulty("a_zone_that_jumps", title, Duration::ZERO, &["package"], |measured| {
        fault(measured, Fault::Jump(100_000_000_000));
    });
}

#[test]
fn a_zone_that_cannot_be_read_for_a_while() {
    let span = Duration::from_millis(1500);
    let title = "A zone that cannot be read for 1.5 s";
    faulty("a_zone_that_cannot_be_read_for_a_while", title, span, &["package"], |measured| {
        fault(measured, Fault::Failing(true));
        thread::sleep(span);
        fault(measured, Fault::Failing(false));
    });
}

#[test]
fn a_zone_that_vanishes_and_comes_back() {
    let span = Duration::from_secs(2);
    let title = "A zone that vanishes with its subzone, and comes back after 2 s";
    faulty("a_zone_that_vanishes_and_comes_back", title, span, &ZONES, |measured| {
        fault(measured, Fault::Vanish);
        thread::sleep(span);
        fault(measured, Fault::Return);
    });
}

/// The CPU on which perf counts for its package; the kernel hands the counters to another one.
#[test]
fn the_cpu_that_counts_goes_offline() {
    let Some(world) = World::new() else { return };
    let title = "The CPU on which perf counts for its package goes offline, and comes back after 1.5 s";
    let record = Record::new("the_cpu_that_counts_goes_offline", title);
    let (mut record, outcome, homes) = beside_spinners(record, world, |_| {
        fs::write(COUNTING_CPU, "0").unwrap();
        thread::sleep(Duration::from_millis(1500));
        fs::write(COUNTING_CPU, "1").unwrap();
    });
    // The one that took over keeps the counters until it goes, too. Other scenarios have them where they were.
    for state in ["0", "1"] {
        fs::write(OTHER_CPU, state).unwrap();
    }
    for zone in ZONES {
        cost(&mut record, &outcome, &homes[1].name, zone, 2.0 * INTERVAL);
    }
    record.judge();
}

fn fault(measured: &Measured, fault: Fault) {
    measured.world.simulator.fault("package-1", fault).unwrap();
}

/// Spinners on both sockets, and a fault of `package-1` that lasts for `span` after two seconds. Energy of `zones` of
/// socket 1 may be unknown for as long, and for the interval in which it began or ended.
fn faulty(name: &'static str, title: &'static str, span: Duration, zones: &[&str], happen: impl Fn(&Measured)) {
    let Some(world) = World::with_powercap() else { return };
    let longest = span.as_secs_f64() + if span.is_zero() { 1.0 } else { 2.0 } * INTERVAL;
    let (mut record, outcome, homes) = beside_spinners(Record::new(name, title), world, happen);
    for zone in ZONES {
        if zones.contains(&zone) {
            cost(&mut record, &outcome, &homes[1].name, zone, longest);
        } else {
            let (truth, told) = (outcome.truth(&homes[1].name, zone), outcome.told(&homes[1].name, zone));
            record.row("on that socket", zone, truth, told, Some(STEADY));
        }
    }
    record.judge();
}

/// Spinners on both sockets, of which socket 0 has no fault.
fn beside_spinners(mut record: Record, world: World, happen: impl Fn(&Measured)) -> (Record, Outcome, [Cgroup; 2]) {
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = homes.each_ref().map(|home| Load::in_cgroup(home, &["spin", "7"]));
    pin(loads[0].child.id(), &[1]);
    pin(loads[1].child.id(), &[3]);
    let measured = world.measure();
    loads.iter_mut().for_each(Load::go);
    thread::sleep(Duration::from_secs(2));
    happen(&measured);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    record.cgroup("on the other socket", &outcome, &homes[0].name, STEADY);
    record.beside("on that socket", &outcome, &[&homes[1].name]);
    record.books(&outcome);
    record.meters_of(&outcome, 0);
    (record, outcome, homes)
}

/// What a fault cost on socket 1: nothing is invented, and what is missing is said to be unknown.
fn cost(record: &mut Record, outcome: &Outcome, path: &str, zone: &str, longest: f64) {
    let (truth, told) = (outcome.truth(path, zone), outcome.told(path, zone));
    record.row("on that socket", zone, truth, told, None);
    let seconds = outcome.unknown(zone).values().sum::<f64>();
    record.holds(format!("{zone}: unknown for {seconds:.3} s of at most {longest:.1} s"), seconds <= longest);
    let (near, missing) = (STEADY * truth as f64, (truth - told) as f64);
    let watts = if zone == "dram" { DRAM_BUSY_UW } else { BUSY_UW };
    let said = seconds * f64::from(watts[1]);
    record.holds(
        format!("{zone}: {missing} µJ are missing, and {said:.0} µJ were used while it was unknown"),
        missing <= said + near && missing >= -near,
    );
    let ([_, most], measured) = (outcome.counted(zone, 1), outcome.measured(zone, 1));
    record.holds(format!("{zone}-1: {measured} µJ measured, at most {most} µJ counted"), measured <= most);
}
