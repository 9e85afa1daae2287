//! Totals of processes go in, deltas come out: none twice, none lost, none below zero.

use proptest::{array::uniform4, collection::vec, prelude::*};

use super::*;
use crate::units::Nanos;

const A: ActorKey = ActorKey::cgroup(100);

fn named(comm: &[u8]) -> ([u8; 16], ActorKey) {
    let mut all = [0; 16];
    all[..comm.len()].copy_from_slice(comm);
    let word = |at: usize| u64::from_le_bytes(all[at..at + 8].try_into().unwrap());
    (all, ActorKey::named([word(0), word(8)]))
}

/// So many programs were started, of which as many ended well.
fn execs(key: ActorKey, count: u64) -> ActorReading {
    let totals = ProcessTotals { execs: count, exits: [count, 0, 0, 0], ..ProcessTotals::default() };
    ActorReading { key, totals, ..ActorReading::default() }
}

fn read(tracker: &mut ProcessTracker, rows: &[ActorReading]) {
    tracker.observe(&Reading { processes: Some(rows.to_vec()), ..Reading::default() });
}

fn told(sample: &ProcessSample, key: ActorKey) -> Option<u64> {
    Some(sample.work.get(&key)?.totals.execs)
}

/// What it shows, totals one after the other, and what was booked.
type Row<'a> = (&'a str, &'a [Option<u64>], Option<u64>);

#[test]
fn totals_of_one_owner() {
    let max = Some(u64::MAX);
    let rows: [Row<'_>; 7] = [
        ("the first reading is where counting starts", &[Some(5)], None),
        ("it grew", &[Some(5), Some(9)], Some(4)),
        ("it stood still", &[Some(5), Some(5)], None),
        ("it first shows up later: from 0", &[None, Some(7)], Some(7)),
        ("several readings in one interval", &[Some(5), Some(6), Some(9)], Some(4)),
        ("it seems to fall, and ends above", &[Some(5), Some(9), Some(8), Some(12)], Some(7)),
        ("the largest numbers", &[Some(0), max, Some(0), max], max),
    ];
    for (name, totals, expected) in rows {
        let mut tracker = ProcessTracker::default();
        for total in totals {
            read(&mut tracker, &total.iter().map(|total| execs(A, *total)).collect::<Vec<_>>());
        }
        assert_eq!(told(&tracker.close().unwrap(), A), expected, "{name}");
    }
}

#[test]
fn names_come_with_what_they_did_and_begin_anew_once_given_back() {
    let (comm, key) = named(b"sh");
    let mut tracker = ProcessTracker::default();
    read(&mut tracker, &[]);
    read(&mut tracker, &[ActorReading { comm, ..execs(key, 3) }]);
    let sample = tracker.close().unwrap();
    assert_eq!((told(&sample, key), sample.comms.get(&key)), (Some(3), Some(&comm)));
    tracker.forget(&[key].into());
    read(&mut tracker, &[ActorReading { comm, ..execs(key, 2) }]);
    assert_eq!(told(&tracker.close().unwrap(), key), Some(2));
    assert_eq!(tracker.close(), Some(ProcessSample::default()), "an interval starts where the last one ended");
}

#[test]
fn where_processes_are_not_counted_there_is_no_sample() {
    let mut tracker = ProcessTracker::default();
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[execs(A, 5)]);
    assert!(tracker.close().is_some());
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[execs(A, 500)]);
    assert_eq!(tracker.close(), Some(ProcessSample::default()), "where it starts again");
}

/// Any totals of processes.
pub(crate) fn any_process_use() -> impl Strategy<Value = ProcessUse> {
    let whole = || 0..=u64::MAX >> 8;
    (uniform4(whole()), uniform4(whole())).prop_map(|([forks, execs, short_lived, cpu], exits)| ProcessUse {
        totals: ProcessTotals { forks, execs, exits, short_lived, exited_cpu: Nanos(cpu) },
    })
}

proptest! {
    #[test]
    fn what_is_booked_is_what_the_totals_grew_by(steps in vec((0_u64..1_000, any::<bool>()), 1..40)) {
        let mut tracker = ProcessTracker::default();
        read(&mut tracker, &[execs(A, 7)]);
        let (mut total, mut booked) = (7, 0);
        for (more, is_closed) in steps {
            total += more;
            read(&mut tracker, &[execs(A, total)]);
            if is_closed {
                booked += told(&tracker.close().unwrap(), A).unwrap_or(0);
            }
        }
        booked += told(&tracker.close().unwrap(), A).unwrap_or(0);
        prop_assert_eq!(booked, total - 7);
    }

    #[test]
    fn since_is_what_was_added(before in any_process_use(), more in any_process_use()) {
        let mut sum = before.clone();
        sum.add(&more);
        prop_assert_eq!(&sum.since(&before), &more);
        prop_assert!(!before.since(&sum).is_any(), "never below 0");
    }
}
