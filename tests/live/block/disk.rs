//! Devices that the tests make, loads of them, and the kernel's own figures.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use wattrace::samples::DeviceNumber;
use wattrace_common::owner::OwnerKey;

use crate::support::Cgroup;

/// A loop device on a file.
pub struct Disk {
    pub path: PathBuf,
    pub number: DeviceNumber,
    pub name: String,
    /// Where its blocks are.
    pub file: PathBuf,
    _mount: Option<Mount>,
    _folder: tempfile::TempDir,
}

/// Memory mounted at a folder, until this is dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

/// What `/proc/diskstats` counts in.
const SECTOR: u64 = 512;

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
    /// Milliseconds of reads, from when the kernel made them.
    pub read_millis: u64,
}

impl Disk {
    /// In memory; `None`: there are no loop devices here.
    pub fn new(bytes: u64) -> Option<Self> {
        Self::below(Path::new("/dev/shm"), bytes)
    }

    /// Its blocks are a file below a folder, which is read and written past the cache if that can be.
    pub fn below(folder: &Path, bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let file = folder.path().join("blocks");
        fs::write(&file, vec![1; usize::try_from(bytes).unwrap()]).unwrap();
        rustix::fs::fsync(fs::File::open(&file).unwrap()).unwrap();
        Self::on(file, None, folder)
    }

    /// Whose blocks have no room where they are.
    pub fn full() -> Option<Self> {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let mount = Mount(folder.path().to_owned());
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&mount.0).status();
        assert!(status.unwrap().success());
        let file = folder.path().join("blocks");
        fs::File::create(&file).unwrap().set_len(8 << 20).unwrap();
        Self::on(file, Some(mount), folder)
    }

    fn on(file: PathBuf, mount: Option<Mount>, folder: tempfile::TempDir) -> Option<Self> {
        // Some memory cannot be read directly.
        let direct = ["--direct-io=on", "--direct-io=off"].into_iter();
        let mut made = direct
            .filter_map(|direct| Command::new("losetup").args(["--find", "--show", direct]).arg(&file).output().ok());
        let Some(made) = made.find(|made| made.status.success()) else {
            println!("SKIPPED: no loop devices here");
            return None;
        };
        let path = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
        let name = path.file_name()?.to_str()?.to_owned();
        let number = number_of(&name)?;
        Some(Self { path, number, name, file, _mount: mount, _folder: folder })
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
        Self {
            reads: at(1),
            read_bytes: SECTOR * at(3),
            writes: at(5),
            written_bytes: SECTOR * at(7),
            discards: at(12),
            discarded_bytes: SECTOR * at(14),
            flushes: at(16),
            merges: at(2) + at(6) + at(13),
            read_millis: at(4),
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
            read_millis: self.read_millis - before.read_millis,
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

/// Whose the requests of a cgroup are here.
pub fn owner(cgroup: &Cgroup) -> OwnerKey {
    let controllers = fs::read_to_string("/proc/cgroups").unwrap();
    let row = controllers.lines().find_map(|line| line.strip_prefix("blkio"));
    let hierarchy = row.and_then(|row| row.split_whitespace().next());
    if hierarchy.is_some_and(|hierarchy| hierarchy != "0") { OwnerKey::V1 } else { OwnerKey::cgroup(cgroup.id) }
}

/// A cgroup whose requests are its own, where the unified hierarchy has the controller.
pub fn cgroup() -> Cgroup {
    let cgroup = Cgroup::new();
    drop(fs::write(cgroup.path.parent().unwrap().join("cgroup.subtree_control"), "+io"));
    cgroup
}

/// `rios`, `rbytes`, `wios` or `wbytes` of a cgroup on a disk; `None`: the unified hierarchy does not count.
pub fn io_stat(cgroup: &Cgroup, disk: DeviceNumber, name: &str) -> Option<u64> {
    let text = fs::read_to_string(cgroup.path.join("io.stat")).ok()?;
    let number = format!("{}:{} ", disk.major, disk.minor);
    let row = text.lines().find_map(|line| line.strip_prefix(&number)).unwrap_or_default();
    let value = row.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    Some(value.map_or(0, |value| value.parse().unwrap()))
}

/// Runs a program in a cgroup; whether it succeeded.
pub fn run_in(cgroup: &Cgroup, program: &str, arguments: &[&str]) -> bool {
    let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", cgroup.path.display());
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", program]).args(arguments).stdout(Stdio::null());
    command.status().unwrap().success()
}
