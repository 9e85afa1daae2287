//! The disks of the machine: found, mounted, mapped, and what the kernel says of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use wattrace::samples::{DiskDeviceReading, DiskReading};
use wattrace_common::{block::Direction, owner::OwnerKey};

use crate::{
    disk::{Stats, io_stat, number_of},
    probe::{Probe, device, timed, work},
    support::Cgroup,
};

/// A whole disk, by the name that the kernel gave it.
#[derive(Clone, Debug)]
pub struct Disk(pub String);

/// A file system; unmounted when dropped.
pub struct Mounted(pub PathBuf);

/// Bytes of a cgroup that the kernel counted on one disk, read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    pub read: u64,
    pub written: u64,
}

impl Disk {
    /// The virtual disk with this serial number; `None`: the machine has none, and the test is reported as skipped.
    pub fn with_serial(serial: &str) -> Option<Self> {
        Self::found(serial, |name| {
            fs::read_to_string(format!("/sys/block/{name}/serial")).is_ok_and(|it| it.trim() == serial)
        })
    }

    /// The one that `is_it` picks by its name.
    pub fn found(what: &str, is_it: impl Fn(&str) -> bool) -> Option<Self> {
        let names = fs::read_dir("/sys/block").unwrap();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let found = names.find(|name| is_it(name)).map(Self);
        if found.is_none() {
            println!("SKIPPED: the machine has no disk {what}: run `cargo xtask vm disks`");
        }
        found
    }

    /// Below `/dev`.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.0)
    }

    /// Mounts what is on it.
    pub fn mount(&self, kind: &str) -> Mounted {
        let at = Path::new("/run").join(&self.0);
        fs::create_dir_all(&at).unwrap();
        run(Command::new("mount").args(["-t", kind]).arg(self.path()).arg(&at));
        Mounted(at)
    }

    /// The kernel's figures of it.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.0)
    }

    /// Requests of it that were timed: reads, writes and discards.
    pub fn timed(&self, reading: &DiskReading) -> [u64; 3] {
        let counts = timed(&device(reading, number_of(&self.0).unwrap()), &DiskDeviceReading::default());
        [Direction::Read, Direction::Write, Direction::Discard].map(|direction| counts[direction as usize])
    }

    /// What the kernel counted of a cgroup on it.
    pub fn bytes_of(&self, cgroup: &Cgroup) -> Bytes {
        let number = number_of(&self.0).unwrap();
        let value = |name| io_stat(cgroup, number, name).unwrap();
        Bytes { read: value("rbytes"), written: value("wbytes") }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

impl Bytes {
    /// What the programs counted of an owner.
    pub fn told(reading: &DiskReading, owner: OwnerKey) -> Self {
        let work = work(reading, owner);
        let bytes = |direction| work.totals.bytes[direction as usize];
        Self { read: bytes(Direction::Read), written: bytes(Direction::Write) }
    }
}

/// Waits until what ended is counted in every place: the kernel counts a cgroup's bytes when they begin, and a test may be
/// faster than the last request.
pub fn until_quiet(probe: &mut Probe) -> DiskReading {
    let mut last = probe.read();
    crate::support::until("requests end", || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let before = std::mem::replace(&mut last, probe.read());
        before == last
    });
    last
}

/// A program of somebody else's that must succeed.
pub fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Writes all that is dirty.
pub fn sync() {
    run(&mut Command::new("sync"));
}
