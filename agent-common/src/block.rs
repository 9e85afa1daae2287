//! Block I/O: what a request is, whose it is, how it failed, and in which order figures of it stand.

/// What a request does. Zone operations and those of drivers alone are no direction: see [`OTHER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Direction {
    /// Brings data in.
    Read = 0,
    /// Takes data out; also zeroes, and what is written to a zone at its end.
    Write = 1,
    /// Empties a device's cache. It has no data and no time: the kernel stamps none.
    Flush = 2,
    /// Gives room back, securely or not.
    Discard = 3,
}

/// All directions, in the order of their figures.
pub const DIRECTIONS: [Direction; 4] = [Direction::Read, Direction::Write, Direction::Flush, Direction::Discard];

/// Place of requests that have no direction (passed through to the driver, zone management), after those of [`DIRECTIONS`].
pub const OTHER: usize = DIRECTIONS.len();

/// Places of figures by direction, [`OTHER`] included.
pub const PLACES: usize = OTHER + 1;

impl Direction {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
        }
    }

    /// Whether its duration is known.
    pub const fn is_timed(self) -> bool {
        !matches!(self, Self::Flush)
    }
}

/// How a request failed, whether the kernel says it as an errno or as a `blk_status_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Failure {
    /// The device: no better reason is known.
    Io = 0,
    /// No answer in time.
    TimedOut = 1,
    /// The medium.
    Medium = 2,
    /// The way to the device.
    Transport = 3,
    /// The device refused it: target, reservation, protection.
    Target = 4,
    /// No room on it.
    NoSpace = 5,
    /// It cannot do that.
    NotSupported = 6,
    /// Memory or room in a queue.
    Resource = 7,
    /// The device is gone or off.
    Offline = 8,
    /// Any other.
    Other = 9,
}

/// All failures, in the order of their figures.
pub const FAILURES: [Failure; 10] = [
    Failure::Io,
    Failure::TimedOut,
    Failure::Medium,
    Failure::Transport,
    Failure::Target,
    Failure::NoSpace,
    Failure::NotSupported,
    Failure::Resource,
    Failure::Offline,
    Failure::Other,
];

impl Failure {
    /// `error.type` of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::TimedOut => "timed_out",
            Self::Medium => "medium",
            Self::Transport => "transport",
            Self::Target => "target",
            Self::NoSpace => "no_space",
            Self::NotSupported => "not_supported",
            Self::Resource => "resource",
            Self::Offline => "offline",
            Self::Other => "other",
        }
    }
}

/// Whose a request is, packed in 64 bits: the id of a cgroup of the unified hierarchy, or one of the two below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct OwnerKey(pub u64);

impl OwnerKey {
    /// The request names no cgroup: it has no data of its own, or the kernel keeps no such account.
    pub const NOBODY: Self = Self(1 << 63);
    /// The cgroup is of a version 1 hierarchy, whose ids mean something else.
    pub const V1: Self = Self(1 << 63 | 1);

    /// The key of a cgroup id, or [`OwnerKey::NOBODY`] for an id no kernel gives.
    pub const fn cgroup(id: u64) -> Self {
        if id == 0 || id >> 63 == 1 { Self::NOBODY } else { Self(id) }
    }

    /// Whose it is.
    pub const fn decode(self) -> Owner {
        match self {
            Self::NOBODY => Owner::Nobody,
            Self::V1 => Owner::V1,
            Self(id) => Owner::Cgroup(id),
        }
    }
}

/// [`OwnerKey`], taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Nobody is named.
    Nobody,
    /// A cgroup of a version 1 hierarchy.
    V1,
    /// A cgroup of the unified hierarchy, the root included.
    Cgroup(u64),
}

/// Scale of a workload's histograms: [`crate::threads::WAIT_BUCKETS`] buckets.
pub const WORK_SCALE: i32 = crate::threads::WAIT_SCALE;
/// Scale of a device's histograms.
pub const DEVICE_SCALE: i32 = crate::histogram::SCALE;
/// Buckets of a device's histogram: the one for zero, then scale 3 from 2^-20 s to 2^7 s.
pub const DEVICE_BUCKETS: usize = 1 + 216;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_the_order_of_their_numbers() {
        assert!(DIRECTIONS.iter().enumerate().all(|(at, direction)| at == *direction as usize));
        assert!(FAILURES.iter().enumerate().all(|(at, failure)| at == *failure as usize));
    }

    #[test]
    fn an_owner_is_a_cgroup_of_the_unified_hierarchy_or_said_not_to_be() {
        assert_eq!(OwnerKey::cgroup(4711).decode(), Owner::Cgroup(4711));
        assert_eq!(OwnerKey::cgroup(0).decode(), Owner::Nobody);
        assert_eq!(OwnerKey::cgroup(u64::MAX).decode(), Owner::Nobody);
        assert_eq!(OwnerKey::V1.decode(), Owner::V1);
    }
}
