//! Block I/O: what a request is, how it failed, and in which order figures of it stand.
#![expect(clippy::inline_always, reason = "the kernel side has no calls to spare")]

mod rows;

pub use rows::*;

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
}

/// `REQ_OP_*` of a request: numbers that never changed.
mod operation {
    pub(super) const READ: u32 = 0;
    pub(super) const WRITE: u32 = 1;
    pub(super) const FLUSH: u32 = 2;
    pub(super) const DISCARD: u32 = 3;
    pub(super) const SECURE_ERASE: u32 = 5;
    /// `WRITE_SAME` up to 5.17, `ZONE_APPEND` from then on.
    pub(super) const SEVEN: u32 = 7;
    pub(super) const WRITE_ZEROES: u32 = 9;
}

/// Place of the figures of an operation, `REQ_OP_*`, where that which writes at a zone's end is `zone_append`.
#[inline(always)]
pub const fn place_of(operation: u32, zone_append: u32) -> usize {
    match operation {
        operation::READ => Direction::Read as usize,
        operation::WRITE | operation::SEVEN | operation::WRITE_ZEROES => Direction::Write as usize,
        operation::FLUSH => Direction::Flush as usize,
        operation::DISCARD | operation::SECURE_ERASE => Direction::Discard as usize,
        other if other == zone_append => Direction::Write as usize,
        _ => OTHER,
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

impl Failure {
    /// Of a `blk_status_t` that is not 0. The numbers from 14 on have changed: `offline` is that of `BLK_STS_OFFLINE`.
    #[inline(always)]
    pub const fn of_status(status: u32, offline: u32) -> Self {
        match status {
            1 => Self::NotSupported,
            2 => Self::TimedOut,
            3 => Self::NoSpace,
            4 => Self::Transport,
            5 | 6 | 8 => Self::Target,
            7 => Self::Medium,
            9 | 12 | 13 => Self::Resource,
            10 => Self::Io,
            // Zone resources, then the device, then the limit of a command's duration.
            14..=18 if status < offline => Self::Resource,
            14..=18 if status == offline => Self::Offline,
            14..=18 if status == offline + 1 => Self::TimedOut,
            _ => Self::Other,
        }
    }

    /// Of an errno, positive, as older kernels say the same.
    #[inline(always)]
    pub const fn of_errno(errno: u32) -> Self {
        match errno {
            // EIO
            5 => Self::Io,
            // EAGAIN, ENOMEM, EBUSY; of zones ECOMM, EOVERFLOW, ETOOMANYREFS
            11 | 12 | 16 | 70 | 75 | 109 => Self::Resource,
            // ENODEV
            19 => Self::Offline,
            // ENOSPC
            28 => Self::NoSpace,
            // EBADE, EILSEQ, EREMOTEIO
            52 | 84 | 121 => Self::Target,
            // ENODATA
            61 => Self::Medium,
            // ETIME, ETIMEDOUT
            62 | 110 => Self::TimedOut,
            // ENOLINK
            67 => Self::Transport,
            // EOPNOTSUPP
            95 => Self::NotSupported,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure::*, *};

    #[test]
    fn figures_stand_in_the_order_of_their_numbers() {
        assert!(DIRECTIONS.iter().enumerate().all(|(at, direction)| at == *direction as usize));
        assert!(FAILURES.iter().enumerate().all(|(at, failure)| at == *failure as usize));
    }

    #[test]
    fn operations_are_in_their_places() {
        const APPEND: u32 = 13;
        let place = |operation| place_of(operation, APPEND);
        assert_eq!([0, 1, 2, 3, 5].map(place), [0, 1, 2, 3, 3]);
        assert_eq!([7, 9, APPEND].map(place), [1, 1, 1], "the same, zeroes, and at a zone's end");
        assert_eq!([11, 15, 17, 32, 34, 35, 255].map(place), [OTHER; 7]);
        assert_eq!(place_of(13, 7), OTHER, "a zone is closed");
    }

    #[test]
    fn both_ways_to_say_a_failure_mean_the_same() {
        // Numbers of `blk_status_t` with those of errno that the kernel puts in their place.
        let same = [
            (1, 95),
            (2, 110),
            (3, 28),
            (4, 67),
            (5, 121),
            (6, 52),
            (7, 61),
            (8, 84),
            (9, 12),
            (10, 5),
            (12, 11),
            (13, 16),
        ];
        for (status, errno) in same {
            assert_eq!(Failure::of_status(status, 16), Failure::of_errno(errno), "{status}");
            assert_ne!(Failure::of_errno(errno), Other, "{status}");
        }
        let of = |offline| [14, 15, 16, 17, 18, 19].map(|status| Failure::of_status(status, offline));
        assert_eq!(of(16), [Resource, Resource, Offline, TimedOut, Other, Other]);
        assert_eq!(of(17), [Resource, Resource, Resource, Offline, TimedOut, Other]);
    }
}
