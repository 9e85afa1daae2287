//! Events, out of their ring.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::samples::Event;

/// The reading end of the ring.
pub struct EventRing {
    ring: OwnedFd,
}

impl EventRing {
    /// Takes all that is waiting, oldest first.
    pub fn drain(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// Events that made no sense: 0 unless the object and the agent disagree.
    pub const fn malformed(&self) -> u64 {
        0
    }
}

impl AsFd for EventRing {
    /// Readable when the ring woke its reader.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
