//! The same load, at the same time, by the bcc tools that are built for it (Debian's `libbpf-tools`).

use std::{
    fs,
    io::Read,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use wattrace_common::threads::State;

use super::{
    probe::{Figures, Histogram, Probe},
    truth::{asleep, assert_near},
};
use crate::support::{Cgroup, Load, live, until};

/// What a shell says that finds no such program.
const NOT_FOUND: i32 = 127;

/// Says that a test is skipped because there is no such tool.
fn say_missing(name: &str) {
    if std::env::var_os("WATTRACE_VM").is_some() {
        println!("SKIPPED: the tests' virtual machines have no bcc tools");
    } else {
        println!("SKIPPED: missing tool: {name}; run `cargo xtask setup`");
    }
}

/// A tool that watches one process, or one disk, until it is ended; then it says what it saw.
pub struct Tool(Child);

impl Tool {
    /// Returns when its programs are attached, of which there are so many; `None` without the tool.
    pub fn start(name: &str, what: &[&str], programs: usize) -> Option<Self> {
        let mut command = Command::new(name);
        // Longer than the load.
        command.args(what).arg("600");
        Self::of(command, name, programs)
    }

    /// The same of a tool that watches a cgroup, through a file system of the kernel that it may have to mount for itself.
    pub fn of_cgroup(name: &str, cgroup: &Cgroup, programs: usize) -> Option<Self> {
        Self::with_tracefs(name, &format!("-c {}", cgroup.path.display()), programs)
    }

    /// The same of one that takes these options.
    pub fn with_tracefs(name: &str, options: &str, programs: usize) -> Option<Self> {
        let mut command = Command::new("unshare");
        let script = format!("mount -t tracefs none /sys/kernel/tracing; exec {name} {options}");
        command.args(["--mount", "sh", "-c", &script]);
        Self::of(command, name, programs)
    }

    fn of(mut command: Command, name: &str, programs: usize) -> Option<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            say_missing(name);
            return None;
        };
        let mut tool = Self(child);
        let folder = format!("/proc/{}/fd", tool.0.id());
        let attached = || {
            let files = fs::read_dir(&folder).into_iter().flatten().flatten();
            let links = files.filter_map(|file| fs::read_link(file.path()).ok());
            links
                .filter(|link| ["bpf_link", "raw-tracepoint"].iter().any(|kind| link.to_string_lossy().contains(kind)))
                .count()
        };
        let mut ended = None;
        until("the tool is attached", || {
            ended = tool.0.try_wait().unwrap();
            ended.is_some() || attached() >= programs
        });
        if let Some(status) = ended {
            if status.code() == Some(NOT_FOUND) {
                say_missing(name);
            } else {
                println!("SKIPPED: {name} does not run on this kernel: {status}");
            }
            return None;
        }
        Some(tool)
    }

    pub fn end(mut self) -> String {
        // What wakes it up it has taken by the time it sleeps again; what it has not taken by its end it does not tell.
        let stat = format!("/proc/{}/stat", self.0.id());
        until("the tool waits", || fs::read_to_string(&stat).unwrap().contains(") S "));
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Works and sleeps in turns on a CPU that a spinner wants, too: it waits for it when it wakes up, and when it is preempted.
/// What the tool said of it, and our figures.
fn compare(name: &str, programs: usize) -> Option<(String, Figures)> {
    let [home, other] = [Cgroup::new(), Cgroup::new()];
    let mut probe = Probe::start();
    let mut rival = Load::born_in(&other, &["spin", "600"], &["pin=0"]);
    let mut load = Load::born_in(&home, &["duty", "3"], &["pin=0", "stay"]);
    let tool = Tool::start(name, &["-p", &load.child.id().to_string()], programs)?;
    let before = asleep(&mut probe, &home);
    rival.tell();
    load.tell();
    assert_eq!(load.line(), "done\n");
    let after = asleep(&mut probe, &home);
    let said = tool.end();
    rival.child.kill().unwrap();
    let ours = after.of(&home, &before);
    println!("ours {ours:?}");
    Some((said, ours))
}

#[test]
fn waits_for_a_cpu_are_those_of_runqlat() {
    live!();
    let Some((said, ours)) = compare("runqlat", 3) else { return };
    println!("{said}");
    let theirs = rows(&said);
    let total: u64 = theirs.iter().map(|(.., count)| count).sum();
    println!("{total} waits by runqlat, {} by us", ours.wait.count());
    assert!(total > 100, "the load was no load");
    // It takes a thread that is preempted on its way to sleep for one that sleeps, and its wait is then in neither.
    let most = 2 + total / 50 + ours.missed;
    assert!(total.abs_diff(ours.wait.count()) <= most, "{total} by runqlat, {} by us", ours.wait.count());
    for from in (6..20).map(|power| 1_u64 << power) {
        let longer: u64 = theirs.iter().filter(|(low, ..)| *low >= from).map(|(.., count)| count).sum();
        let (least, greatest) = longer_than(&ours.wait, from);
        println!("at least {from} us: {longer} by runqlat, between {least} and {greatest} by us");
        assert!(longer + most >= least && longer <= greatest + most);
    }
}

/// Of our waits, how many lasted so many microseconds at least, and at most: a power of two of them lies between two bounds of
/// ours, which are powers of 2^(1/4) of a second.
fn longer_than(waits: &Histogram, micros: u64) -> (u64, u64) {
    let below = (micros as f64 * 1e-6).log2().mul_add(4.0, 1e-9).floor() / 4.0;
    (waits.within((below + 0.25).exp2(), f64::INFINITY), waits.within(below.exp2(), f64::INFINITY))
}

/// Lines `4 -> 7 : 12 |***|`: from, to, how many.
pub fn rows(said: &str) -> Vec<(u64, u64, u64)> {
    let row = |line: &str| {
        let (range, rest) = line.split_once(" : ")?;
        let (from, to) = range.split_once(" -> ")?;
        let count = rest.split('|').next()?.trim();
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?, count.parse().ok()?))
    };
    said.lines().filter_map(row).collect()
}

#[test]
fn time_off_the_cpu_is_that_of_offcputime() {
    live!();
    let Some((said, ours)) = compare("offcputime", 1) else { return };
    // Microseconds stand alone on a line, below their stack.
    let theirs: f64 = said.lines().filter_map(|line| line.trim().parse::<f64>().ok()).sum::<f64>() / 1e6;
    let off = ours.alive() - ours.running;
    println!(
        "off the CPU {theirs} s by offcputime, {off} s by us, of which {} s runnable",
        ours.state(State::Runnable)
    );
    assert!(theirs > 1.0, "the load was no load");
    // It takes all from leaving the CPU to coming back as one, waits for it included. Of the sleep before the load began it saw
    // no beginning, of the one after it no end: both are short.
    assert_near("off the CPU", off, theirs, 0.02, 0.01);
}
