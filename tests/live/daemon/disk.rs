//! A disk that is full.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
};

use tempfile::TempDir;
use wattrace::pipeline::state::{Found, StateDir};
use wattrace_tests::receiver::{Fault, Receiver};

use super::{
    agent::{Place, path},
    received::until_later,
};
use crate::support::{live, until};

/// A small file system of its own; unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "wattrace-test"]).arg(folder.path());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder))
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).status());
    }
}

#[test]
fn a_full_disk_ends_no_measurement() {
    live!();
    let Some(disk) = Disk::mount() else {
        println!("SKIPPED: tmpfs cannot be mounted here");
        return;
    };
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let state = disk.0.path().join("state");
    let agent = place.start(&["--endpoint", &receiver.endpoint(), "--state-dir", path(&state)]);
    until("totals are on disk", || state.join("state.json").exists());
    disk.fill();
    agent.until_said("cannot keep totals in");
    let points = until_later(&receiver, 2);
    let failures = points.iter().filter(|point| point.metric == "wattrace.agent.state.save.failures");
    assert!(failures.filter_map(|point| point.value).next_back().is_some_and(|count| count >= 1.0), "none is counted");
    let said = agent.said();
    assert!(said.contains("No space left") && said.contains("tried again each interval"), "{said}");
    assert_eq!(said.matches("cannot keep totals").count(), 1, "it is said once: {said}");
    // What is on disk is behind what was told: an agent that went on from it would let sums fall.
    assert!(!state.join("state.json").exists());
    fs::remove_file(disk.filler()).unwrap();
    agent.until_said("totals are kept on disk again");
    agent.stop();
    let mut names: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["lock", "state.json"]);
    assert!(matches!(StateDir::open(&state).unwrap().load().unwrap(), Found::Saved(_)));
}
