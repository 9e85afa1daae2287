//! The control group file system: where it is, which cgroups there are, and how a lost id gets its path back.
//!
//! It reads and does not judge: whose a cgroup is, `identity` says.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::AsFd,
        unix::fs::{DirEntryExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use super::{
    file::{self, FileError},
    parse::{
        self,
        cgroup::{CgroupMount, Version, below},
    },
    sys::{self, HandleError},
};
use crate::{
    samples::disk::GroupFacts,
    units::{MicroCpus, Nanos},
};

pub mod usage;

/// A file that every directory of the unified hierarchy has, and no other file system.
const MARK_V2: &str = "cgroup.controllers";
/// A file that every directory of a v1 hierarchy has, and the unified one has not.
const MARK_V1: &str = "tasks";
/// A file that every directory of the unified hierarchy has, except its root.
const MARK_TYPE: &str = "cgroup.type";

/// Where distributions mount the unified hierarchy: alone, and beside v1 hierarchies.
const PLACES: [&str; 2] = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];
/// v1 hierarchies of which one exists wherever there are any.
const PLACES_V1: [&str; 4] =
    ["sys/fs/cgroup/cpu", "sys/fs/cgroup/memory", "sys/fs/cgroup/pids", "sys/fs/cgroup/systemd"];

/// How this host uses control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The unified hierarchy alone.
    Unified,
    /// v1 hierarchies, and the unified one beside them.
    Hybrid,
    /// v1 hierarchies alone.
    V1,
    /// Nothing is mounted.
    None,
}

impl Mode {
    /// The name messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unified => "unified",
            Self::Hybrid => "hybrid",
            Self::V1 => "v1",
            Self::None => "none",
        }
    }
}

/// There is no unified hierarchy to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CgroupfsError {
    /// Neither in the list of mounts nor where it usually is.
    #[error(
        "no cgroup2 file system is mounted below {}: mount one (mount -t cgroup2 none /sys/fs/cgroup/unified), or give the root at which the host's is visible",
        root.display()
    )]
    NotMounted {
        /// The root that was searched.
        root: PathBuf,
    },
}

/// Every cgroup that a walk came by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Cgroup id and path from the root of the hierarchy; a path that is no UTF-8 lossily.
    pub found: Vec<(u64, String)>,
    /// Directories that could not be read, so that what is below them is missing. One that was removed meanwhile is
    /// no error.
    pub errors: u64,
}

/// Where the unified hierarchy can be read below `root`, which is `/`, or where a container sees the host's.
///
/// A mount below `root` goes first, and of these one that shows the whole tree.
pub fn mount(root: &Path) -> Result<PathBuf, CgroupfsError> {
    let mut mounts: Vec<CgroupMount> = mounts(root).into_iter().filter(|mount| mount.version == Version::V2).collect();
    mounts.sort_by_key(|mount| (!mount.point.starts_with(root), !mount.is_whole()));
    let listed = mounts.into_iter().map(|mount| resolved(root, mount.point));
    let usual = PLACES.iter().map(|place| root.join(place));
    let found = listed.chain(usual).find(|place| place.join(MARK_V2).is_file());
    found.ok_or_else(|| CgroupfsError::NotMounted { root: root.to_owned() })
}

/// How the host below `root` uses control groups.
pub fn mode(root: &Path) -> Mode {
    let is_v1 = |place: &Path| place.join(MARK_V1).is_file();
    let listed = mounts(root).into_iter().filter(|mount| mount.version == Version::V1);
    let has_v1 = listed.map(|mount| resolved(root, mount.point)).any(|place| is_v1(&place))
        || PLACES_V1.iter().any(|place| is_v1(&root.join(place)));
    match (mount(root).is_ok(), has_v1) {
        (true, false) => Mode::Unified,
        (true, true) => Mode::Hybrid,
        (false, true) => Mode::V1,
        (false, false) => Mode::None,
    }
}

/// Empty where the list cannot be read: then the usual places decide.
fn mounts(root: &Path) -> Vec<CgroupMount> {
    fs::read(root.join("proc/self/mountinfo")).map(|bytes| parse::cgroup::cgroup_mounts(&bytes)).unwrap_or_default()
}

/// The list is that of our own mount namespace, even when read through the host's `/proc`: a place below `root` is
/// meant as it stands.
fn resolved(root: &Path, point: PathBuf) -> PathBuf {
    if point.starts_with(root) { point } else { below(root, &point) }
}

/// All cgroups of the hierarchy mounted at `mount`, its root included, parents before their children.
pub fn walk(mount: &Path) -> Walk {
    let mut walk = Walk::default();
    match fs::metadata(mount) {
        Ok(root) => walk.found.push((root.ino(), "/".to_owned())),
        Err(_) => walk.errors += 1,
    }
    let mut waiting = vec![mount.to_owned()];
    while let Some(directory) = waiting.pop() {
        if let Err(error) = children(mount, &directory, &mut walk, &mut waiting) {
            walk.errors += u64::from(!is_gone(&error));
        }
    }
    walk
}

fn children(mount: &Path, directory: &Path, walk: &mut Walk, waiting: &mut Vec<PathBuf>) -> io::Result<()> {
    for (id, path) in subdirectories(directory)? {
        walk.found.push((id, cgroup_path(mount, &path)));
        waiting.push(path);
    }
    Ok(())
}

/// Ids and places of the cgroups right below.
fn subdirectories(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push((entry.ino(), entry.path()));
        }
    }
    Ok(found)
}

/// ENODEV is what reading a directory gives whose cgroup was removed while it was open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

/// The path from the root of the hierarchy of a directory below `mount`.
pub fn cgroup_path(mount: &Path, directory: &Path) -> String {
    let below = directory.strip_prefix(mount).unwrap_or(directory);
    format!("/{}", below.to_string_lossy())
}

/// The id of the cgroup whose directory this is; `None` when there is no such directory.
pub fn cgroup_id(directory: &Path) -> Option<u64> {
    fs::metadata(directory).ok().filter(fs::Metadata::is_dir).map(|found| found.ino())
}

/// The mounted hierarchy, held open to look ids up.
#[derive(Debug)]
pub struct Finder {
    mount: File,
}

impl Finder {
    /// Opens the hierarchy at `mount`.
    pub fn open(mount: &Path) -> Result<Self, FileError> {
        let mount = File::open(mount).map_err(|source| FileError::Read { path: mount.to_owned(), source })?;
        Ok(Self { mount })
    }

    /// The path of the cgroup `id` from the root of the hierarchy.
    pub fn find(&self, id: u64) -> Result<String, HandleError> {
        sys::open_by_handle_at(self.mount.as_fd(), id).map(|path| path.to_string_lossy().into_owned())
    }
}

/// CPU time of the cgroup at `directory` and all below it since it was made.
pub fn read_cpu_stat(directory: &Path) -> Result<Nanos, FileError> {
    file::parse(&directory.join("cpu.stat"), parse::cgroup::cpu_usage)
}

/// How many CPUs the cgroup at `directory` and all below it may use. `None`: as many as there are, which is also so for
/// the root and where the cpu controller is not enabled; these have no such file. A cgroup that is gone is an error.
pub fn read_cpu_max(directory: &Path) -> Result<Option<MicroCpus>, FileError> {
    match file::parse(&directory.join("cpu.max"), parse::cgroup::cpu_max) {
        Err(error) if error.is_absent() && directory.is_dir() => Ok(None),
        other => other,
    }
}

/// What decides for whom the cgroup at `directory` stands where requests name it.
pub fn io_facts(directory: &Path) -> Result<GroupFacts, FileError> {
    let has_children = file::parse(&directory.join("cgroup.stat"), parse::cgroup::has_descendants)?;
    let enables_io = file::parse(&directory.join("cgroup.subtree_control"), parse::cgroup::enables_io)?;
    Ok(GroupFacts { has_children, enables_io })
}

/// Whether the hierarchy at `mount` has the io controller at all; beside v1 hierarchies one of them may have it.
pub fn has_io_controller(mount: &Path) -> Result<bool, FileError> {
    file::parse(&mount.join(MARK_V2), parse::cgroup::enables_io)
}

/// Whether that is an error because there is no such cgroup, or none any more.
pub fn is_removed(error: &FileError) -> bool {
    matches!(error, FileError::Read { source, .. } if is_gone(source))
}

/// Whether the hierarchy at `mount` has the cpu controller; beside v1 hierarchies one of them may have it.
pub fn has_cpu_controller(mount: &Path) -> Result<bool, FileError> {
    file::parse(&mount.join(MARK_V2), parse::cgroup::has_cpu_controller)
}

#[cfg(test)]
mod tests;
