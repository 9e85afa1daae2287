//! Whose processes are: names of the root cgroup, the kernel's own, and rows that are given back.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wattrace::units::Nanos;
use wattrace::{
    probes::{bpf::EventPlan, cgroupfs},
    samples::ProcessTotals,
};
use wattrace_common::{
    limits::PROCESS_ROWS,
    loss::Reason,
    process::{ActorKey, ExitReason},
};

use super::{
    lives::Lives,
    probe::{EXITS, Probe},
};
use crate::support::{Cgroup, live, until};

/// The root cgroup.
fn root() -> Cgroup {
    let path = cgroupfs::mount(Path::new("/")).unwrap();
    Cgroup { id: 0, name: "/".to_owned(), path }
}

/// A program of a name of its own.
struct Named {
    _folder: tempfile::TempDir,
    path: PathBuf,
    key: ActorKey,
    comm: [u8; 16],
}

impl Named {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::copy(env!("CARGO_BIN_EXE_lives"), &path).unwrap();
        let mut comm = [0; 16];
        comm[..name.len()].copy_from_slice(name.as_bytes());
        let half = |at: usize| u64::from_ne_bytes(comm[at..at + 8].try_into().unwrap());
        Self { _folder: folder, path, key: ActorKey::named([half(0), half(8)]), comm }
    }

    /// Runs it so many times in the root cgroup.
    fn run(&self, count: usize) {
        let program = self.path.to_str().unwrap();
        let mut lives = Lives::new(&root(), &["many", &count.to_string(), "0", program, "now", "end", "normal"]);
        lives.go();
        lives.ended();
        lives.end();
    }
}

/// That many programs that were started, and ended.
fn ran(count: u64) -> ProcessTotals {
    ProcessTotals { execs: count, exits: [count, 0, 0, 0], short_lived: count, ..ProcessTotals::default() }
}

fn figures(probe: &mut Probe, key: ActorKey) -> ProcessTotals {
    ProcessTotals { exited_cpu: Nanos::default(), ..probe.actor(key).totals }
}

#[test]
fn processes_of_the_root_cgroup_count_by_name() {
    live!();
    let [one, other] = [Named::new("wt-name-one"), Named::new("wt-name-other")];
    let mut probe = Probe::start(EventPlan::default());
    one.run(10);
    other.run(7);
    one.run(5);
    until("all ends are counted", || {
        figures(&mut probe, one.key) == ran(15) && figures(&mut probe, other.key) == ran(7)
    });
    let reading = probe.actor(one.key);
    assert_eq!(reading.comm, one.comm);
    assert!(reading.totals.exited_cpu.0 > 0);
}

#[test]
fn a_name_that_comes_back_while_its_row_is_given_away_loses_nothing() {
    live!();
    let named = Named::new("wt-comes-back");
    let mut probe = Probe::start(EventPlan::default());
    named.run(10);
    until("all ends are counted", || figures(&mut probe, named.key) == ran(10));
    // Not quiet for two readings yet.
    assert!(!probe.release(|_| false).contains(&named.key));
    probe.read();
    probe.read();
    assert!(!probe.release(|_| false).contains(&named.key), "the row is found no more, and still there");
    named.run(5);
    until("old and new are told together", || figures(&mut probe, named.key) == ran(15));
    assert!(!probe.release(|_| false).contains(&named.key), "it is there again");
    assert_eq!(figures(&mut probe, named.key), ran(15));
    named.run(2);
    until("all ends are counted", || figures(&mut probe, named.key) == ran(17));
    let mut readings = 0;
    until("it is forgotten", || {
        readings += 1;
        assert!(figures(&mut probe, named.key) == ran(17), "what is known is told until it is forgotten");
        probe.release(|_| false).contains(&named.key)
    });
    assert!(readings >= 2, "{readings}");
    assert_eq!(figures(&mut probe, named.key), ran(0));
    named.run(1);
    until("it begins anew", || figures(&mut probe, named.key) == ran(1));
}

#[test]
fn a_dead_cgroup_gives_its_row_back() {
    live!();
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(EventPlan::default());
    let mut lives = Lives::new(&cgroup, &["many", "3", "0", "/bin/true"]);
    lives.go();
    lives.ended();
    lives.end();
    until("all ends are counted", || probe.of(&cgroup).exits[0] == 4);
    cgroup.remove();
    let key = ActorKey::cgroup(cgroup.id);
    until("it is forgotten", || {
        probe.read();
        probe.release(|id| id == cgroup.id).contains(&key)
    });
    assert!(!probe.read().contains_key(&key));
}

#[test]
fn beyond_the_rows_processes_are_nobodys_and_that_is_counted() {
    live!();
    let mut probe = Probe::start(EventPlan::default());
    let cgroups: Vec<Cgroup> = (0..PROCESS_ROWS).map(|_| Cgroup::new()).collect();
    let before = ends(&probe.read());
    for cgroup in &cgroups {
        // The process joins, and ends there.
        let join = format!("echo 0 > {}/cgroup.procs", cgroup.path.display());
        assert!(Command::new("sh").args(["-c", &join]).status().unwrap().success());
    }
    until("all ends are counted", || ends(&probe.read()) >= before + u64::from(PROCESS_ROWS));
    let nobody = probe.actor(ActorKey::NOBODY).totals;
    println!("{nobody:?}, {} without a row", probe.lost(Reason::Full));
    assert!(nobody.exits.iter().sum::<u64>() > 0);
    assert_eq!(probe.programs.processes.as_ref().unwrap().fullness().to_bits(), 1.0_f64.to_bits());
    assert!(probe.lost(Reason::Full) >= nobody.exits.iter().sum());
}

fn ends(all: &std::collections::BTreeMap<ActorKey, wattrace::samples::ActorReading>) -> u64 {
    all.values().flat_map(|reading| reading.totals.exits).sum()
}

/// A file system with a journal has a kernel thread as long as it is mounted.
#[test]
fn a_kernel_thread_is_the_kernels_whoever_asked_for_it() {
    live!();
    let cgroup = Cgroup::new();
    let folder = tempfile::tempdir().unwrap();
    let mut probe = Probe::start(EXITS);
    let script = format!(
        "echo 0 > {}/cgroup.procs; cd {} && truncate -s 16M disk && mkfs.ext4 -q disk && mkdir at && mount -o loop disk at && umount at",
        cgroup.path.display(),
        folder.path().display()
    );
    if !Command::new("sh").args(["-c", &script]).status().unwrap().success() {
        println!("SKIPPED: no file system with a journal can be made and mounted here");
        return;
    }
    let forks = probe.actor(ActorKey::KERNEL).totals.forks;
    let journal = |probe: &mut Probe| {
        let ends = probe.all_exits();
        ends.into_iter().find(|exit| exit.who.comm.starts_with(b"jbd2/"))
    };
    until("the journal's thread ended", || journal(&mut probe).is_some());
    let ended = journal(&mut probe).unwrap();
    assert_eq!((ended.head.key, ended.reason), (ActorKey::KERNEL.0, ExitReason::Normal as u32));
    assert!(forks > 0 && probe.actor(ActorKey::KERNEL).totals.exits[0] > 0);
    let ours = probe.of(&cgroup);
    assert_eq!(ours.exits.iter().sum::<u64>(), ours.forks + 1, "{ours:?}");
}

#[test]
fn a_process_that_the_kernel_ends_for_want_of_memory() {
    live!();
    let root = root().path.clone();
    let has_memory = fs::read_to_string(root.join("cgroup.controllers")).unwrap().contains("memory");
    if !has_memory || fs::write(root.join("cgroup.subtree_control"), "+memory").is_err() {
        println!("SKIPPED: memory is limited by a version 1 hierarchy here: `cargo xtask vm live process::`");
        return;
    }
    let cgroup = Cgroup::new();
    fs::write(cgroup.path.join("memory.max"), "33554432").unwrap();
    drop(fs::write(cgroup.path.join("memory.swap.max"), "0"));
    let mut probe = Probe::start(EXITS);
    let mut lives = Lives::new(&cgroup, &["shapes", "3", "hog"]);
    lives.go();
    let children = lives.ended();
    lives.end();
    until("all ends are counted", || probe.of(&cgroup).exits.iter().sum::<u64>() == 4);
    let killed = fs::read_to_string(cgroup.path.join("memory.events")).unwrap();
    println!("{killed}");
    assert!(killed.contains("oom_kill 3"));
    assert_eq!(probe.of(&cgroup).exits, [1, 0, 0, 3]);
    for child in children {
        let exits = probe.exits(&cgroup);
        let exit = exits.iter().find(|exit| exit.who.tgid == child.pid).unwrap();
        assert_eq!((exit.status, exit.reason), (9, ExitReason::Oom as u32));
    }
}
