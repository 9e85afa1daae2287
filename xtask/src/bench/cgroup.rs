//! Cgroups of a load: where they are, and that they go away.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

/// A cgroup that is removed when dropped. One left behind by a run that was interrupted is taken over.
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// One below the root.
    pub(super) fn new(name: &str) -> Result<Self> {
        Self::at(mount()?.join(name))
    }

    fn at(path: PathBuf) -> Result<Self> {
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// One inside, which must be dropped first.
    pub(super) fn child(&self, name: &str) -> Result<Self> {
        Self::at(self.0.join(name))
    }

    /// CPU time of all that was in it, and of what ended there.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let path = self.0.join("cpu.stat");
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        usage(&stat).with_context(|| format!("{} has no usage_usec", path.display()))
    }

    /// Its folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Nothing depends on it: the next run takes it over.
        fs::remove_dir(&self.0).ok();
    }
}

fn usage(stat: &str) -> Option<Duration> {
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    micros.parse().ok().map(Duration::from_micros)
}

/// Where the unified hierarchy is mounted.
pub(super) fn mount() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    mount_of(&mounts).map(Path::to_path_buf).context("there is no cgroup2 mount")
}

/// The first mount of the unified hierarchy.
fn mount_of(mounts: &str) -> Option<&Path> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| Path::new(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_among_the_others() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_of(mounts), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(mount_of("tmpfs /cgroup2 tmpfs rw 0 0"), None);
    }

    #[test]
    fn cpu_time_is_that_of_user_and_system() {
        let stat = "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n";
        assert_eq!(usage(stat), Some(Duration::from_micros(1_500)));
        assert_eq!(usage("user_usec 1\n"), None);
    }
}
