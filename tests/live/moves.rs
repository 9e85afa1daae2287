//! Tasks that are moved to another cgroup, above all while they run: from the move on, their time is the new one's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use wattrace::{
    pipeline::{Interval, Pipeline},
    probes::cgroupfs,
    units::Nanos,
};

use crate::support::*;

const STAYS: u32 = 40;
const STAY: &str = "100";

/// Goes on until the load is done, closing an interval about every 100 ms; returns what it says it used at first, and in each home.
fn watch(pipeline: &mut Pipeline, load: &mut Load) -> [Duration; 3] {
    let mut last = BTreeMap::new();
    while load.child.try_wait().unwrap().is_none() {
        run_for(pipeline, Duration::from_millis(100));
        pipeline.close();
        for account in pipeline.ledger.accounts() {
            let before = last.insert(account.workload.clone(), account.cpu).unwrap_or_default();
            assert!(account.cpu >= before, "the counter of {:?} fell", account.workload);
        }
    }
    let line = load.line();
    load.wait();
    let used: Vec<Duration> = line.split_whitespace().map(|ns| Duration::from_nanos(ns.parse().unwrap())).collect();
    used.try_into().unwrap()
}

fn roam(homes: [&Path; 2], file: &str, words: &[&str]) -> Load {
    let homes = homes.map(|home| home.join(file).display().to_string());
    let mut command = vec!["roam", "40", STAY, &homes[0], &homes[1]];
    command.extend(words);
    assert_eq!(command[1], STAYS.to_string());
    Load::new(&command)
}

/// A load that roamed, and what was measured of it.
struct Watched {
    pipeline: Pipeline,
    interval: Interval,
    /// Where it was at first.
    before: Duration,
    truth: [Duration; 2],
    stolen: Nanos,
}

/// Measures it from its start to its end.
fn watched(mut load: Load) -> Watched {
    let mut pipeline = pipeline();
    let stolen = steal();
    load.go();
    let [before, one, other] = watch(&mut pipeline, &mut load);
    pipeline.read().unwrap();
    let interval = pipeline.close();
    let stolen = steal() - stolen;
    Watched { pipeline, interval, before, truth: [one, other], stolen }
}

#[test]
fn a_running_process_that_is_moved_back_and_forth() {
    live!();
    let homes = [Cgroup::new(), Cgroup::new()];
    let load = roam(homes.each_ref().map(|home| home.path.as_path()), "cgroup.procs", &[]);
    let Watched { pipeline, interval, truth, stolen, .. } = watched(load);
    for (what, (home, truth)) in ["first home", "second home"].into_iter().zip(homes.iter().zip(truth)) {
        assert_agrees(what, account(&pipeline, &home.name).cpu, truth, stolen);
    }
    assert_sound(&pipeline, &interval);
}

/// Only one thread is moved, and it is not its process' first.
#[test]
fn a_running_thread_that_is_moved_back_and_forth() {
    live!();
    let parent = Cgroup::new();
    let homes = ["one", "other"].map(|name| parent.path.join(name));
    for home in &homes {
        fs::create_dir(home).unwrap();
    }
    for home in &homes {
        if fs::write(home.join("cgroup.type"), "threaded").is_err() {
            for home in &homes {
                fs::remove_dir(home).unwrap();
            }
            println!("SKIPPED: cgroups cannot be threaded here");
            return;
        }
    }
    let load = roam(homes.each_ref().map(PathBuf::as_path), "cgroup.threads", &["thread"]);
    parent.add(load.child.id());
    let Watched { pipeline, interval, truth, stolen, .. } = watched(load);
    let home = |name: &str| account(&pipeline, &format!("{}/{name}", parent.name)).cpu;
    for (name, truth) in ["one", "other"].into_iter().zip(truth) {
        assert_agrees(name, home(name), truth, stolen);
    }
    assert_sound(&pipeline, &interval);
    for home in &homes {
        until("the home is empty", || fs::remove_dir(home).is_ok());
    }
}

#[test]
fn a_running_process_that_comes_from_the_root_cgroup_and_goes_back() {
    live!();
    let home = Cgroup::new();
    let root = cgroupfs::mount(Path::new("/")).unwrap();
    let load = roam([&root, &home.path], "cgroup.procs", &[]);
    let Watched { pipeline, interval, before, truth, stolen } = watched(load);
    let burn = pipeline.ledger.accounts().filter(|account| account.workload.name == "burn");
    let burn: Nanos = burn.map(|account| account.cpu).sum();
    assert_agrees("in the root cgroup", burn, before + truth[0], stolen);
    assert_agrees("in its own", account(&pipeline, &home.name).cpu, truth[1], stolen);
    assert_sound(&pipeline, &interval);
}

#[test]
fn a_stopped_process_that_is_moved_is_billed_where_it_runs() {
    live!();
    let homes = [Cgroup::new(), Cgroup::new()];
    let mut load = Load::in_cgroup(&homes[0], &["spin", "3"]);
    let mut pipeline = pipeline();
    let (before, stolen) = (homes.each_ref().map(Cgroup::cpu), steal());
    load.go();
    let pid = rustix::process::Pid::from_child(&load.child);
    let signal = |signal| rustix::process::kill_process(pid, signal).unwrap();
    let stat = format!("/proc/{}/stat", load.child.id());
    for turn in 1..20 {
        run_for(&mut pipeline, Duration::from_millis(100));
        signal(rustix::process::Signal::STOP);
        until("the load has stopped", || fs::read_to_string(&stat).unwrap().contains(") T "));
        homes[turn % 2].add(load.child.id());
        pipeline.close();
        signal(rustix::process::Signal::CONT);
    }
    run_while(&mut pipeline, &mut [&mut load]);
    let interval = pipeline.close();
    let stolen = steal() - stolen;
    for (what, (home, before)) in ["first home", "second home"].into_iter().zip(homes.iter().zip(before)) {
        assert_agrees(what, account(&pipeline, &home.name).cpu, home.cpu() - before, stolen);
    }
    assert_sound(&pipeline, &interval);
}
