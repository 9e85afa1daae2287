//! Threads that wait for a disk, and for what is no disk but no signal interrupts.

use std::{
    fs,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use wattrace_common::threads::State;

use super::truth::{assert_near, watch};
use crate::support::{Cgroup, live};

const DELAYS: &str = "/proc/sys/kernel/task_delayacct";
/// Bytes a second where reads are throttled.
pub const RATE: u32 = 4 << 20;
const BYTES: usize = 65_536;
const READS: usize = 120;

/// A sysctl, switched on until this is dropped.
struct Accounting(Option<String>);

impl Accounting {
    fn start() -> Self {
        let before = fs::read_to_string(DELAYS).ok();
        Self(before.filter(|_| fs::write(DELAYS, "1").is_ok()))
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            drop(fs::write(DELAYS, before));
        }
    }
}

#[test]
fn a_reader_of_a_disk_waits_for_io() {
    live!();
    let Some(disk) = Disk::new() else {
        return println!("SKIPPED: no disk can be read directly here");
    };
    let accounting = Accounting::start();
    let cgroup = Cgroup::new();
    let throttle = Throttle::on(&cgroup, &disk.number);
    println!(
        "reads of {}, {}",
        disk.file.display(),
        if throttle.is_some() { "throttled" } else { "as fast as they are" }
    );
    let [file, bytes, count] = [disk.file.display().to_string(), BYTES.to_string(), READS.to_string()];
    let watched = watch(&cgroup, &["disk", &file, "read", &bytes, &count], &["stay"], |_, load| {
        if let Some(throttle) = &throttle {
            throttle.add(load.child.id());
        }
    });
    watched.assert_is_as_the_scheduler_says();
    let (ours, truth) = (&watched.figures, watched.truth);
    let (waited, slept) = (ours.state(State::IoWait), ours.state(State::Sleeping));
    // It reads, and before and after that it sleeps. It is nowhere else.
    assert_near("off the CPU", waited + slept, ours.wall - truth.run - truth.delay, 0.01, ours.slack);
    for other in [State::Uninterruptible, State::Stopped] {
        assert!(ours.state(other) <= 0.01 * waited + 0.001, "{other:?}: {}", ours.state(other));
    }
    // A read that is done before its thread could wait is no wait; how many there were the scheduler counts.
    let waits: u64 =
        [State::IoWait, State::Sleeping, State::Uninterruptible].map(|state| ours.off(state).count()).iter().sum();
    println!("{waits} waits, {} of them for I/O, truth {}", ours.off(State::IoWait).count(), truth.voluntary);
    assert!(ours.off(State::IoWait).count() > 0, "{READS} reads and no wait");
    assert!(waits.abs_diff(truth.voluntary) <= 2 + ours.missed, "{waits} waits, truth {}", truth.voluntary);
    if throttle.is_some() {
        // What is read in a burst at the start is not held back, nor is the last.
        let least = 0.8 * (READS * BYTES) as f64 / f64::from(RATE);
        assert!(waited >= least, "throttled to take {least} s, waited {waited} s");
    }
    if truth.io_wait > ours.wall {
        // Seen on 6.18: a wait whose begin it did not stamp counts since boot.
        println!("the kernel accounts for {} s of waits in {} s: its witness is no use", truth.io_wait, ours.wall);
    } else if accounting.0.is_some() {
        // Each wait from its begin to its wake-up, in hundredths of a second.
        assert_near("delay accounting", waited, truth.io_wait, 0.02, 0.02);
    } else {
        println!("the kernel does not account for waits for I/O here: its witness is missing");
    }
}

/// Something that can be read directly, and the number of the disk that it is on.
struct Disk {
    file: PathBuf,
    number: String,
    /// A device that was made for it.
    made: Option<PathBuf>,
    /// Where the file is, or the device's.
    _folder: tempfile::TempDir,
}

impl Disk {
    /// A file, where a whole disk is below it; else a device whose blocks are that file.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blocks");
        fs::write(&file, vec![1; READS * BYTES]).unwrap();
        rustix::fs::fsync(fs::File::open(&file).unwrap()).unwrap();
        let device = fs::metadata(&file).unwrap().dev();
        let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        if let Some(number) = whole_disk(&number).filter(|_| is_direct(&file)) {
            return Some(Self { file, number, made: None, _folder: folder });
        }
        let made = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().ok()?;
        let device = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
        let name = device.file_name()?.to_owned();
        let number = fs::read_to_string(Path::new("/sys/block").join(name).join("dev")).ok()?.trim().to_owned();
        let disk = Self { file: device.clone(), number, made: Some(device), _folder: folder };
        is_direct(&disk.file).then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(device) = &self.made {
            drop(Command::new("losetup").arg("--detach").arg(device).status());
        }
    }
}

/// The disk of a partition, or itself; `None`: no disk is behind the number, as in memory, or several may be.
pub fn whole_disk(number: &str) -> Option<String> {
    let device = fs::canonicalize(Path::new("/sys/dev/block").join(number)).ok()?;
    let disk = if device.join("partition").exists() { device.parent()? } else { &device };
    Some(fs::read_to_string(disk.join("dev")).ok()?.trim().to_owned())
}

pub fn is_direct(file: &Path) -> bool {
    let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    fs::OpenOptions::new().read(true).custom_flags(flags).open(file).is_ok()
}

/// A limit on reads: of the cgroup itself, or in the older hierarchy.
pub struct Throttle {
    /// Group of the older hierarchy.
    older: Option<PathBuf>,
}

impl Throttle {
    pub fn on(cgroup: &Cgroup, number: &str) -> Option<Self> {
        let root = cgroup.path.parent().unwrap();
        drop(fs::write(root.join("cgroup.subtree_control"), "+io"));
        if fs::write(cgroup.path.join("io.max"), format!("{number} rbps={RATE}")).is_ok() {
            return Some(Self { older: None });
        }
        let group = Path::new("/sys/fs/cgroup/blkio").join(&cgroup.name[1..]);
        fs::create_dir(&group).ok()?;
        let throttle = Self { older: Some(group.clone()) };
        let limit = format!("{number} {RATE}");
        fs::write(group.join("blkio.throttle.read_bps_device"), limit).ok().map(|()| throttle)
    }

    pub fn add(&self, pid: u32) {
        if let Some(group) = &self.older {
            fs::write(group.join("cgroup.procs"), pid.to_string()).unwrap();
        }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        if let Some(group) = &self.older {
            crate::support::until("nobody is throttled", || fs::remove_dir(group).is_ok());
        }
    }
}

/// A memory barrier of the whole machine waits for all CPUs: neither a signal nor I/O ends it.
#[test]
fn what_no_signal_interrupts_is_uninterruptible() {
    live!();
    let cgroup = Cgroup::new();
    let watched = watch(&cgroup, &["barriers", "60"], &["stay"], |_, _| {});
    watched.assert_is_as_the_scheduler_says();
    let (ours, truth) = (&watched.figures, watched.truth);
    let (blocked, slept) = (ours.state(State::Uninterruptible), ours.state(State::Sleeping));
    assert_near("off the CPU", blocked + slept, ours.wall - truth.run - truth.delay, 0.01, ours.slack);
    assert!(ours.state(State::IoWait) < 0.001);
    let waits = ours.off(State::Uninterruptible);
    println!("{} waits, {blocked} s", waits.count());
    assert!(waits.count() >= 60 && waits.count() <= 61 + truth.voluntary - 60, "60 barriers: {waits:?}");
    // Nothing of it is open: what ended is all there was.
    assert_near("sum of what ended", waits.sum, blocked, 0.001, 0.000_1);
}
