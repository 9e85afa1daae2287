//! Disks that the device mapper makes of others: they have no requests of their own, those of the disk beneath are told, with the
//! owner of what was asked for above.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use wattrace::probes::bpf::BlockMode;
use wattrace_common::{block::Direction, owner::OwnerKey};

use crate::{
    disk::{load, number_of, run_in},
    machine::{Disk, run, until_quiet},
    probe::{Probe, work},
    support::{Cgroup, live},
};

/// A mapped disk; removed when dropped.
struct Mapped {
    name: &'static str,
}

impl Mapped {
    /// 4 MiB of a disk. `None`: there is no device mapper here, and the test is reported as skipped.
    fn new(name: &'static str, table: &str) -> Option<Self> {
        let table = format!("0 8192 {table}");
        let mut command = Command::new("dmsetup");
        // There is nobody here who would make its node.
        command.args(["create", name, "--noudevsync", "--table", &table]).stdout(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            println!("SKIPPED: there is no {table}: run `cargo xtask vm disks`");
            return None;
        }
        Some(Self { name })
    }

    fn disk(&self) -> Disk {
        let is_it = |name: &str| {
            fs::read_to_string(format!("/sys/block/{name}/dm/name")).is_ok_and(|it| it.trim() == self.name)
        };
        Disk::found(self.name, is_it).unwrap()
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        run(Command::new("dmsetup").args(["remove", "--noudevsync", self.name]));
    }
}

/// The disk beneath.
fn beneath() -> Option<Disk> {
    Disk::found("of scsi_debug", |name| name.starts_with("sd"))
}

#[test]
fn requests_through_dm_linear_are_the_disks_beneath_and_their_owners() {
    live!();
    let Some(disk) = beneath() else { return };
    let Some(mapped) = Mapped::new("linear", &format!("linear /dev/{} 0", disk.0)) else { return };
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(BlockMode::Total);
    let (before, stats) = (disk.timed(&until_quiet(&mut probe)), disk.stats());
    load(&mapped.disk().path(), &cgroup, &["write", "65536", "12", "read", "4096", "34"]);
    let reading = until_quiet(&mut probe);
    let (after, stats) = (disk.timed(&reading), disk.stats().since(stats));
    println!("{stats:?}");
    assert_eq!([after[0] - before[0], after[1] - before[1]], [stats.reads, stats.writes]);
    let ours = work(&reading, OwnerKey::cgroup(cgroup.id));
    let bytes = [Direction::Read, Direction::Write].map(|direction| ours.totals.bytes[direction as usize]);
    assert_eq!(bytes, [34 * 4096, 12 * 65_536]);
    let number = number_of(&mapped.disk().0);
    assert!(reading.devices.iter().all(|device| device.device != number), "it has no requests of its own");
}

#[test]
fn what_dm_delay_holds_back_is_no_time_of_the_disk() {
    live!();
    let Some(disk) = beneath() else { return };
    let Some(mapped) = Mapped::new("delay", &format!("delay /dev/{} 0 2000", disk.0)) else { return };
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(BlockMode::Total);
    until_quiet(&mut probe);
    load(&mapped.disk().path(), &cgroup, &["read", "4096", "2"]);
    let ours = work(&until_quiet(&mut probe), OwnerKey::cgroup(cgroup.id));
    let durations = &ours.durations.as_ref().unwrap()[Direction::Read as usize];
    println!("{durations:?}");
    assert_eq!(durations.counts.iter().sum::<u64>(), 2);
    assert!(durations.sum.seconds() < 2.0, "two reads that were held back for 2 s each");
}

#[test]
fn a_bio_that_dm_flakey_fails_never_was_a_request() {
    live!();
    let Some(disk) = beneath() else { return };
    // Never up.
    let Some(mapped) = Mapped::new("flakey", &format!("flakey /dev/{} 0 0 60", disk.0)) else { return };
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(BlockMode::Total);
    let path: PathBuf = mapped.disk().path();
    assert!(!run_in(
        &cgroup,
        "dd",
        &[&format!("if={}", path.display()), "of=/dev/null", "bs=4096", "count=1", "iflag=direct"]
    ));
    let ours = work(&until_quiet(&mut probe), OwnerKey::cgroup(cgroup.id));
    assert_eq!(ours.totals.errors.iter().sum::<u64>(), 0);
    assert_eq!(ours.totals.operations[Direction::Read as usize], 0);
}
