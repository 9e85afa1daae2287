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

impl CgroupEvent {
    /// Takes an event apart: id, instant, change and as much of the path as travelled.
    ///
    /// `None`: shorter than its header, or a path length that does not fit; the ring's content is not ours.
    pub fn parse(bytes: &[u8]) -> Option<ParsedCgroupEvent<'_>> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        let (change, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let len = usize::try_from(u32::from_ne_bytes(*len)).ok().filter(|len| *len < CGROUP_PATH_MAX)?;
        Some(ParsedCgroupEvent {
            id: u64::from_ne_bytes(*id),
            at: u64::from_ne_bytes(*at),
            change: u32::from_ne_bytes(*change),
            path: rest.get(..len)?,
        })
    }
}

/// What [`CgroupEvent::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedCgroupEvent<'a> {
    /// Cgroup id.
    pub id: u64,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub at: u64,
    /// [`crate::cgroup::Change`] as a number.
    pub change: u32,
    /// Path from the root of the hierarchy; empty when it could not be read.
    pub path: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_event_is_refused() {
        let mut bytes = [0u8; 32];
        bytes[0] = 7;
        bytes[16] = 1;
        bytes[20] = 8;
        bytes[24..32].copy_from_slice(b"/a/b/c/d");
        let event = CgroupEvent::parse(&bytes).unwrap();
        assert_eq!((event.id, event.change, event.path), (7, 1, b"/a/b/c/d".as_slice()));
        assert_eq!(CgroupEvent::parse(&bytes[..31]), None);
        assert_eq!(CgroupEvent::parse(&bytes[..10]), None);
        bytes[21] = 0xff;
        assert_eq!(CgroupEvent::parse(&bytes), None);
    }
}
