//! Devices that the tests make, loads of them, and the kernel's own figures.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wattrace::samples::DeviceNumber;

use crate::support::Cgroup;

/// A loop device on a file.
pub struct Disk {
    pub path: PathBuf,
    pub number: DeviceNumber,
    name: String,
    /// Where its blocks are.
    _folder: tempfile::TempDir,
}

/// The kernel's own figures of a disk since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub written_bytes: u64,
    pub discards: u64,
    pub discarded_bytes: u64,
    pub flushes: u64,
    /// Bios that became part of a request that was there.
    pub merges: u64,
}

impl Disk {
    /// In memory; `None`: there are no loop devices here.
    pub fn new(bytes: u64) -> Option<Self> {
        Self::below(Path::new("/dev/shm"), bytes)
    }

    pub fn below(folder: &Path, bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let file = folder.path().join("blocks");
        fs::File::create(&file).unwrap().set_len(bytes).unwrap();
        let made = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().ok()?;
        if !made.status.success() {
            println!("SKIPPED: no loop devices: {}", String::from_utf8_lossy(&made.stderr).trim());
            return None;
        }
        let path = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
        let name = path.file_name()?.to_str()?.to_owned();
        let number = number_of(&name)?;
        Some(Self { path, number, name, _folder: folder })
    }

    pub fn stats(&self) -> Stats {
        Stats::of(&self.name)
    }

    /// A setting of its queue.
    pub fn set(&self, name: &str, value: &str) {
        fs::write(format!("/sys/block/{}/queue/{name}", self.name), value).unwrap();
    }

    /// Runs steps of the load `disk` on it, in a cgroup from the start.
    pub fn load(&self, cgroup: &Cgroup, steps: &[&str]) {
        load(&self.path, cgroup, steps);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("losetup").arg("--detach").arg(&self.path).status());
    }
}

impl Stats {
    /// Of a disk, by its name: from `/proc/diskstats`.
    pub fn of(disk: &str) -> Self {
        let text = fs::read_to_string("/proc/diskstats").unwrap();
        let mut rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row[2] == disk).unwrap();
        let at = |field: usize| row.get(2 + field).map_or(0, |text| text.parse().unwrap());
        const SECTOR: u64 = 512;
        Self {
            reads: at(1),
            read_bytes: SECTOR * at(3),
            writes: at(5),
            written_bytes: SECTOR * at(7),
            discards: at(12),
            discarded_bytes: SECTOR * at(14),
            flushes: at(16),
            merges: at(2) + at(6) + at(13),
        }
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            read_bytes: self.read_bytes - before.read_bytes,
            writes: self.writes - before.writes,
            written_bytes: self.written_bytes - before.written_bytes,
            discards: self.discards - before.discards,
            discarded_bytes: self.discarded_bytes - before.discarded_bytes,
            flushes: self.flushes - before.flushes,
            merges: self.merges - before.merges,
        }
    }
}

/// As the kernel numbers a disk of this name.
pub fn number_of(disk: &str) -> Option<DeviceNumber> {
    let number = fs::read_to_string(format!("/sys/block/{disk}/dev")).ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// Runs steps of the load `disk` on a file or a device, in a cgroup from the start.
pub fn load(file: &Path, cgroup: &Cgroup, steps: &[&str]) {
    let file = file.display().to_string();
    let mut load = crate::support::Load::born_in(cgroup, &[&["disk", file.as_str()], steps].concat(), &[]);
    load.go();
    load.wait();
}

/// Runs a program in a cgroup; whether it succeeded.
pub fn run_in(cgroup: &Cgroup, program: &str, arguments: &[&str]) -> bool {
    let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", cgroup.path.display());
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", program]).args(arguments).stdout(Stdio::null());
    command.status().unwrap().success()
}
