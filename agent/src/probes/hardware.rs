//! What the machine is made of, for its embodied carbon: sockets, memory, disks. GPUs are not looked for.

use std::{fs, io, path::Path};

use super::{
    file::{self, FileError},
    parse, topology,
};
use crate::samples::machine::Hardware;

/// Names of block devices that are no disk of their own: made from others, from memory, or from the network.
const NO_DISK: [&str; 11] = ["loop", "ram", "zram", "dm-", "md", "nbd", "rbd", "drbd", "sr", "fd", "mtdblock"];

/// Reads what the machine has below `root`.
pub fn read(root: &Path) -> Result<Hardware, FileError> {
    let cpu = file::parse(&root.join("proc/cpuinfo"), parse::cpuinfo)?;
    let memory = file::parse(&root.join("proc/meminfo"), parse::memory_total)?;
    let (hdds, ssds): (Vec<_>, Vec<_>) = disks(&root.join("sys/block"))?.into_iter().partition(|disk| disk.rotates);
    let count = |disks: Vec<Disk>| u32::try_from(disks.len()).unwrap_or(u32::MAX);
    Ok(Hardware {
        sockets: topology::read(root)?.sockets(),
        memory,
        ssds: count(ssds),
        hdds: count(hdds),
        hypervisor: cpu.hypervisor,
    })
}

struct Disk {
    rotates: bool,
}

/// The disks in `<root>/sys/block`. A kernel without block devices has no such directory, and no disks.
fn disks(block: &Path) -> Result<Vec<Disk>, FileError> {
    let error = |source| FileError::Read { path: block.to_owned(), source };
    let entries = match fs::read_dir(block) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(error)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(error)?;
    paths.iter().filter(|path| is_disk(path)).map(|path| disk(path)).collect()
}

/// Whether a block device is a disk in this machine: a driver's device stands behind it, it holds something,
/// and it is neither removable nor the hidden path of a multipath disk.
fn is_disk(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_one = |file: &str| file::parse(&path.join(file), parse::unsigned).is_ok_and(|value| value == 1);
    let is_empty = file::parse(&path.join("size"), parse::unsigned).is_ok_and(|sectors| sectors == 0);
    // eMMC shows its boot partitions as disks of their own.
    let is_boot = name.starts_with("mmcblk") && name.contains("boot");
    let is_made = is_boot || NO_DISK.iter().any(|prefix| name.starts_with(prefix));
    !is_made && !is_empty && !is_one("removable") && !is_one("hidden") && path.join("device").exists()
}

fn disk(path: &Path) -> Result<Disk, FileError> {
    let rotates = file::parse(&path.join("queue/rotational"), parse::unsigned)? != 0;
    Ok(Disk { rotates })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    }

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        write(
            root.path(),
            "proc/cpuinfo",
            "vendor_id : GenuineIntel\ncpu family : 6\nmodel : 85\nstepping : 4\nflags : fpu\n",
        );
        write(root.path(), "proc/meminfo", "MemTotal: 1048576 kB\n");
        write(root.path(), "sys/devices/system/cpu/possible", "0-1\n");
        write(root.path(), "sys/devices/system/cpu/online", "0-1\n");
        for cpu in 0..2 {
            let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
            write(root.path(), &path, &format!("{cpu}\n"));
        }
        root
    }

    fn block(root: &Path, name: &str, rotational: &str, flag: Option<&str>) {
        let base = format!("sys/block/{name}");
        write(root, &format!("{base}/queue/rotational"), rotational);
        write(root, &format!("{base}/size"), "1000\n");
        write(root, &format!("{base}/device/model"), "a disk\n");
        if let Some(flag) = flag {
            write(root, &format!("{base}/{flag}"), "1\n");
        }
    }

    #[test]
    fn only_disks_are_counted() {
        let root = machine();
        for (name, rotational, flag) in [
            ("sda", "1\n", None),
            ("sdb", "0\n", None),
            ("nvme0n1", "0\n", None),
            ("nvme0c0n1", "0\n", Some("hidden")),
            ("sdc", "0\n", Some("removable")),
            ("sr0", "1\n", None),
            ("dm-0", "0\n", None),
            ("md127", "0\n", None),
            ("loop0", "0\n", None),
            ("zram0", "0\n", None),
            ("mmcblk0boot0", "0\n", None),
        ] {
            block(root.path(), name, rotational, flag);
        }
        write(root.path(), "sys/block/virtual0/size", "1000\n");
        block(root.path(), "sdd", "1\n", None);
        write(root.path(), "sys/block/sdd/size", "0\n");
        let expected = Hardware { sockets: 2, memory: Bytes(1 << 30), ssds: 2, hdds: 1, hypervisor: Some(false) };
        assert_eq!(read(root.path()).expect("hardware"), expected);
    }

    #[test]
    fn no_block_devices_are_no_disks_and_a_silent_disk_is_an_error() {
        let root = machine();
        let none = read(root.path()).expect("hardware");
        assert_eq!((none.ssds, none.hdds), (0, 0));
        write(root.path(), "sys/block/sda/device/model", "a disk\n");
        let silent = read(root.path()).expect_err("does it rotate?").to_string();
        assert!(silent.contains("sda/queue/rotational"), "{silent}");
    }
}
