//! Totals of connections go in, deltas come out: none twice, none lost, none below zero.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::units::Nanos;

const A: OwnerKey = OwnerKey::cgroup(100);
const B: OwnerKey = OwnerKey::cgroup(200);

/// Connections that ended, a client's, and what they sent.
fn ended(owner: OwnerKey, count: u64, sent: u64) -> TcpWorkReading {
    let mut reading = TcpWorkReading { owner, ..TcpWorkReading::default() };
    (reading.totals.roles[0].established[0], reading.totals.roles[0].closed) = (count, count);
    reading.totals.sent = sent;
    reading
}

fn open(owner: OwnerKey, cookie: u64, sent: u64) -> OpenConnection {
    OpenConnection { cookie, owner, sent, ..OpenConnection::default() }
}

fn older(owner: OwnerKey, cookie: u64, sent: u64) -> OpenConnection {
    OpenConnection { is_older: true, ..open(owner, cookie, sent) }
}

fn read(tracker: &mut TcpTracker, work: &[TcpWorkReading], open: Option<&[OpenConnection]>) {
    let tcp = Some(TcpReading { work: work.to_vec(), open: open.map(<[_]>::to_vec) });
    tracker.observe(&Reading { tcp, ..Reading::default() });
}

/// Connections that ended, and bytes sent.
fn booked(tracker: &mut TcpTracker, owner: OwnerKey) -> Option<(u64, u64)> {
    let sample = tracker.close().unwrap();
    sample.work.get(&owner).map(|done| (done.totals.closed(), done.totals.sent))
}

#[test]
fn bytes_count_as_they_are_sent_and_once() {
    let mut tracker = TcpTracker::default();
    read(&mut tracker, &[], Some(&[older(A, 1, 1_000)]));
    assert_eq!(booked(&mut tracker, A), None, "where counting starts");
    read(&mut tracker, &[], Some(&[older(A, 1, 1_010), open(A, 2, 5), open(B, 3, 7)]));
    let sample = tracker.close().unwrap();
    assert_eq!((sample.work[&A].totals.sent, sample.work[&B].totals.sent), (15, 7));
    // The second one ended, after the kernel's totals were read and before the open ones were: it is in neither.
    read(&mut tracker, &[], Some(&[older(A, 1, 1_012)]));
    assert_eq!(booked(&mut tracker, A), None);
    read(&mut tracker, &[ended(A, 1, 9)], Some(&[older(A, 1, 1_012)]));
    assert_eq!(booked(&mut tracker, A), Some((1, 6)), "2 by the older one, 4 by the other");
    // The older one ends.
    let mut last = ended(A, 1, 9 + 1_013);
    last.totals.unobserved = 1;
    read(&mut tracker, &[last], Some(&[]));
    assert_eq!(booked(&mut tracker, A), Some((1, 1)));
}

#[test]
fn where_open_ones_cannot_be_read_for_a_while_nothing_is_booked_twice() {
    let mut tracker = TcpTracker::default();
    read(&mut tracker, &[], Some(&[]));
    read(&mut tracker, &[ended(A, 1, 10)], Some(&[open(A, 1, 100)]));
    assert_eq!(booked(&mut tracker, A), Some((1, 110)));
    read(&mut tracker, &[ended(A, 2, 20)], None);
    assert_eq!(tracker.sample.as_ref().unwrap().open, None);
    assert_eq!(booked(&mut tracker, A), Some((1, 0)));
    read(&mut tracker, &[ended(A, 2, 20)], Some(&[open(A, 1, 130)]));
    assert_eq!(booked(&mut tracker, A), Some((0, 40)));
}

#[test]
fn where_open_ones_are_first_told_late_what_older_ones_carried_is_not_booked() {
    let mut tracker = TcpTracker::default();
    read(&mut tracker, &[ended(A, 1, 10)], None);
    read(&mut tracker, &[ended(A, 2, 25)], Some(&[older(A, 1, 1_000), older(B, 2, 500), open(A, 3, 7)]));
    let sample = tracker.close().unwrap();
    assert_eq!((sample.work[&A].totals.sent, sample.work.get(&B)), (22, None));
    read(&mut tracker, &[ended(A, 2, 25)], Some(&[older(A, 1, 1_001), older(B, 2, 500), open(A, 3, 7)]));
    assert_eq!(booked(&mut tracker, A), Some((0, 1)));
}

#[test]
fn an_owner_that_was_given_back_starts_from_0_with_what_is_open_booked() {
    let mut tracker = TcpTracker::default();
    read(&mut tracker, &[], Some(&[]));
    read(&mut tracker, &[ended(A, 3, 10), ended(B, 3, 10)], Some(&[open(A, 1, 100)]));
    assert_eq!(booked(&mut tracker, A), Some((3, 110)));
    tracker.forget(&[A, B].into());
    read(&mut tracker, &[], Some(&[open(A, 1, 100)]));
    assert_eq!(tracker.close().unwrap().work, BTreeMap::new());
    // It goes on, ends, and another one with it.
    read(&mut tracker, &[ended(A, 2, 120), ended(B, 1, 1)], Some(&[]));
    let sample = tracker.close().unwrap();
    assert_eq!((sample.work[&A].totals.closed(), sample.work[&A].totals.sent), (2, 20));
    assert_eq!((sample.work[&B].totals.closed(), sample.work[&B].totals.sent), (1, 1));
}

#[test]
fn open_ones_are_those_seen_to_begin_and_older_ones_that_are_still_there() {
    let mut work = ended(A, 3, 0);
    work.totals.roles[0].established = [3, 4];
    work.totals.roles[1].established = [2, 0];
    let torn = TcpWorkReading { owner: B, ..ended(B, 0, 0) };
    let server = OpenConnection { is_server: true, ..older(A, 9, 0) };
    let mut tracker = TcpTracker::default();
    let mut torn = torn;
    torn.totals.roles[0].closed = 1;
    read(&mut tracker, &[work, torn], Some(&[older(A, 1, 0), server, open(A, 2, 0), older(OwnerKey::V1, 3, 0)]));
    let sample = tracker.close().unwrap();
    let expected = [(A, OpenNow([5, 3])), (B, OpenNow([0, 0])), (OwnerKey::V1, OpenNow([1, 0]))];
    assert_eq!(sample.open, Some(expected.into()));
    assert_eq!(sample.open.unwrap()[&A].of(Role::Server), 3);
    assert!(tracker.close().unwrap().open.is_some(), "they are open as long as nobody says otherwise");
}

#[test]
fn where_connections_are_not_counted_there_is_no_sample() {
    let mut tracker = TcpTracker::default();
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[ended(A, 5, 5)], None);
    assert_eq!(tracker.close(), Some(TcpSample::default()));
    tracker.observe(&Reading::default());
    assert_eq!(tracker.close(), None);
    read(&mut tracker, &[ended(A, 500, 5)], None);
    assert_eq!(tracker.close(), Some(TcpSample::default()), "where it starts again");
}

#[test]
fn room_that_is_found_later_counts_from_0() {
    let mut tracker = TcpTracker::default();
    read(&mut tracker, &[ended(A, 0, 0)], None);
    read(&mut tracker, &[ended(A, 1, 0)], None);
    assert_eq!(tracker.close().unwrap().work[&A].durations, None);
    let rtts = Durations { sum: Nanos(5), counts: vec![0, 2] };
    let durations = Some(TcpDurations { rtts: rtts.clone(), ..TcpDurations::default() });
    read(&mut tracker, &[TcpWorkReading { durations, ..ended(A, 2, 0) }], None);
    assert_eq!(tracker.close().unwrap().work[&A].durations.as_ref().unwrap().rtts, rtts);
}

fn whole() -> impl Strategy<Value = u64> {
    0..=u64::MAX >> 8
}

fn any_durations() -> impl Strategy<Value = Durations> {
    (whole(), vec(whole(), 0..60)).prop_map(|(sum, counts)| Durations { sum: Nanos(sum), counts })
}

/// Any totals of connections.
pub(crate) fn any_tcp_use() -> impl Strategy<Value = TcpUse> {
    let figures = vec(whole(), TcpTotals::default().figures().count());
    let durations = prop::option::of((prop::array::uniform4(any_durations()), any_durations()));
    (figures, durations).prop_map(|(figures, durations)| {
        let mut totals = TcpTotals::default();
        totals.figures_mut().zip(figures).for_each(|(figure, value)| *figure = value);
        let durations =
            durations.map(|([a, b, c, d], rtts)| TcpDurations { lifespans: [a, b], handshakes: [c, d], rtts });
        TcpUse { totals, durations }
    })
}

proptest! {
    /// Connections of one owner open, send and end, with readings between, some without the open ones.
    #[test]
    fn what_is_booked_is_what_was_sent(
        steps in vec((0_usize..6, 0_u64..1_000, any::<[bool; 4]>()), 1..60),
    ) {
        let mut tracker = TcpTracker::default();
        let mut live = [Some(700), None, None, None, None, None];
        let (mut sent, mut closed, mut sums, mut booked) = (0, 0, 0, (0, 0));
        let listed = |live: &[Option<u64>; 6]| -> Vec<_> {
            let open = (0..).zip(live).filter_map(|(at, sent)| Some(open(A, at, (*sent)?)));
            open.map(|one| OpenConnection { is_older: one.cookie == 0, ..one }).collect()
        };
        read(&mut tracker, &[], Some(&listed(&live)));
        let take = |tracker: &mut TcpTracker, into: &mut (u64, u64)| {
            let sample = tracker.close().unwrap();
            let (ended, bytes) = sample.work.get(&A).map_or((0, 0), |done| (done.totals.closed(), done.totals.sent));
            (into.0, into.1) = (into.0 + ended, into.1 + bytes);
        };
        for (at, more, [ends, is_read, is_known, is_closed]) in steps {
            *live[at].get_or_insert(0) += more;
            sent += more;
            let kernel = ended(A, closed, sums);
            // The connection may end between the two readings.
            if ends {
                sums += live[at].take().unwrap();
                closed += 1;
            }
            if is_read {
                read(&mut tracker, &[kernel], is_known.then(|| listed(&live)).as_deref());
            }
            if is_closed {
                take(&mut tracker, &mut booked);
            }
        }
        read(&mut tracker, &[ended(A, closed, sums)], Some(&listed(&live)));
        take(&mut tracker, &mut booked);
        prop_assert_eq!(booked, (closed, sent));
    }

    #[test]
    fn since_is_what_was_added(before in any_tcp_use(), more in any_tcp_use()) {
        let mut sum = before.clone();
        sum.add(&more);
        prop_assert_eq!(&sum.since(&before).totals, &more.totals);
        prop_assert!(!before.since(&sum).is_any(), "never below 0");
    }
}
