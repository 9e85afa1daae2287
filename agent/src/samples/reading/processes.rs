//! Processes, as they are read.

use serde::{Deserialize, Serialize};
use wattrace_common::process::{ActorKey, EXIT_REASONS};

use crate::units::Nanos;

/// The processes of one owner since the kernel programs were attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActorReading {
    /// Whose.
    pub key: ActorKey,
    /// Their name, where the key is of a name.
    pub comm: [u8; 16],
    /// How many.
    pub totals: ProcessTotals,
    /// Events that it was not allowed to send, or that the ring had no room for.
    pub dropped_events: u64,
}

/// Sums of processes. They never fall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTotals {
    /// Processes that were made, by who made them.
    pub forks: u64,
    /// Programs that were started.
    pub execs: u64,
    /// Processes that ended, by [`wattrace_common::process::EXIT_REASONS`].
    pub exits: [u64; EXIT_REASONS.len()],
    /// Of them, those that lived shorter than a second.
    pub short_lived: u64,
    /// On-CPU time of threads that ended, all of their lives: a part of the owner's time, told again.
    pub exited_cpu: Nanos,
}
