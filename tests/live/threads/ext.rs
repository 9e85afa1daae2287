//! Tasks in the class of schedulers that are kernel programs: whether it says as much of them as of those of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::truth::watch;
use crate::support::{Cgroup, Load, live};

/// A scheduler in force; the kernel's own comes back when dropped.
struct Scheduler(Child);

impl Scheduler {
    /// `None`: the kernel takes none, and the test is reported as skipped.
    fn start() -> Option<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sched-ext"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let scheduler = Self(child);
        if line == "ready\n" {
            return Some(scheduler);
        }
        println!("SKIPPED: {}", line.trim());
        None
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

#[test]
fn tasks_of_a_scheduler_that_is_a_kernel_program_are_followed() {
    live!();
    let Some(_scheduler) = Scheduler::start() else { return };
    let state = std::fs::read_to_string("/sys/kernel/sched_ext/state").unwrap();
    assert_eq!(state.trim(), "enabled");
    // One that wants all of the CPU, so that the other has to wait for it.
    let (other, cgroup) = (Cgroup::new(), Cgroup::new());
    let mut spinner = Load::born_in(&other, &["spin", "60"], &["pin=0"]);
    spinner.tell();
    let watched = watch(&cgroup, &["duty", "0.8"], &["pin=0", "stay"], |_, _| {});
    watched.assert_is_as_the_scheduler_says();
    watched.assert_switches_are_as_the_kernel_counts();
    assert!(watched.figures.wait.sum > 0.0, "it never had to wait");
}
