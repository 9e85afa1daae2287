//! TCP connections: roles, families, how they fail, and the rows in which the kernel programs count them.
//!
//! Sums have 64 bits; buckets have 32 bits that wrap and whose differences a reader adds up. All CPUs share the rows.

use crate::{
    events::Limiter,
    threads::{OFF_BUCKETS, OFF_SCALE, WAIT_BUCKETS, WAIT_SCALE},
};

/// Which side opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Role {
    /// This one: it called `connect`.
    Client = 0,
    /// The other: it came from a socket that listens.
    Server = 1,
}

/// Both, in the order of their figures.
pub const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// In events, of a connection whose start was not seen.
pub const NO_ROLE: u32 = 2;

impl Role {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// What carries a connection: an IPv6 socket that talks to a mapped address talks IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Family {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

/// Both, in the order of their figures.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    /// `network.type` of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// When a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Phase {
    /// Before it was established.
    Handshake = 0,
    /// After.
    Established = 1,
}

/// Both, in the order of their figures.
pub const PHASES: [Phase; 2] = [Phase::Handshake, Phase::Established];

impl Phase {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Established => "established",
        }
    }
}

/// How a connection failed: the class of `sk_err` when it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Failure {
    /// Nobody listens there.
    Refused = 0,
    /// The other side broke it off.
    Reset = 1,
    /// No answer in time.
    TimedOut = 2,
    /// No way there.
    Unreachable = 3,
    /// Any other.
    Other = 4,
}

/// All failures, in the order of their figures.
pub const FAILURES: [Failure; 5] =
    [Failure::Refused, Failure::Reset, Failure::TimedOut, Failure::Unreachable, Failure::Other];

impl Failure {
    /// `error.type` of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Other => "other",
        }
    }

    /// Of an errno that is not 0.
    #[inline]
    pub const fn of_errno(errno: u32) -> Self {
        match errno {
            // ECONNREFUSED
            111 => Self::Refused,
            // EPIPE, ECONNABORTED, ECONNRESET
            32 | 103 | 104 => Self::Reset,
            // ETIMEDOUT
            110 => Self::TimedOut,
            // ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH
            100 | 101 | 112 | 113 => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

/// Scale of the histogram of lifespans, which has [`LIFESPAN_BUCKETS`] as in [`crate::threads`].
pub const LIFESPAN_SCALE: i32 = OFF_SCALE;
/// Buckets of it.
pub const LIFESPAN_BUCKETS: usize = OFF_BUCKETS;
/// Scale of the histograms of handshakes and of round trips.
pub const TRIP_SCALE: i32 = WAIT_SCALE;
/// Buckets of each.
pub const TRIP_BUCKETS: usize = WAIT_BUCKETS;

/// Connections of one role. 192 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RoleSums {
    /// Established, by [`Family`].
    pub established: [u64; FAMILIES.len()],
    /// Of them, those that ended. What of [`Self::established`] is not among them is open.
    pub closed: u64,
    /// Nanoseconds from being established to the end.
    pub lifespan: u64,
    /// Nanoseconds of handshakes that were measured.
    pub handshake: u64,
    /// Established, and how long the handshake took is not known.
    pub unmeasured: u64,
    /// Given up by this side before they were established.
    pub aborted: u64,
    /// Zero.
    pub reserved: u64,
    /// Ended by an error, by [`Phase`] and [`Failure`].
    pub failures: [[u64; FAILURES.len()]; PHASES.len()],
    /// Zero.
    pub more_reserved: [u64; 6],
}

/// Connections of one owner. 448 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct TcpSums {
    /// By [`Role`].
    pub roles: [RoleSums; ROLES.len()],
    /// Payload bytes sent by connections that ended, each once.
    pub sent: u64,
    /// Payload bytes received by them.
    pub received: u64,
    /// Segments that were sent again.
    pub retransmits: u64,
    /// Nanoseconds of smoothed round trips at the end.
    pub rtt: u64,
    /// Ended, and older than the programs: the role is not known, and none of [`Self::roles`] has them. Their bytes
    /// count where their network namespace is the agent's own, which told at the start how many there had been.
    pub unobserved: u64,
    /// [`crate::owner::OwnerKey`]; 0 = the row is free.
    pub owner: u64,
    /// Zero.
    pub reserved: [u64; 2],
}

/// Connections of one owner, and how long they took. 2,496 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct TcpRow {
    /// How many and how much.
    pub sums: TcpSums,
    /// Of its events.
    pub limiter: Limiter,
    /// Lifespans, by [`Role`].
    pub lifespans: [[u32; LIFESPAN_BUCKETS]; ROLES.len()],
    /// Handshakes, by [`Role`].
    pub handshakes: [[u32; TRIP_BUCKETS]; ROLES.len()],
    /// Smoothed round trips at the end.
    pub rtts: [u32; TRIP_BUCKETS],
    /// Zero.
    pub reserved: [u32; 9],
}

/// A connection that is open, or on its way to be. 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Birth {
    /// Since when this side asks for it, nanoseconds of the monotonic clock; 0: it did not, or was not seen doing so.
    pub asked: u64,
    /// When it was established; 0: it is not yet.
    pub established: u64,
    /// Nanoseconds of the handshake; [`UNKNOWN`].
    pub handshake: u64,
    /// [`Role`].
    pub role: u32,
    /// Zero.
    pub reserved: u32,
}

impl Birth {
    /// Of a connection whose start was not seen.
    pub const UNSEEN: Self = Self { asked: 0, established: 0, handshake: UNKNOWN, role: NO_ROLE, reserved: 0 };
}

/// A duration that is not known.
pub const UNKNOWN: u64 = u64::MAX;

const _: () = assert!(size_of::<RoleSums>() == 192);
const _: () = assert!(size_of::<TcpSums>() == 448);
const _: () = assert!(size_of::<TcpRow>() == 2496);
const _: () = assert!(size_of::<Birth>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_the_order_of_their_numbers() {
        assert!(ROLES.iter().enumerate().all(|(at, role)| at == *role as usize));
        assert!(FAMILIES.iter().enumerate().all(|(at, family)| at == *family as usize));
        assert!(PHASES.iter().enumerate().all(|(at, phase)| at == *phase as usize));
        assert!(FAILURES.iter().enumerate().all(|(at, failure)| at == *failure as usize));
    }

    #[test]
    fn errors_have_their_class() {
        assert_eq!([111, 104, 110, 113, 22].map(Failure::of_errno), FAILURES);
    }
}
