//! Machines that do one thing all the time, or nothing.

use std::{fs, thread, time::Duration};

use crate::{
    outcome::{Outcome, ZONES},
    record::Record,
    support::{Cgroup, Load},
    thresholds::STEADY,
    world::{SOCKETS, World, pin},
};

/// µW of a machine that does nothing, by socket.
const PACKAGES_AT_REST: [u32; 2] = [5_000_000, 8_000_000];
const MEMORY_AT_REST: [u32; 2] = [1_000_000, 1_000_000];
/// Microseconds of each second that real-time tasks may have.
const REAL_TIME: &str = "/proc/sys/kernel/sched_rt_runtime_us";

/// Its slice is open at nearly every reading.
#[test]
fn a_thread_that_keeps_its_cpu() {
    let Some(world) = World::new() else { return };
    let before = fs::read_to_string(REAL_TIME).unwrap();
    fs::write(REAL_TIME, "-1").unwrap();
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["fifo", "3", "4"]);
    let measured = world.measure();
    load.go();
    load.line();
    let from = switches(load.child.id());
    thread::sleep(Duration::from_millis(3500));
    let to = switches(load.child.id());
    load.wait();
    let outcome = measured.end();
    fs::write(REAL_TIME, before).unwrap();
    let mut record = Record::new("a_thread_that_keeps_its_cpu", "A real-time thread that keeps its CPU for 4 s");
    record.cgroup("thread", &outcome, &home.name, STEADY);
    record.note(format!("it was switched out {} times in 3.5 s, for tasks of the kernel", to - from));
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

fn switches(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    lines.map(|line| line.split_ascii_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn ping_pong_at_full_rate() {
    let Some(world) = World::new() else { return };
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["pingpong", "5"]);
    let measured = world.measure();
    load.go();
    load.wait();
    let outcome = measured.end();
    let mut record = Record::new("ping_pong_at_full_rate", "Two threads that wake each other as fast as they can");
    record.cgroup("threads", &outcome, &home.name, STEADY);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

#[test]
fn idle() {
    let Some(world) = World::new() else { return };
    world.rests_at(PACKAGES_AT_REST, MEMORY_AT_REST);
    world.configure("idle_watts = 15");
    let measured = world.measure();
    thread::sleep(Duration::from_secs(10));
    let outcome = measured.end();
    let mut record = Record::new("idle", "An idle machine, its idle power configured: 5 W and 8 W, memory 1 W each");
    rests(&mut record, &outcome);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

/// What an earlier agent learned of a machine at rest, the next one takes off what a busy machine used.
#[test]
fn a_spinner_on_a_machine_whose_rest_was_measured() {
    let Some(world) = World::new() else { return };
    world.rests_at(PACKAGES_AT_REST, MEMORY_AT_REST);
    world.configure("");
    let teacher = world.start(&[]);
    thread::sleep(Duration::from_secs(75));
    teacher.stop();
    let home = Cgroup::new();
    let mut load = Load::in_cgroup(&home, &["spin", "4"]);
    pin(load.child.id(), &[3]);
    let measured = world.measure();
    load.go();
    load.wait();
    let outcome = measured.end();
    let title =
        "A spinner on a machine that draws 5 W and 8 W at rest, memory 1 W each, which an earlier agent measured";
    let mut record = Record::new("a_spinner_on_a_machine_whose_rest_was_measured", title);
    record.cgroup("spinner", &outcome, &home.name, STEADY);
    rests(&mut record, &outcome);
    record.books(&outcome);
    record.meters(&outcome);
    record.judge();
}

/// Holds what was told to be idle to what was used at rest.
fn rests(record: &mut Record, outcome: &Outcome) {
    let (mut told, mut least, mut most) = (0, 0, 0);
    for zone in ZONES {
        let rested = (0..SOCKETS).map(|socket| outcome.rested(zone, socket));
        let [some, all] = rested.fold([0, 0], |sum, rested| [sum[0] + rested[0], sum[1] + rested[1]]);
        told += outcome.books(zone).idle;
        least += some;
        most += all;
    }
    let near = |value: i64| value as f64 * STEADY;
    record.holds(
        format!("all zones: {told} µJ idle, {least} to {most} µJ at rest"),
        told as f64 >= least as f64 - near(least) && told as f64 <= most as f64 + near(most),
    );
}
