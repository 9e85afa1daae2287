//! Which host this is: the `host.id` in the key of every workload.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the id is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostIdSource {
    /// `/etc/machine-id`: stays over reboots.
    MachineId,
    /// The kernel's boot id: another at every boot, so that series begin anew then.
    BootId,
}

impl HostIdSource {
    /// The name messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MachineId => "machine-id",
            Self::BootId => "boot_id",
        }
    }
}

/// The id of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostId {
    /// 32 hexadecimal digits, or a UUID for a boot id.
    pub id: String,
    /// Where it is from.
    pub source: HostIdSource,
}

/// Neither file holds an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "neither etc/machine-id nor proc/sys/kernel/random/boot_id below {} holds an id: make the host's visible there, or run systemd-machine-id-setup",
    root.display()
)]
pub struct HostIdError {
    /// The root that was searched.
    pub root: PathBuf,
}

/// The id of the host whose files are below `root`.
pub fn host_id(root: &Path) -> Result<HostId, HostIdError> {
    let places =
        [("etc/machine-id", HostIdSource::MachineId), ("proc/sys/kernel/random/boot_id", HostIdSource::BootId)];
    let found = places.into_iter().find_map(|(place, source)| {
        let text = fs::read_to_string(root.join(place)).ok()?;
        let id = text.trim().to_ascii_lowercase();
        is_id(&id).then_some(HostId { id, source })
    });
    found.ok_or_else(|| HostIdError { root: root.to_owned() })
}

/// The host's id, or what stands for it where it has none: identities are then unique on this host only.
pub fn id_or_unknown(root: &Path) -> String {
    host_id(root).map_or_else(|_| "unknown-host".to_owned(), |host| host.id)
}

/// The id of the running boot; `None` where `/proc` does not say.
pub fn boot_id(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).ok()?;
    let id = text.trim().to_ascii_lowercase();
    is_id(&id).then_some(id)
}

/// `machine-id(5)`: 32 hexadecimal digits, not all zero; `uninitialized` before the first boot is over.
fn is_id(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    digits.clone().count() == 32
        && digits.clone().all(|byte| byte.is_ascii_hexdigit())
        && digits.clone().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "0123456789abcdef0123456789abcdef";
    const BOOT: &str = "cb2a8fb1-93c0-4ee3-a9f1-01e21ee2eb6e";

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        root
    }

    #[test]
    fn the_machine_id_goes_first() {
        let boot = ("proc/sys/kernel/random/boot_id", BOOT);
        let both = root(&[("etc/machine-id", &format!("{MACHINE}\n")), boot]);
        let expected = HostId { id: MACHINE.to_owned(), source: HostIdSource::MachineId };
        assert_eq!(host_id(both.path()), Ok(expected));
        for unset in ["", "uninitialized\n", "00000000000000000000000000000000\n", "0123"] {
            let expected = HostId { id: BOOT.to_owned(), source: HostIdSource::BootId };
            assert_eq!(host_id(root(&[("etc/machine-id", unset), boot]).path()), Ok(expected));
        }
    }

    #[test]
    fn without_any_it_says_where_it_looked() {
        let error = host_id(root(&[]).path()).expect_err("no id");
        assert!(error.to_string().contains("etc/machine-id"));
    }
}
