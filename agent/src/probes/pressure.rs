//! Pressure stall information (PSI): of the machine, and of a cgroup. Kernels that are built without it
//! (`CONFIG_PSI`), or start with `psi=0`, have no such files.

use std::{io, path::Path};

use super::{
    cgroupfs,
    file::{self, FileError},
    parse::{self, cgroup::below},
};
use crate::samples::pressure::{Resource, Stalled};

/// The totals of the machine; `None`: the kernel does not count this.
pub fn node(root: &Path, resource: Resource) -> Result<Option<Stalled>, FileError> {
    let path = root.join("proc/pressure").join(resource.name());
    let found = there(file::parse(&path, parse::pressure::totals))?;
    // Somebody runs on a machine whose CPUs are waited for: the kernel writes zeros there, for old readers' sake.
    Ok(found.map(|found| if resource == Resource::Cpu { Stalled { full: None, ..found } } else { found }))
}

/// What tasks of a cgroup and of those below it waited for a CPU; `None`: it is gone, or the kernel does not count this.
pub fn cgroup_cpu(mount: &Path, path: &str) -> Result<Option<Stalled>, FileError> {
    there(file::parse(&below(mount, Path::new(path)).join("cpu.pressure"), parse::pressure::totals))
}

fn there(found: Result<Stalled, FileError>) -> Result<Option<Stalled>, FileError> {
    match found {
        Ok(stalled) => Ok(Some(stalled)),
        Err(error) if cgroupfs::is_removed(&error) || is_off(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file is there, and counting is switched off.
fn is_off(error: &FileError) -> bool {
    matches!(error, FileError::Read { source, .. } if source.kind() == io::ErrorKind::Unsupported)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::units::Nanos;

    const TEXT: &str =
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n";

    #[test]
    fn the_machines_files_are_read() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(node(root.path(), Resource::Io).expect("no error"), None, "no PSI");
        let folder = root.path().join("proc/pressure");
        fs::create_dir_all(&folder).expect("a directory");
        for resource in Resource::ALL {
            fs::write(folder.join(resource.name()), TEXT).expect("a file");
        }
        let both = Stalled { some: Nanos(5_000), full: Some(Nanos(3_000)) };
        assert_eq!(node(root.path(), Resource::Io).expect("totals"), Some(both));
        assert_eq!(node(root.path(), Resource::Cpu).expect("totals"), Some(Stalled { full: None, ..both }));
        fs::write(folder.join("memory"), "garbage\n").expect("a file");
        let error = node(root.path(), Resource::Memory).expect_err("garbage").to_string();
        assert!(error.contains("proc/pressure/memory"), "{error}");
    }

    #[test]
    fn a_cgroups_file_is_read() {
        let mount = tempfile::tempdir().expect("a directory");
        assert_eq!(cgroup_cpu(mount.path(), "/a.slice/b.service").expect("no error"), None, "it is gone");
        let folder = mount.path().join("a.slice/b.service");
        fs::create_dir_all(&folder).expect("a directory");
        assert_eq!(cgroup_cpu(mount.path(), "/a.slice/b.service").expect("no error"), None, "no PSI");
        fs::write(folder.join("cpu.pressure"), TEXT).expect("a file");
        let both = Stalled { some: Nanos(5_000), full: Some(Nanos(3_000)) };
        assert_eq!(cgroup_cpu(mount.path(), "/a.slice/b.service").expect("totals"), Some(both));
    }
}
