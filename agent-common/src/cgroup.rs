//! Births and deaths of cgroups, as they travel through the ring.

use crate::limits::CGROUP_PATH_MAX;

/// What happened to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Change {
    /// It was made.
    Born = 1,
    /// It was removed.
    Died = 2,
}

/// One event. Only `path_len` bytes of `path` travel.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CgroupEvent {
    /// Cgroup id (kernfs id = directory inode in the unified hierarchy).
    pub id: u64,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub at: u64,
    /// [`Change`]
    pub change: u32,
    /// Bytes used in `path`, without the NUL.
    pub path_len: u32,
    /// Path from the root of the hierarchy.
    pub path: [u8; CGROUP_PATH_MAX],
}

/// Bytes before `path`.
pub const HEADER: usize = core::mem::offset_of!(CgroupEvent, path);
