//! Events, as they are read: one by one, and only where they are asked for.

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

impl Event {
    /// Bytes of memory it takes, roughly.
    pub fn size(&self) -> usize {
        let more = match self {
            Self::Exec(exec) => exec.file.len().saturating_add(exec.args.len()),
            Self::Exit(_) | Self::Closed(_) => 0,
        };
        size_of::<Self>().saturating_add(more)
    }
}
