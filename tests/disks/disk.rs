//! The disks of the machine: found, mounted, and read and written by processes of a cgroup.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A block device.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Of `/sys/block`: `vda`.
    pub name: String,
}

/// A file system; unmounted when dropped.
pub struct Mounted {
    pub disk: Disk,
    pub at: PathBuf,
}

impl Disk {
    /// The virtual disk with this serial number; `None`: the machine has none, and the test is reported as skipped.
    pub fn with_serial(serial: &str) -> Option<Self> {
        let has_serial =
            |name: &String| fs::read_to_string(format!("/sys/block/{name}/serial")).is_ok_and(|it| it.trim() == serial);
        let found = all().into_iter().find(has_serial).map(|name| Self { name });
        if found.is_none() {
            println!("SKIPPED: the machine has no disk with {serial}: run `cargo xtask vm disks`");
        }
        found
    }

    /// Below `/dev`.
    pub fn path(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Mounts what is on it.
    pub fn mount(&self, kind: &str) -> Mounted {
        let at = PathBuf::from("/run").join(format!("disk-{}", self.name));
        fs::create_dir_all(&at).unwrap();
        run(Command::new("mount").args(["-t", kind]).arg(self.path()).arg(&at));
        Mounted { disk: self.clone(), at }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.at).status());
    }
}

/// Names of all disks.
pub fn all() -> Vec<String> {
    let names = fs::read_dir("/sys/block").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// A program of somebody else's that must succeed.
pub fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[test]
fn every_file_system_can_be_mounted() {
    for kind in ["ext4", "xfs", "btrfs"] {
        let Some(disk) = Disk::with_serial(kind) else { continue };
        let mounted = disk.mount(kind);
        fs::write(mounted.at.join("file"), "x").unwrap();
    }
    println!("{:?}", all());
}
