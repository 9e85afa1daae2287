//! The real kernel without kernel programs: CPU time from `cpu.stat` and `/proc`, against what the kernel says elsewhere.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use wattrace::{identity::Kind, pipeline::Interval, pipeline::sources::Sched, units::Nanos};
use wattrace_common::sched::Work;

use crate::support::*;

/// By `cpu.stat`, to the microsecond: the total of the load is the same at both of our readings.
#[test]
fn cgroups_have_what_cpu_stat_says() {
    live!();
    let (one, two) = (Cgroup::new(), Cgroup::new());
    let mut loads = [Load::in_cgroup(&one, &["spin", "2"]), Load::in_cgroup(&two, &["duty", "2"])];
    let mut pipeline = pipeline_of_files();
    assert!(matches!(&pipeline.sources.sched, Sched::Files(files) if files.mode() == "cgroupfs"));
    let before = [one.cpu(), two.cpu()];
    let [whole, half] = &mut loads;
    whole.go();
    half.go();
    run_while(&mut pipeline, &mut [whole, half]);
    let interval = pipeline.close();
    for (cgroup, before) in [&one, &two].into_iter().zip(before) {
        let used = cgroup.cpu() - before;
        assert_eq!(account(&pipeline, &cgroup.name).cpu, Nanos::from(used), "{}", cgroup.name);
    }
    closes(&pipeline, &interval);
}

fn closes(pipeline: &wattrace::pipeline::Pipeline, interval: &Interval) {
    assert!(pipeline.ledger.closes());
    assert!(interval.usage.busy_total().0 > 0);
    let lost: Vec<_> = pipeline.losses().into_iter().filter(|loss| loss.count > 0 && loss.loses).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// It ends, and is gone, between two readings; nobody else is in the cgroup above.
#[test]
fn a_cgroup_that_is_removed_keeps_all_that_it_used() {
    live!();
    let above = Cgroup::new();
    let below = above.below("below");
    let mut load = Load::in_cgroup(&below, &["spin", "1.5"]);
    let mut pipeline = pipeline_of_files();
    let before = above.cpu();
    load.go();
    run_for(&mut pipeline, Duration::from_millis(500));
    load.wait();
    below.remove();
    pipeline.read().unwrap();
    let interval = pipeline.close();
    let used = above.cpu() - before;
    assert_eq!(account(&pipeline, &below.name).cpu, Nanos::from(used));
    let names: Vec<&str> = pipeline.ledger.accounts().map(|account| account.workload.name.as_str()).collect();
    assert!(!names.contains(&above.name.as_str()), "{names:?}");
    closes(&pipeline, &interval);
}

/// Born and gone between two readings: only the total above tells.
#[test]
fn a_cgroup_that_nobody_saw_is_billed_to_the_one_above() {
    live!();
    let above = Cgroup::new();
    let mut pipeline = pipeline_of_files();
    let below = above.below("below");
    let mut load = Load::in_cgroup(&below, &["spin", "0.3"]);
    load.go();
    load.wait();
    below.remove();
    pipeline.read().unwrap();
    pipeline.close();
    assert_eq!(account(&pipeline, &above.name).cpu, Nanos::from(above.cpu()));
}

/// A process of the root cgroup, by its own `schedstat`; `/proc/PID/stat` counts in ticks of user and system time.
#[test]
fn a_process_in_no_cgroup_has_what_its_schedstat_says() {
    live!();
    let mut load = Load::new(&["turns", "1500"]);
    let pid = load.child.id();
    if fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap().lines().all(|line| line != "0::/") {
        println!("SKIPPED: this test itself runs in a cgroup, and what it starts too");
        return;
    }
    let mut pipeline = pipeline_of_files();
    let before = run_time(pid);
    load.child.stdin.as_mut().unwrap().write_all(b"go\nagain\n").unwrap();
    assert_eq!(load.line(), "done\n");
    pipeline.read().unwrap();
    let used = run_time(pid) - before;
    let interval = pipeline.close();
    let mine =
        interval.usage.work.iter().find(|(key, _)| matches!(key.decode(), Work::Process { tgid, .. } if tgid == pid));
    let ours: Nanos = mine.unwrap().1.values().map(|on_cpu| on_cpu.time).sum();
    let ticks = 4_000_000_000 / wattrace::probes::procfs::user_hz();
    println!("{} ns, schedstat {} ns", ours.0, used.0);
    assert!(ours.0.abs_diff(used.0) <= ticks, "{} ns instead of {} ns", ours.0, used.0);
    let named = pipeline.ledger.accounts().find(|account| account.workload.name == "burn").unwrap();
    assert!(named.workload.kind == Kind::Process && named.cpu >= ours);
    closes(&pipeline, &interval);
}

/// Nanoseconds that the only thread of a process ran.
fn run_time(pid: u32) -> Nanos {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    Nanos(text.split_ascii_whitespace().next().unwrap().parse().unwrap())
}

/// Threads of the kernel run all the time; that they do, their `schedstat` says.
#[test]
fn threads_of_the_kernel_are_one_workload() {
    live!();
    let mut pipeline = pipeline_of_files();
    let deadline = Instant::now() + wattrace_tests::patience(60);
    let kernel = loop {
        run_for(&mut pipeline, Duration::from_millis(500));
        pipeline.close();
        let found = pipeline.ledger.accounts().find(|account| account.workload.kind == Kind::Kernel);
        if let Some(found) = found.filter(|found| found.cpu.0 > 0) {
            break found.cpu;
        }
        assert!(Instant::now() < deadline, "no thread of the kernel ran for a clock tick");
    };
    let all: Nanos = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
            wattrace::probes::parse::cgroup::is_kernel_thread(&stat).unwrap_or(false)
        })
        .filter_map(|pid| {
            Some(Nanos(fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?.split(' ').next()?.parse().ok()?))
        })
        .sum();
    assert!(kernel <= all, "{kernel:?} in this test, {all:?} since boot");
}
