//! A wall clock that is set while the agent runs: an hour forward, then two hours back.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime, clock_settime};
use wattrace::units::Nanos;
use wattrace_tests::receiver::{Fault, Receiver};

use super::{
    agent::Place,
    received::{Point, Series, cpu_time, instants, points, until_received},
    restart::assert_nothing_falls,
};
use crate::support::{Cgroup, Load, assert_agrees, live, steal};

const HOUR: i64 = 3600;
const MOST_WATTS: f64 = 20.0;

/// By how much the clock was set; set right again when dropped.
struct Steps(i64);

impl Steps {
    fn step(&mut self, seconds: i64) {
        let mut now = clock_gettime(ClockId::Realtime);
        now.tv_sec += seconds;
        clock_settime(ClockId::Realtime, now).unwrap();
        self.0 += seconds;
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.step(-self.0);
    }
}

#[test]
fn steps_of_the_wall_clock_turn_nothing_back_and_bill_no_time() {
    live!();
    if std::env::var_os("WATTRACE_VM").is_none() {
        println!("SKIPPED: the clock is set only in a virtual machine: `cargo xtask vm live clock`");
        return;
    }
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    place.configure(&format!("[agent]\ninterval = \"1s\"\n[energy]\nidle_watts = 10\nmax_watts = {MOST_WATTS}\n"));
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["duty", "600"]);
    let (begun, before, stolen) = (Instant::now(), cgroup.cpu(), steal());
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    load.go();
    let mut steps = Steps(0);
    let first = until_more(&receiver, 3);
    steps.step(HOUR);
    let forward = until_more(&receiver, 3);
    steps.step(-2 * HOUR);
    let back = until_more(&receiver, 3);
    load.child.kill().unwrap();
    load.child.wait().unwrap();
    let (truth, stolen) = (cgroup.cpu() - before, steal() - stolen);
    until_more(&receiver, 2);
    agent.stop();
    let (points, lived) = (points(&receiver), begun.elapsed());
    let hour = Duration::from_secs(3600).as_nanos();
    assert!(u128::from(forward - first) >= hour, "a step forward is followed: from {first} to {forward}");
    assert!(back > forward, "a step back is not: from {forward} to {back}");
    assert!(u128::from(back - forward) < hour, "time goes on at its pace: from {forward} to {back}");
    assert_times_go_forward(&points);
    assert_nothing_falls(&points);
    let ours = cpu_time(&points, &cgroup.name).unwrap();
    // What the load did to move in was before it was there.
    assert_agrees("cpu.time across the steps", ours, truth, stolen + Nanos::from_millis(2));
    assert_no_hour_is_billed(&points, lived);
}

/// Waits for so many snapshots more; the time of the last one.
fn until_more(receiver: &Receiver, snapshots: usize) -> u64 {
    let enough = instants(&points(receiver)).len() + snapshots;
    let points = until_received(receiver, "more snapshots", |points| instants(points).len() >= enough);
    *instants(&points).last().unwrap()
}

/// In the order in which they came, series by series.
fn assert_times_go_forward(points: &[Point]) {
    let mut last: BTreeMap<Series, &Point> = BTreeMap::new();
    for point in points {
        assert!(point.start <= point.at, "starts after its time: {point:?}");
        if let Some(before) = last.insert(point.series(), point) {
            assert!(point.at > before.at, "went back from {before:?} to {point:?}");
        }
    }
    assert!(last.len() > 10);
}

/// The machine's energy is what its power allows for the time that really went by.
fn assert_no_hour_is_billed(points: &[Point], lived: Duration) {
    let mut last = BTreeMap::new();
    for point in points.iter().filter(|point| point.metric == "wattrace.node.energy") {
        assert_eq!(point.attribute("wattrace.energy.source"), "model", "a guest without a meter");
        last.insert(point.series(), point.value.unwrap());
    }
    let joules: f64 = last.values().sum();
    println!("{joules} J in {lived:?}");
    assert!(joules > 0.0 && joules <= MOST_WATTS * lived.as_secs_f64(), "{joules} J in {lived:?}");
}
