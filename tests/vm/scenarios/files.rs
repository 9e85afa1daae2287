//! The agent without its kernel programs: CPU time from `cpu.stat` and `/proc`, joules from the same meter.

use std::{fs, thread, time::Duration};

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_setaffinity},
};
use wattrace::probes::parse::cgroup::is_kernel_thread;
use wattrace_tests::simulator::Simulator;

use crate::{
    outcome::ZONES,
    record::Record,
    support::{Cgroup, Load, until},
    thresholds::STEADY,
    world::{World, pin},
};

const WITHOUT: &[&str] = &["--no-bpf"];
/// CPUs for work of the kernel that is bound to none.
const WORKQUEUES: &str = "/sys/devices/virtual/workqueue/cpumask";
const ALL: usize = 4;

/// While it lives this test and what it starts run on the first CPU alone, and so do all threads of the kernel that can
/// be moved.
struct OneSocket;

impl OneSocket {
    /// `None`: this is no machine to be meddled with.
    fn new() -> Option<Self> {
        Simulator::loaded()?;
        run_on(1);
        Some(Self)
    }
}

impl Drop for OneSocket {
    fn drop(&mut self) {
        run_on(ALL);
    }
}

/// The first so many CPUs.
fn cpus(count: usize) -> CpuSet {
    let mut set = CpuSet::new();
    (0..count).for_each(|cpu| set.set(cpu));
    set
}

/// Threads that belong to one CPU refuse, and stay.
fn run_on(count: usize) {
    sched_setaffinity(None, &cpus(count)).unwrap();
    fs::write(WORKQUEUES, format!("{:x}", (1 << count) - 1)).unwrap();
    for entry in fs::read_dir("/proc").unwrap() {
        let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        if is_kernel_thread(&stat).unwrap_or(false) {
            sched_setaffinity(Pid::from_raw(pid), &cpus(count)).ok();
        }
    }
}

/// Everything that is not the kernel's runs on one socket, so that there is nothing to estimate.
#[test]
fn files_on_one_socket() {
    let one_socket = OneSocket::new();
    let Some(world) = World::new() else { return };
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = [Load::in_cgroup(&homes[0], &["spin", "8"]), Load::in_cgroup(&homes[1], &["spin", "4"])];
    for load in &loads {
        pin(load.child.id(), &[1]);
    }
    let measured = world.measure_with(WITHOUT);
    loads.iter_mut().for_each(Load::go);
    loads.iter_mut().for_each(Load::wait);
    let outcome = measured.end();
    drop(one_socket);
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
    let one_socket = OneSocket::new();
    let Some(world) = World::new() else { return };
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
    drop(one_socket);
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
