//! Totals of block I/O go in, deltas come out: none twice, none lost, none below zero.

use proptest::{collection::vec, prelude::*};
use wattrace_common::block::{FAILURES, PLACES};

use super::*;
use crate::{samples::DiskReading, units::Nanos};

const A: OwnerKey = OwnerKey::cgroup(100);
const B: OwnerKey = OwnerKey::cgroup(200);
const DISK: Option<DeviceNumber> = Some(DeviceNumber { major: 8, minor: 0 });

/// Reads of `owner` that brought `bytes` in, a request each.
fn reads(owner: OwnerKey, bytes: u64) -> DiskWorkReading {
    let mut reading = DiskWorkReading { owner, ..DiskWorkReading::default() };
    reading.totals.operations[0] = bytes;
    reading.totals.bytes[0] = bytes;
    reading
}

fn durations(sum: u64, counts: &[u64]) -> [Durations; 4] {
    let mut all = <[Durations; 4]>::default();
    all[0] = Durations { sum: Nanos(sum), counts: counts.to_vec() };
    all
}

fn read(tracker: &mut DiskTracker, work: &[DiskWorkReading], devices: &[DiskDeviceReading]) {
    let disk = Some(DiskReading { work: work.to_vec(), devices: devices.to_vec() });
    tracker.observe(&Reading { disk, ..Reading::default() });
}

fn bytes(sample: &DiskSample, owner: OwnerKey) -> Option<u64> {
    Some(sample.work.get(&owner)?.totals.bytes_of(Direction::Read))
}

/// What a row is about, the totals read, what is booked.
type Row<'a> = (&'a str, &'a [Option<u64>], Option<u64>);

#[test]
fn totals_of_one_owner() {
    let max = Some(u64::MAX);
    let rows: [Row<'_>; 9] = [
        ("the first reading is where counting starts", &[Some(5)], None),
        ("it grew", &[Some(5), Some(9)], Some(4)),
        ("it stood still", &[Some(5), Some(5)], None),
        ("it first shows up later: from 0", &[None, Some(7)], Some(7)),
        ("it is missing in between", &[Some(5), None, Some(9)], Some(4)),
        ("several readings in one interval", &[Some(5), Some(6), Some(6), Some(9)], Some(4)),
        ("it seems to fall, and ends above", &[Some(5), Some(9), Some(8), Some(12)], Some(7)),
        ("it never shows up", &[None, None], None),
        ("the largest numbers", &[Some(0), max, Some(0), max], max),
    ];
    for (name, totals, expected) in rows {
        let mut tracker = DiskTracker::default();
        for total in totals {
            read(&mut tracker, &total.iter().map(|total| reads(A, *total)).collect::<Vec<_>>(), &[]);
        }
        assert_eq!(bytes(&tracker.close().unwrap(), A), expected, "{name}");
    }
}

#[test]
fn an_owner_that_was_given_back_starts_from_0() {
    let mut tracker = DiskTracker::default();
    read(&mut tracker, &[reads(A, 100), reads(B, 100)], &[]);
    tracker.forget(&[A].into());
    read(&mut tracker, &[reads(A, 7), reads(B, 107)], &[]);
    let sample = tracker.close().unwrap();
    assert_eq!((bytes(&sample, A), bytes(&sample, B)), (Some(7), Some(7)));
    assert_eq!(tracker.close(), Some(DiskSample::default()), "an interval starts where the last one ended");
}

#[test]
fn devices_have_their_own_totals_and_may_come_late() {
    let device = |device, requeues, sum, counts: &[u64]| DiskDeviceReading {
        device,
        requeues,
        durations: durations(sum, counts),
    };
    let mut tracker = DiskTracker::default();
    read(&mut tracker, &[], &[device(DISK, 1, 10, &[1, 2])]);
    read(&mut tracker, &[], &[device(DISK, 3, 15, &[1, 4]), device(None, 0, 7, &[0, 1])]);
    // Gone, and back: its figures begin anew.
    read(&mut tracker, &[], &[device(None, 0, 7, &[0, 1])]);
    read(&mut tracker, &[], &[device(DISK, 1, 1, &[1]), device(None, 0, 7, &[0, 1])]);
    let sample = tracker.close().unwrap();
    let told = |device| &sample.devices[&device];
    assert_eq!(told(DISK), &DeviceUse { requeues: 3, durations: grow_from(&durations(6, &[1, 2])) });
    assert_eq!(told(None), &DeviceUse { requeues: 0, durations: grow_from(&durations(7, &[0, 1])) });
}

/// As a tracker makes them.
fn grow_from(totals: &[Durations; 4]) -> [Durations; 4] {
    grow_all(&mut <[Durations; 4]>::default(), totals)
}

#[test]
fn room_that_is_found_later_counts_from_0() {
    let mut tracker = DiskTracker::default();
    read(&mut tracker, &[reads(A, 0)], &[]);
    read(&mut tracker, &[reads(A, 1)], &[]);
    assert_eq!(tracker.close().unwrap().work[&A].durations, None);
    read(&mut tracker, &[DiskWorkReading { durations: Some(durations(5, &[2])), ..reads(A, 2) }], &[]);
    assert_eq!(tracker.close().unwrap().work[&A].durations, Some(durations(5, &[2])));
}

#[test]
fn where_block_io_is_not_counted_there_is_no_sample() {
    let mut tracker = DiskTracker::default();
    assert_eq!(tracker.close(), None);
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[reads(A, 5)], &[]);
    assert!(tracker.close().is_some());
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[reads(A, 500)], &[]);
    assert_eq!(tracker.close(), Some(DiskSample::default()), "where it starts again");
}

#[test]
fn every_place_has_its_name() {
    let told: Vec<_> = places().collect();
    assert_eq!(told, [("read", 0), ("write", 1), ("flush", 2), ("discard", 3), ("other", 4)]);
    assert_eq!(told.len(), PLACES);
}

fn whole() -> impl Strategy<Value = u64> {
    0..=u64::MAX >> 8
}

/// Any totals of block I/O.
pub(crate) fn any_disk_use() -> impl Strategy<Value = DiskUse> {
    let by_place = || prop::array::uniform5(whole());
    let durations = || (whole(), vec(whole(), 0..120)).prop_map(|(sum, counts)| Durations { sum: Nanos(sum), counts });
    let durations = prop::option::of([durations(), durations(), durations(), durations()]);
    let errors = prop::array::uniform10(whole());
    (by_place(), by_place(), by_place(), errors, durations).prop_map(
        |(operations, bytes, unmeasured, errors, durations)| {
            let totals = DiskTotals { operations, bytes, unmeasured, errors };
            DiskUse { totals, durations }
        },
    )
}

proptest! {
    #[test]
    fn what_is_booked_is_what_the_totals_grew_by(
        steps in vec((prop::array::uniform3(0_u64..1_000), any::<bool>(), any::<bool>()), 1..40),
    ) {
        let mut tracker = DiskTracker::default();
        read(&mut tracker, &[], &[]);
        let (mut totals, mut booked) = ([0; 3], [0; 3]);
        let owners = [A, B, OwnerKey::NOBODY];
        for (more, is_read, is_closed) in steps {
            totals.iter_mut().zip(more).for_each(|(total, more)| *total += more);
            if is_read {
                let rows: Vec<_> = owners.iter().zip(totals).map(|(owner, total)| reads(*owner, total)).collect();
                read(&mut tracker, &rows, &[]);
            }
            if is_closed {
                let sample = tracker.close().unwrap();
                for (booked, owner) in booked.iter_mut().zip(owners) {
                    *booked += bytes(&sample, owner).unwrap_or(0);
                }
            }
        }
        let rows: Vec<_> = owners.iter().zip(totals).map(|(owner, total)| reads(*owner, total)).collect();
        read(&mut tracker, &rows, &[]);
        let sample = tracker.close().unwrap();
        for (booked, owner) in booked.iter_mut().zip(owners) {
            *booked += bytes(&sample, owner).unwrap_or(0);
        }
        prop_assert_eq!(booked, totals);
    }

    #[test]
    fn since_is_what_was_added(before in any_disk_use(), more in any_disk_use()) {
        let mut sum = before.clone();
        sum.add(&more);
        let since = sum.since(&before);
        prop_assert_eq!(&since.totals, &more.totals);
        prop_assert_eq!(before.since(&sum).is_any(), false, "never below 0");
        prop_assert_eq!(sum.totals.requests() - before.totals.requests(), more.totals.requests());
        prop_assert_eq!(more.totals.errors.len(), FAILURES.len());
    }
}
