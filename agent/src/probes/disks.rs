//! Whole disks in `/sys/block`: whether one is there, and how many requests all of them can have at once.

use std::{fs, path::Path};

use crate::samples::DeviceNumber;

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
