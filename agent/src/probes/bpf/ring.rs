//! Events, out of their ring.

use wattrace_common::events::{ClosedEvent, ExitEvent, Head, Who};

/// An event, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A program was started.
    Exec(Exec),
    /// A process ended.
    Exit(ExitEvent),
    /// A connection ended that had been established.
    Closed(ClosedEvent),
}

/// A program was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// What and when.
    pub head: Head,
    /// By which process.
    pub who: Who,
    /// The path as it was asked for, cut at [`wattrace_common::events::FILE_MAX`].
    pub file: Vec<u8>,
    /// Its arguments as far as they travelled, a NUL after each; empty where they do not.
    pub args: Vec<u8>,
    /// Whether there were more.
    pub is_cut: bool,
}

/// The reading end of the ring.
pub struct EventRing {}

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
