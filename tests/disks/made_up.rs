//! Disks that drivers make up: `null_blk`, whose requests take as long as it is told, and `scsi_debug`, which fails as it is told.

use std::{fs, path::Path, process::Command};

use wattrace::{probes::bpf::BlockMode, samples::DiskReading};
use wattrace_common::{
    block::{Direction, Failure, OTHER},
    histogram,
    owner::OwnerKey,
    threads::FIRST,
};

use crate::{
    disk::{load, number_of, run_in},
    machine::{Disk, run, until_quiet},
    probe::{Probe, device, work},
    support::{Cgroup, live, until},
};

/// Nanoseconds of a request of the slow one.
const SLOW: u64 = 20_000_000;
const READ: usize = Direction::Read as usize;
const NULL: &str = "/sys/kernel/config/nullb";
const DEBUG: &str = "/sys/bus/pseudo/drivers/scsi_debug";
/// The sector that `scsi_debug` cannot read, when told so.
const BAD_SECTOR: u64 = 0x1234;

/// A disk of `null_blk`; removed when dropped.
struct Null {
    disk: Disk,
    folder: String,
}

impl Null {
    /// Settings are names and values of its folder. `None`: the driver is not here, and the test is reported as skipped.
    fn new(name: &str, settings: &[(&str, &str)]) -> Option<Self> {
        if !Path::new("/sys/module/null_blk").exists() {
            println!("SKIPPED: null_blk is not loaded: run `cargo xtask vm disks`");
            return None;
        }
        if !Path::new(NULL).exists() {
            run(Command::new("mount").args(["-t", "configfs", "configfs", "/sys/kernel/config"]));
        }
        let before = disks();
        let folder = format!("{NULL}/{name}");
        fs::create_dir(&folder).unwrap();
        for (name, value) in settings.iter().chain(&[("power", "1")]) {
            fs::write(format!("{folder}/{name}"), value).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
        }
        let disk = disks().into_iter().find(|disk| !before.contains(disk)).unwrap();
        Some(Self { disk: Disk(disk), folder })
    }
}

impl Drop for Null {
    fn drop(&mut self) {
        drop(fs::write(format!("{}/power", self.folder), "0"));
        drop(fs::remove_dir(&self.folder));
    }
}

fn disks() -> Vec<String> {
    fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn requests_of_null_blk_are_those_of_diskstats_and_take_as_long_as_it_is_told() {
    live!();
    let slow = [("irqmode", "2"), ("completion_nsec", &SLOW.to_string())];
    let room = [("size", "64"), ("memory_backed", "1"), ("discard", "1")];
    let Some(null) = Null::new("slow", &[slow.as_slice(), &room].concat()) else { return };
    let (disk, cgroup) = (&null.disk, Cgroup::new());
    let mut probe = Probe::start(BlockMode::Total);
    let (before, stats) = (disk.timed(&until_quiet(&mut probe)), disk.stats());
    load(&disk.path(), &cgroup, &["write", "65536", "20", "read", "4096", "10"]);
    assert!(run_in(&cgroup, "blkdiscard", &["-o", "0", "-l", "1048576", &format!("/dev/{}", disk.0)]));
    let reading = until_quiet(&mut probe);
    let stats = disk.stats().since(stats);
    let [reads, writes, discards] = [0, 1, 2].map(|at| disk.timed(&reading)[at] - before[at]);
    println!("{stats:?}");
    assert_eq!([reads, writes, discards], [stats.reads, stats.writes, stats.discards]);
    assert!(reads >= 10 && writes >= 20 && discards >= 1);
    let ours = work(&reading, OwnerKey::cgroup(cgroup.id));
    // Who else reads a new disk looks for partitions on it.
    assert_eq!(ours.totals.bytes[Direction::Write as usize], 20 * 65_536);
    assert_eq!(ours.totals.bytes[Direction::Discard as usize], stats.discarded_bytes);
    assert_eq!(ours.totals.bytes[Direction::Write as usize], stats.written_bytes);
    // None in a bucket that ends before 20 ms; which they are in, emulation decides.
    let durations = &device(&reading, number_of(&disk.0).unwrap()).durations;
    let first = usize::try_from(1 + histogram::index(SLOW) - FIRST).unwrap();
    for direction in [Direction::Read, Direction::Write] {
        let early: u64 = durations[direction as usize].counts[..first].iter().sum();
        assert_eq!(early, 0, "{direction:?} {:?}", durations[direction as usize]);
    }
}

#[test]
fn a_medium_error_is_told_as_one() {
    live!();
    let Some(disk) = scsi_debug() else { return };
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(BlockMode::Total);
    let stats = disk.stats();
    fs::write(format!("{DEBUG}/opts"), "2").unwrap();
    let (of, skip) = (format!("if=/dev/{}", disk.0), format!("skip={}", BAD_SECTOR / 8));
    let read = run_in(&cgroup, "dd", &[&of, "of=/dev/null", "bs=4096", "count=1", "iflag=direct", &skip]);
    fs::write(format!("{DEBUG}/opts"), "0").unwrap();
    assert!(!read, "the disk could be read");
    let ours = work(&until_quiet(&mut probe), OwnerKey::cgroup(cgroup.id));
    println!("{:?}", ours.totals);
    assert!(ours.totals.errors[Failure::Medium as usize] >= 1);
    assert_eq!(ours.totals.errors.iter().sum::<u64>(), ours.totals.errors[Failure::Medium as usize]);
    // The kernel counts what failed as done, and so do we.
    let stats = disk.stats().since(stats);
    let read = (ours.totals.operations[READ], ours.totals.bytes[READ]);
    assert_eq!(read, (stats.reads, stats.read_bytes));
}

#[test]
fn what_is_passed_to_the_driver_is_counted_and_not_timed() {
    live!();
    let Some(disk) = scsi_debug() else { return };
    let mut probe = Probe::start(BlockMode::Total);
    let (before, timed) = (until_quiet(&mut probe), disk.timed(&until_quiet(&mut probe)));
    // Asks the disk what it is, and how large.
    fs::write(format!("/sys/block/{}/device/rescan", disk.0), "1").unwrap();
    let passed = |reading: &DiskReading| reading.work.iter().map(|work| work.totals.operations[OTHER]).sum::<u64>();
    let after = until_quiet(&mut probe);
    println!("{} requests passed through", passed(&after) - passed(&before));
    assert!(passed(&after) > passed(&before));
    assert_eq!(disk.timed(&after), timed);
}

#[test]
fn a_disk_that_goes_and_comes_is_counted_anew() {
    live!();
    let Some(disk) = scsi_debug() else { return };
    let mut probe = Probe::start(BlockMode::Total);
    let cgroup = Cgroup::new();
    load(&disk.path(), &cgroup, &["read", "4096", "7"]);
    assert!(disk.timed(&until_quiet(&mut probe))[0] >= 7);
    let number = number_of(&disk.0).unwrap();
    fs::write(format!("/sys/block/{}/device/delete", disk.0), "1").unwrap();
    until("the disk is gone", || number_of(&disk.0).is_none());
    // Once as it ended, then not at all.
    probe.read();
    until("its row is given back", || probe.read().devices.iter().all(|device| device.device != Some(number)));
    fs::write(format!("{DEBUG}/add_host"), "1").unwrap();
    until("there is another", || disks().iter().any(|name| name.starts_with("sd")));
    let Some(disk) = scsi_debug() else { panic!("it went again") };
    let (before, stats) = (disk.timed(&until_quiet(&mut probe)), disk.stats());
    load(&disk.path(), &cgroup, &["read", "4096", "9"]);
    let after = disk.timed(&until_quiet(&mut probe));
    assert_eq!(after[0] - before[0], disk.stats().since(stats).reads);
    assert!(after[0] - before[0] >= 9);
}

fn scsi_debug() -> Option<Disk> {
    Disk::found("of scsi_debug", |name| name.starts_with("sd"))
}
