//! On-CPU time per workload against `cpu.stat`, `/proc/stat` and known loads.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use wattrace::{
    clock,
    identity::Kind,
    pipeline::{Pipeline, sources::Sched},
    probes::procfs,
    units::Nanos,
};
use wattrace_common::{limits::HISTOGRAM_ROWS, sched::WorkKey};

use crate::support::*;

#[test]
fn two_cgroups_with_known_use() {
    live!();
    let (one, two) = (Cgroup::new(), Cgroup::new());
    let mut whole = Load::in_cgroup(&one, &["spin", "3"]);
    let mut half = Load::in_cgroup(&two, &["duty", "3"]);
    let mut pipeline = pipeline();
    let (before, stolen) = ([one.cpu(), two.cpu()], steal());
    whole.go();
    half.go();
    run_while(&mut pipeline, &mut [&mut whole, &mut half]);
    let interval = pipeline.close();
    let stolen = steal() - stolen;
    assert_agrees("spinner", account(&pipeline, &one.name).cpu, one.cpu() - before[0], stolen);
    assert_agrees("half", account(&pipeline, &two.name).cpu, two.cpu() - before[1], stolen);
    assert_sound(&pipeline, &interval);
}

/// Its slice is open at both readings: all of its time is an estimate on another clock.
#[test]
fn a_thread_that_is_never_switched_out() {
    live!();
    let last = cpus() - 1;
    if last == 0 {
        println!("SKIPPED: on the only CPU this test could not read while the load runs");
        return;
    }
    for attempt in 1..=20 {
        let cgroup = Cgroup::new();
        // Shorter than the 950 ms after which the kernel throttles real-time tasks.
        let mut load = Load::in_cgroup(&cgroup, &["fifo", &last.to_string(), "0.8"]);
        let mut pipeline = pipeline();
        load.go();
        load.line();
        let first = switches(load.child.id());
        let from = bracketed(&mut pipeline);
        pipeline.close();
        let before = account(&pipeline, &cgroup.name).cpu;
        run_for(&mut pipeline, Duration::from_millis(400));
        let to = bracketed(&mut pipeline);
        let then = switches(load.child.id());
        let interval = pipeline.close();
        load.wait();
        cgroup.remove();
        if first != then {
            println!("attempt {attempt}: switched out, trying again");
            continue;
        }
        let ours = (account(&pipeline, &cgroup.name).cpu - before).seconds();
        let (inner, outer) = ((to.0 - from.1).seconds(), (to.1 - from.0).seconds());
        println!("never switched out: {ours:.6} s, between {inner:.6} s and {outer:.6} s by the clock");
        assert!(ours >= inner * 0.99 && ours <= outer * 1.01, "ours {ours} s, truth {inner} s to {outer} s");
        assert_sound(&pipeline, &interval);
        return;
    }
    panic!("the load was switched out in every attempt");
}

/// Reads once; the clock just before and just after, because whoever reads may be held up within.
fn bracketed(pipeline: &mut Pipeline) -> (Nanos, Nanos) {
    let before = clock::monotonic();
    pipeline.read().unwrap();
    (before, clock::monotonic())
}

fn switches(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    lines.map(|line| line.split_ascii_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn two_thousand_processes_of_two_milliseconds() {
    live!();
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["storm", "2000", "2"]);
    let mut pipeline = pipeline();
    let (before, stolen) = (cgroup.cpu(), steal());
    load.go();
    run_while(&mut pipeline, &mut [&mut load]);
    let interval = pipeline.close();
    let truth = cgroup.cpu() - before;
    assert!(truth > Duration::from_secs(4), "the load was no load: {truth:?}");
    assert_agrees("storm", account(&pipeline, &cgroup.name).cpu, truth, steal() - stolen);
    assert_sound(&pipeline, &interval);
}

#[test]
fn cgroups_that_die_inside_the_window_keep_name_and_time() {
    live!();
    let older = Cgroup::new();
    let mut slow = Load::in_cgroup(&older, &["spin", "0.3"]);
    let mut pipeline = pipeline();
    let before = older.cpu();
    slow.go();
    let younger = Cgroup::new();
    let mut fast = Load::in_cgroup(&younger, &["spin", "0.05"]);
    fast.go();
    fast.wait();
    slow.wait();
    let truth = [older.cpu() - before, younger.cpu()];
    older.remove();
    younger.remove();
    pipeline.read().unwrap();
    let interval = pipeline.close();
    assert_agrees("removed", account(&pipeline, &older.name).cpu, truth[0], Nanos::from_millis(1));
    assert_agrees("lived 50 ms", account(&pipeline, &younger.name).cpu, truth[1], Nanos::from_millis(1));
    assert_sound(&pipeline, &interval);
}

#[test]
fn reading_as_fast_as_possible_counts_nothing_twice() {
    live!();
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut loads = [Load::in_cgroup(&homes[0], &["pingpong", "20"]), Load::in_cgroup(&homes[1], &["pingpong", "20"])];
    let mut pipeline = pipeline();
    let (before, stolen) = ([homes[0].cpu(), homes[1].cpu()], steal());
    loads.iter_mut().for_each(Load::go);
    let mut readings = 0u64;
    let mut busy = Nanos(0);
    let mut last = None;
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        pipeline.read().unwrap();
        readings += 1;
        if readings.is_multiple_of(64) {
            let interval = pipeline.close();
            busy += interval.usage.busy_total();
            last = Some(interval);
        }
    }
    run_while(&mut pipeline, &mut loads.each_mut());
    let interval = pipeline.close();
    busy += interval.usage.busy_total();
    println!("{readings} readings");
    assert!(readings > 1_000 && last.is_some());
    let stolen = steal() - stolen;
    for (home, before) in homes.iter().zip(before) {
        assert_agrees("ping-pong", account(&pipeline, &home.name).cpu, home.cpu() - before, stolen);
    }
    let billed: Nanos = pipeline.ledger.accounts().map(|account| account.cpu).sum();
    println!("billed {} ns of {} ns busy", billed.0, busy.0);
    assert!(billed.0.abs_diff(busy.0) * 1000 <= busy.0, "billed {} of {} busy", billed.0, busy.0);
    let nobody = pipeline.ledger.accounts().find(|account| account.workload.kind == Kind::Unattributed).unwrap();
    println!("unattributed {} ns", nobody.cpu.0);
    assert!(nobody.cpu.0 * 1000 <= busy.0, "unattributed {} of {}", nobody.cpu.0, busy.0);
    assert!(pipeline.ledger.closes());
}

#[test]
fn idle_agrees_with_proc_stat() {
    live!();
    let mut pipeline = pipeline();
    let idle =
        || -> Nanos { procfs::cpu_times(Path::new("/"), procfs::user_hz()).unwrap().iter().map(|cpu| cpu.idle).sum() };
    let before = idle();
    run_for(&mut pipeline, Duration::from_secs(5));
    let interval = pipeline.close();
    let truth = idle() - before;
    let ours = interval.usage.idle;
    println!("idle {:.4} s, /proc/stat {:.4} s", ours.seconds(), truth.seconds());
    // Two clock ticks per CPU are below what /proc/stat can tell.
    let tick = Nanos::from_millis(10 * 2 * interval.usage.cpus);
    assert!(
        truth.0.abs_diff(ours.0) <= truth.0 / 50 + tick.0,
        "ours {} s, /proc/stat {} s",
        ours.seconds(),
        truth.seconds()
    );
    assert!(interval.usage.unaccounted().unwrap() < 0.01);
    assert_sound(&pipeline, &interval);
}

#[test]
fn processes_of_the_root_cgroup_have_their_name_and_slots_are_given_back() {
    live!();
    let mut pipeline = pipeline();
    // More processes than a CPU's table has slots.
    let mut load = Load::new(&["storm", "4000", "1"]);
    if !in_root_cgroup() {
        println!("SKIPPED: this test must itself run in the root cgroup");
        return;
    }
    load.go();
    run_while(&mut pipeline, &mut [&mut load]);
    let interval = pipeline.close();
    let burn = pipeline.ledger.accounts().find(|account| account.workload.name == "burn").unwrap();
    println!("burn {:.3} s", burn.cpu.seconds());
    assert!(burn.cpu > Nanos::from_secs(3));
    assert_sound(&pipeline, &interval);
    run_for(&mut pipeline, Duration::from_secs(3));
    assert!(pipeline.sources.fullness() < 0.6, "slots of dead processes stay taken");
}

/// More workloads come and go than there are rows of histograms, and fewer than there are slots of on-CPU time in use at once.
#[test]
fn who_comes_after_many_that_are_gone_has_histograms() {
    live!();
    let mut pipeline = pipeline();
    for _ in 0..4 {
        // In the root cgroup each process is one more, before it moves.
        let cgroups: Vec<Cgroup> = (0..HISTOGRAM_ROWS / 3).map(|_| Cgroup::new()).collect();
        for cgroup in &cgroups {
            let run = "echo 0 > $0/cgroup.procs && sleep 0.001";
            assert!(Command::new("sh").args(["-c", run]).arg(&cgroup.path).status().unwrap().success());
        }
        pipeline.read().unwrap();
        for cgroup in cgroups {
            cgroup.remove();
        }
        until("those that are gone give their rows back", || {
            pipeline.read().unwrap();
            pipeline.sources.histograms_fullness() < 0.3
        });
    }
    let lost = |pipeline: &Pipeline| {
        pipeline
            .losses()
            .into_iter()
            .filter(|loss| loss.name == "sched.no_histograms")
            .map(|loss| loss.count)
            .sum::<u64>()
    };
    assert_eq!(lost(&pipeline), 0);
}

/// An identity is forgotten ten minutes after a death, and the tables may get crowded later than that.
#[test]
fn who_died_long_ago_gives_its_rows_back_once_they_are_needed() {
    live!();
    let mut pipeline = pipeline();
    let gone = occupy(HISTOGRAM_ROWS * 2 / 5);
    pipeline.read().unwrap();
    let count = gone.len();
    gone.iter().for_each(Cgroup::remove);
    pipeline.read().unwrap();
    assert!(pipeline.registry.counts().dead >= count);
    assert!(pipeline.sources.histograms_fullness() > 0.4, "there is room: nothing is given back");
    pipeline.registry.expire(Nanos(u64::MAX));
    assert_eq!(pipeline.registry.counts().dead, 0);
    let alive = occupy(HISTOGRAM_ROWS / 4);
    until("those that are gone give their rows back", || {
        pipeline.read().unwrap();
        pipeline.sources.histograms_fullness() < 0.4
    });
    alive.iter().for_each(Cgroup::remove);
}

/// New cgroups, in each of which something ran: one process that goes from one to the next, and what it starts there.
fn occupy(count: u32) -> Vec<Cgroup> {
    let cgroups: Vec<Cgroup> = (0..count).map(|_| Cgroup::new()).collect();
    let run = "for cgroup; do echo 0 > $cgroup/cgroup.procs && sleep 0.001 || exit 1; done";
    let paths = cgroups.iter().map(|cgroup| &cgroup.path);
    assert!(Command::new("sh").args(["-c", run, "sh"]).args(paths).status().unwrap().success());
    cgroups
}

fn in_root_cgroup() -> bool {
    std::fs::read_to_string("/proc/self/cgroup").unwrap().lines().any(|line| line == "0::/")
}

/// The process that reads is itself measured, so that a wrong key would be seen at once.
#[test]
fn the_open_slice_of_this_test_is_its_own() {
    live!();
    let mut pipeline = pipeline();
    let Sched::Btf(programs) = &mut pipeline.sources.sched else { panic!("off") };
    let key = (0..cpus()).filter_map(|cpu| programs.times.running(cpu)).collect::<Vec<WorkKey>>();
    assert!(!key.is_empty());
}

fn cpus() -> u32 {
    u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap()
}
