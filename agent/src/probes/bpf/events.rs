//! Births and deaths of cgroups, out of the ring.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};
use wattrace_common::cgroup::{CgroupEvent, Change};

use crate::units::Nanos;

/// A cgroup was made or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupChange {
    /// Cgroup id.
    pub id: u64,
    /// `CLOCK_MONOTONIC`.
    pub at: Nanos,
    /// What happened.
    pub kind: ChangeKind,
    /// Path from the root of the unified hierarchy; `None` when the kernel could not read it, or had to cut it.
    pub path: Option<String>,
}

/// What happened to a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was made.
    Born,
    /// It was removed.
    Died,
}

/// The reading end of the ring.
pub struct CgroupEvents {
    ring: RingBuf<MapData>,
    malformed: u64,
}

impl CgroupEvents {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring, malformed: 0 }
    }

    /// Takes all that is waiting, oldest first.
    pub fn drain(&mut self) -> Vec<CgroupChange> {
        let mut changes = Vec::new();
        while let Some(item) = self.ring.next() {
            match change(&item) {
                Some(change) => changes.push(change),
                None => self.malformed += 1,
            }
        }
        changes
    }

    /// Events that made no sense: 0 unless the object and the agent disagree.
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }
}

impl AsFd for CgroupEvents {
    /// Readable when the ring is not empty.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd: RawFd = self.ring.as_raw_fd();
        #[expect(unsafe_code, reason = "aya's ring offers only the raw descriptor")]
        // SAFETY: the descriptor belongs to `self.ring`, which the returned borrow keeps alive.
        unsafe {
            BorrowedFd::borrow_raw(fd)
        }
    }
}

fn change(bytes: &[u8]) -> Option<CgroupChange> {
    let event = CgroupEvent::parse(bytes)?;
    let kind = match event.change {
        born if born == Change::Born as u32 => ChangeKind::Born,
        died if died == Change::Died as u32 => ChangeKind::Died,
        _ => return None,
    };
    let whole = !event.path.is_empty() && event.path.len() < wattrace_common::limits::CGROUP_PATH_MAX - 1;
    let path = whole.then(|| String::from_utf8_lossy(event.path).into_owned());
    Some(CgroupChange { id: event.id, at: Nanos(event.at), kind, path })
}
