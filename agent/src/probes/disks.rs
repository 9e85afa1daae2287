//! Block devices in `/sys/block`: their names and numbers, the counters that the kernel keeps of each, whether one is still
//! there, and how many requests all can have at once. Whole disks alone; those made of others (dm, md), and loop devices, are
//! among them.

use std::{fs, path::Path};

use super::{
    file::{self, FileError},
    parse,
};
use crate::{
    samples::{DeviceNumber, disk::load::DeviceCounts},
    units::Nanos,
};

/// How many devices are looked at, in the order of their names.
pub const MOST: usize = 1_024;

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As the kernel names it, `nvme0n1`.
    pub name: String,
    /// By which requests name it; `None`: it has none.
    pub number: Option<DeviceNumber>,
    /// Its counters; `None`: they are not kept, or cannot be read.
    pub counts: Option<DeviceCounts>,
    /// When they were read.
    pub at: Nanos,
}

/// All devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// By name, up to [`MOST`].
    pub found: Vec<Device>,
    /// Files that held something else.
    pub malformed: u64,
    /// Files that are there and could not be read.
    pub unreadable: u64,
    /// Devices beyond [`MOST`].
    pub beyond: u64,
}

/// Reads all devices below `root`; `now` says when.
pub fn read(root: &Path, now: impl Fn() -> Nanos) -> Devices {
    let mut devices = Devices::default();
    let folder = root.join("sys/block");
    let mut names: Vec<String> = match fs::read_dir(&folder) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
        Err(error) => {
            devices.unreadable += u64::from(error.kind() != std::io::ErrorKind::NotFound);
            return devices;
        }
    };
    names.sort_unstable();
    devices.beyond = names.len().saturating_sub(MOST) as u64;
    for name in names.into_iter().take(MOST) {
        let device = devices.device(&folder.join(&name), name, now());
        devices.found.push(device);
    }
    devices
}

impl Devices {
    fn device(&mut self, path: &Path, name: String, at: Nanos) -> Device {
        let number = self.known(file::parse(&path.join("dev"), parse::disk::device_number));
        let sequence = self.known(file::parse(&path.join("diskseq"), parse::unsigned));
        // Where the kernel keeps no account, the counters stand still, which is not idleness. A driver that has no queue has
        // no such switch either.
        let is_off = self.known(file::parse(&path.join("queue/iostats"), parse::unsigned)) == Some(0);
        let counts =
            if is_off { None } else { self.known(file::parse(&path.join("stat"), parse::disk::device_counts)) };
        Device { name, number, counts: counts.map(|counts| DeviceCounts { sequence, ..counts }), at }
    }

    /// A file that is absent is no loss: older kernels have fewer, and a device may be gone meanwhile.
    fn known<T>(&mut self, read: Result<T, FileError>) -> Option<T> {
        read.inspect_err(|error| match error {
            FileError::Malformed { .. } => self.malformed += 1,
            FileError::Read { .. } => self.unreadable += u64::from(!error.is_absent()),
        })
        .ok()
    }
}

/// Whether a disk of this number is there. One that cannot be looked for counts as there.
pub fn is_there(root: &Path, device: DeviceNumber) -> bool {
    let path = root.join(format!("sys/dev/block/{}:{}", device.major, device.minor));
    path.symlink_metadata().map_or_else(|error| error.kind() != std::io::ErrorKind::NotFound, |_| true)
}

/// Requests that all disks of now can have at once.
pub fn requests(root: &Path) -> u32 {
    let disks = fs::read_dir(root.join("sys/block")).into_iter().flatten().flatten();
    disks.fold(0, |sum: u32, disk| sum.saturating_add(requests_of(&disk.path())))
}

/// Requests of each queue times the queues that the driver has. A disk without is not asked by requests.
fn requests_of(disk: &Path) -> u32 {
    let queues = fs::read_dir(disk.join("mq")).map_or(0, |queues| queues.flatten().count());
    let each = fs::read_to_string(disk.join("queue/nr_requests")).ok().and_then(|text| text.trim().parse::<u32>().ok());
    each.unwrap_or(0).saturating_mul(u32::try_from(queues).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join("sys/block").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    }

    fn device(root: &Path, name: &str, number: &str) {
        write(root, &format!("{name}/dev"), number);
        write(root, &format!("{name}/stat"), "1 0 8 40 2 0 16 50 0 77 90\n");
    }

    fn found(root: &Path) -> Devices {
        read(root, || Nanos(5))
    }

    #[test]
    fn devices_have_names_numbers_and_counters() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(found(root.path()), Devices::default(), "no devices");
        device(root.path(), "sdb", "8:16\n");
        write(root.path(), "sdb/diskseq", "9\n");
        write(root.path(), "sdb/queue/iostats", "1\n");
        device(root.path(), "dm-0", "252:0\n");
        device(root.path(), "loop0", "7:0\n");
        write(root.path(), "loop0/queue/iostats", "0\n");
        let devices = found(root.path());
        let counts = Some(DeviceCounts { completed: 3, busy: 77, queued: 90, sequence: None });
        let of = |name: &str, major, minor, counts| Device {
            name: name.to_owned(),
            number: Some(DeviceNumber { major, minor }),
            counts,
            at: Nanos(5),
        };
        let sdb = counts.map(|counts| DeviceCounts { sequence: Some(9), ..counts });
        let expected = [of("dm-0", 252, 0, counts), of("loop0", 7, 0, None), of("sdb", 8, 16, sdb)];
        assert_eq!(devices, Devices { found: expected.into(), ..Devices::default() }, "iostats is off for one");
    }

    #[test]
    fn what_cannot_be_read_is_counted() {
        let root = tempfile::tempdir().expect("a directory");
        device(root.path(), "sda", "8:0\n");
        write(root.path(), "sda/stat", "garbage\n");
        // A directory cannot be read as a file.
        write(root.path(), "sdb/stat/x", "");
        let devices = found(root.path());
        assert_eq!((devices.malformed, devices.unreadable, devices.beyond), (1, 1, 0));
        assert!(devices.found.iter().all(|device| device.counts.is_none()));
    }

    #[test]
    fn there_is_a_most() {
        let root = tempfile::tempdir().expect("a directory");
        for number in 0..MOST + 3 {
            fs::create_dir_all(root.path().join(format!("sys/block/loop{number}"))).expect("a directory");
        }
        let devices = found(root.path());
        assert_eq!((devices.found.len(), devices.beyond), (MOST, 3));
    }

    #[test]
    fn requests_of_all_queues_add_up() {
        let root = tempfile::tempdir().unwrap();
        let disk = |name: &str, each: &str, queues: usize| {
            let disk = root.path().join("sys/block").join(name);
            fs::create_dir_all(disk.join("queue")).unwrap();
            fs::write(disk.join("queue/nr_requests"), each).unwrap();
            for queue in 0..queues {
                fs::create_dir_all(disk.join("mq").join(queue.to_string())).unwrap();
            }
        };
        assert_eq!(requests(root.path()), 0);
        disk("nvme0n1", "1023\n", 4);
        disk("sda", "64\n", 1);
        disk("dm-0", "128\n", 0);
        assert_eq!(requests(root.path()), 4 * 1023 + 64);
    }

    #[test]
    fn a_disk_is_there_or_not() {
        let root = tempfile::tempdir().unwrap();
        let disk = |minor| DeviceNumber { major: 7, minor };
        fs::create_dir_all(root.path().join("sys/dev/block/7:3")).unwrap();
        assert!(is_there(root.path(), disk(3)));
        assert!(!is_there(root.path(), disk(4)));
        fs::write(root.path().join("file"), "").unwrap();
        assert!(is_there(&root.path().join("file"), disk(4)), "it cannot be looked for");
    }
}
