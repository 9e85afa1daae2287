//! CPU time of all cgroups at once: a walk that reads each one's `cpu.stat` on the way down.

use std::path::{Path, PathBuf};

use super::{
    super::{file, parse},
    MARK_TYPE, cgroup_id, is_gone, read_cpu_stat, subdirectories,
};
use crate::{probes::FileError, samples::files::GroupReading, units::Nanos};

/// Everything that one walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usages {
    /// All cgroups, each before those below it, with its directory. Without those that were removed meanwhile.
    pub groups: Vec<(GroupReading, PathBuf)>,
    /// Totals and directories that could not be read.
    pub errors: u64,
}

/// Reads the hierarchy mounted at `mount`. A whole hierarchy's top has no total here: see [`GroupReading::usage`].
///
/// Cgroups of threads right below the root are left out: their processes are in the root, and counted there as a whole.
pub fn read(mount: &Path) -> Usages {
    let mut usages = Usages::default();
    let Some(top) = cgroup_id(mount) else {
        usages.errors += 1;
        return usages;
    };
    let is_root = is_root(mount);
    let mut waiting = vec![(mount.to_owned(), top, 0)];
    while let Some((directory, id, parent)) = waiting.pop() {
        let is_top = id == top;
        if is_root && parent == top && is_threaded(&directory) {
            continue;
        }
        let usage = if is_top && is_root { Ok(None) } else { usages.total(&directory) };
        let Ok(usage) = usage else { continue };
        let below = subdirectories(&directory);
        let is_listed = below.is_ok();
        match below {
            Ok(below) => waiting.extend(below.into_iter().map(|(child, path)| (path, child, id))),
            Err(error) if is_gone(&error) && !is_top => continue,
            Err(_) => usages.errors += 1,
        }
        usages.groups.push((GroupReading { id, parent, usage, is_listed, has_tasks: false }, directory));
    }
    usages
}

/// The cgroup was removed.
struct Gone;

impl Usages {
    /// `None`: it cannot be read.
    fn total(&mut self, directory: &Path) -> Result<Option<Nanos>, Gone> {
        match read_cpu_stat(directory) {
            Ok(usage) => Ok(Some(usage)),
            Err(FileError::Read { source, .. }) if is_gone(&source) && !directory.is_dir() => Err(Gone),
            Err(_) => {
                self.errors += 1;
                Ok(None)
            }
        }
    }
}

/// Whether the top of this mount is that of its hierarchy: only cgroups below it have a type.
pub fn is_root(mount: &Path) -> bool {
    !mount.join(MARK_TYPE).exists()
}

fn is_threaded(directory: &Path) -> bool {
    std::fs::read(directory.join(MARK_TYPE)).is_ok_and(|kind| kind.trim_ascii() == b"threaded")
}

/// Pids of the processes of the cgroup at `directory`, without those below it.
pub fn processes(directory: &Path) -> Result<Vec<u32>, FileError> {
    file::parse(&directory.join("cgroup.procs"), parse::process::pids)
}

#[cfg(test)]
mod tests;
