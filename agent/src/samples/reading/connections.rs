//! Connections, as they are read.

use serde::{Deserialize, Serialize};
use wattrace_common::{
    owner::OwnerKey,
    tcp::{FAILURES, FAMILIES, PHASES, ROLES},
};

use super::Durations;

/// Connections since the kernel program was attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpReading {
    /// By owner. What [`Self::open`] tells is not in it.
    pub work: Vec<TcpWorkReading>,
    /// Connections of the agent's own network namespace that are open, read after [`Self::work`]: one that ended in between
    /// is missing in both. `None`: that could not be read.
    pub open: Option<Vec<OpenConnection>>,
}

/// The connections of one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpWorkReading {
    /// Whose.
    pub owner: OwnerKey,
    /// How many and how much.
    pub totals: TcpTotals,
    /// How long; `None`: there was no room for this owner's.
    pub durations: Option<TcpDurations>,
    /// Events that it was not allowed to send, or that the ring had no room for.
    pub dropped_events: u64,
}

/// Sums of connections. They never fall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpTotals {
    /// By [`wattrace_common::tcp::ROLES`].
    pub roles: [RoleTotals; ROLES.len()],
    /// Ended, and older than the programs: the role is not known.
    pub unobserved: u64,
    /// Payload bytes sent, each once.
    pub sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Segments that were sent again.
    pub retransmits: u64,
}

/// Those of one role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleTotals {
    /// Established, by [`wattrace_common::tcp::FAMILIES`].
    pub established: [u64; FAMILIES.len()],
    /// Of them, those that ended.
    pub closed: u64,
    /// Established, and how long the handshake took is not known.
    pub unmeasured: u64,
    /// Given up by this side before they were established.
    pub aborted: u64,
    /// Ended by an error, by [`wattrace_common::tcp::PHASES`] and [`wattrace_common::tcp::FAILURES`].
    pub failures: [[u64; FAILURES.len()]; PHASES.len()],
}

impl RoleTotals {
    /// Established, over whatever carries them.
    pub fn established(&self) -> u64 {
        self.established.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Ended by an error, whichever and whenever.
    pub fn failed(&self) -> u64 {
        self.failures.iter().flatten().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Histograms of connections, as in [`wattrace_common::tcp`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpDurations {
    /// From being established to the end, by [`wattrace_common::tcp::ROLES`].
    pub lifespans: [Durations; ROLES.len()],
    /// Handshakes, likewise.
    pub handshakes: [Durations; ROLES.len()],
    /// Smoothed round trips at the end.
    pub rtts: Durations,
}

/// A connection that is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenConnection {
    /// The kernel's number of the socket, never given again in the same boot.
    pub cookie: u64,
    /// Whose.
    pub owner: OwnerKey,
    /// Whether it was open before the kernel program was attached.
    pub is_older: bool,
    /// Whether its port is one that a socket listened on when it was first seen: then it is taken to be a server's.
    pub is_server: bool,
    /// Payload bytes sent, each once.
    pub sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Segments that were sent again.
    pub retransmits: u64,
}
