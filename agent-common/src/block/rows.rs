//! Where the kernel programs count block I/O.
//!
//! What the kernel counts lies in rows that all CPUs share: sums of 64 bits, and buckets of 32 bits that wrap and whose
//! differences a reader adds up.

use super::{Direction, FAILURES, PLACES};
use crate::{
    histogram,
    threads::{FIRST, WAIT_BUCKETS, WAIT_SCALE, place},
};

/// Scale of a workload's histograms: [`crate::threads::WAIT_BUCKETS`] buckets.
pub const WORK_SCALE: i32 = WAIT_SCALE;
/// Scale of a device's histograms.
pub const DEVICE_SCALE: i32 = histogram::SCALE;
/// Buckets of a device's histogram: the one for zero, then scale 3 from 2^-20 s to 2^7 s.
pub const DEVICE_BUCKETS: usize = 1 + 216;
/// Buckets of a workload's histogram.
pub const WORK_BUCKETS: usize = WAIT_BUCKETS;

/// Directions with a histogram: all that are timed.
pub const TIMED: usize = 3;

/// Which histogram a timed place has; [`TIMED`]: none.
#[inline(always)]
pub const fn timed(place: usize) -> usize {
    const READ: usize = Direction::Read as usize;
    const WRITE: usize = Direction::Write as usize;
    const DISCARD: usize = Direction::Discard as usize;
    match place {
        READ => 0,
        WRITE => 1,
        DISCARD => 2,
        _ => TIMED,
    }
}

/// Bucket of a duration in a workload's histogram, and in a device's: 0 for zero; what is longer than the last one's is in it.
#[inline(always)]
pub fn buckets(nanos: u64) -> (usize, usize) {
    let index = i64::from(histogram::index(nanos) - FIRST);
    let place = |index, buckets| place(nanos, index, buckets, u64::wrapping_sub);
    (place(index >> 1, WORK_BUCKETS), place(index, DEVICE_BUCKETS))
}

/// Requests of one direction. 32 bytes: what one request adds to is in one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PlaceSums {
    /// That ended.
    pub operations: u64,
    /// Bytes of them, those of partial completions included.
    pub bytes: u64,
    /// Nanoseconds of those whose duration is known.
    pub time: u64,
    /// Those whose duration should be known and is not.
    pub unmeasured: u64,
}

/// Requests of one owner. 256 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct WorkSums {
    /// By [`Direction`], then those of none.
    pub places: [PlaceSums; PLACES],
    /// Completions with an error, by [`Failure`].
    pub errors: [u64; FAILURES.len()],
    /// [`crate::owner::OwnerKey`]; 0 = the row is free.
    pub owner: u64,
    /// Zero.
    pub reserved: u64,
}

/// Requests of one owner, and how long they took. 1,600 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct WorkRow {
    /// How many and how much.
    pub sums: WorkSums,
    /// By direction that is timed.
    pub counts: [[u32; WORK_BUCKETS]; TIMED],
    /// Zero.
    pub reserved: [u32; 9],
}

/// Requests of one device. 2,688 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct DeviceRow {
    /// [`device_number`] plus one; 0 = the row is free, or that of the others.
    pub device: u64,
    /// Times that the kernel asked for a request again.
    pub requeues: u64,
    /// By direction that is timed: nanoseconds.
    pub time: [u64; TIMED],
    /// Likewise.
    pub counts: [[u32; DEVICE_BUCKETS]; TIMED],
    /// Zero.
    pub reserved: [u32; 11],
}

/// A request that its driver has, or had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Issued {
    /// Since when, nanoseconds of the monotonic clock; 0: it has it no more.
    pub since: u64,
    /// Of which device, as [`device_number`].
    pub device: u64,
}

/// Row of all devices that have none of their own.
pub const OTHER_DEVICES: u32 = 0;

/// Bits of a minor number in the kernel's device numbers.
pub const MINOR_BITS: u32 = 20;

/// The kernel's number of a device.
pub const fn device_number(major: u32, minor: u32) -> u32 {
    major << MINOR_BITS | minor
}

const _: () = assert!(size_of::<WorkSums>() == 256);
const _: () = assert!(size_of::<WorkRow>() == 1600);
const _: () = assert!(size_of::<DeviceRow>() == 2688);

#[cfg(test)]
mod tests {
    use super::{super::DIRECTIONS, *};

    #[test]
    fn directions_that_are_timed_have_a_histogram() {
        let of = DIRECTIONS.map(|direction| timed(direction as usize));
        assert_eq!(of, [0, 1, TIMED, 2]);
        assert_eq!(of.map(|at| at < TIMED), [true, true, false, true]);
        assert_eq!(timed(super::super::OTHER), TIMED);
    }

    #[test]
    fn one_index_leads_to_both_buckets() {
        assert_eq!(buckets(953), (0, 0));
        assert_eq!(buckets(954), (1, 1));
        for nanos in [1_000, 4_711, 1_000_000, 123_456_789, 1_000_000_000, u64::MAX] {
            assert_eq!(buckets(nanos).0, crate::threads::wait_bucket(nanos, u64::wrapping_sub), "{nanos}");
        }
        // 1 s ends the bucket before that of index 0: 20 octaves of 8 come first.
        assert_eq!([buckets(1_000_000_000).1, buckets(1_000_000_001).1], [160, 161]);
        assert_eq!(buckets(u64::MAX).1, DEVICE_BUCKETS - 1);
    }
}
