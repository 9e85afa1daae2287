//! Who is told with how much, in an interval from 100 s to 110 s; boot time is 1,000 s ahead.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wattrace_common::events::Head;

use super::*;
use crate::samples::Exec;

const TICK: Nanos = Nanos::from_millis(10);
const SECOND: u64 = 1_000_000_000;
const CGROUP: u64 = 4_711;

fn at(seconds: u64) -> Instant {
    Instant { monotonic: Nanos::from_secs(seconds), boottime: Nanos::from_secs(1_000 + seconds), wall: Nanos(0) }
}

/// Made so many milliseconds after the beginning of the interval.
fn start(millis: i64) -> u64 {
    (1_100 * SECOND).checked_add_signed(millis * 1_000_000).unwrap()
}

fn id(pid: u32, millis: i64) -> ProcessId {
    ProcessId { pid, start: Nanos(start(millis) / TICK.0 * TICK.0) }
}

fn seen(pid: u32, millis: i64, cpu: u64) -> Seen {
    Seen { id: id(pid, millis), comm: [b'a'; 16], cpu: Nanos(cpu), key: WorkKey::cgroup(CGROUP) }
}

/// Ended so many milliseconds after the beginning of the interval.
fn end(pid: u32, (born, died): (i64, i64), cpu: u64) -> Event {
    let at = (100 * SECOND).checked_add_signed(died * 1_000_000).unwrap();
    Event::Exit(ExitEvent {
        head: Head { kind: 2, reserved: 0, at, key: CGROUP },
        who: Who { start: start(born), tgid: pid, parent: 1, comm: [b'e'; 16] },
        cpu,
        status: 3 << 8,
        reason: ExitReason::Error as u32,
        ..ExitEvent::default()
    })
}

/// Id, CPU time, whether it ended.
fn told(before: &[Seen], ends: Vec<Event>, after: &[Seen]) -> Vec<(u32, u64, bool)> {
    let mut lives = Lives::begin(TICK, before.iter().map(|seen| (seen.id, seen.cpu)));
    lives.take(ends);
    let mut all = lives.close(after, [at(100), at(110)]);
    all.sort_by_key(|lived| lived.seen.id);
    all.iter().map(|lived| (lived.seen.id.pid, lived.seen.cpu.0, lived.end.is_some())).collect()
}

#[test]
fn each_counts_from_its_birth_or_the_beginning_to_its_end_or_that_of_the_interval() {
    let before = [seen(1, -5_000, 100), seen(2, -3, 70)];
    let ends = vec![end(2, (-3, 4_000), 90), end(4, (2_000, 2_001), 8)];
    let after = [seen(1, -5_000, 175), seen(3, 4_000, 30)];
    assert_eq!(told(&before, ends, &after), [(1, 75, false), (2, 20, true), (3, 30, false), (4, 8, true)]);
}

#[test]
fn an_id_that_is_given_again_is_another_process() {
    let before = [seen(7, -5_000, 1_000)];
    let ends = vec![end(7, (-5_000, 1_000), 1_010), end(7, (1_500, 1_600), 20)];
    let after = [seen(7, 2_000, 3)];
    assert_eq!(told(&before, ends, &after), [(7, 10, true), (7, 20, true), (7, 3, false)]);
    // Within one tick.
    assert_eq!(
        told(&[], vec![end(7, (1_501, 1_503), 20), end(7, (1_504, 1_506), 30)], &[]),
        [(7, 20, true), (7, 30, true)]
    );
    // The one before is gone without a word: what is there now is not its.
    assert_eq!(told(&before, Vec::new(), &[seen(7, 2_000, 5_000)]), [(7, 5_000, false)]);
}

#[test]
fn who_was_made_between_the_beginning_and_the_look_at_it_counts_in_full() {
    assert_eq!(told(&[seen(1, 20, 6)], Vec::new(), &[seen(1, 20, 50)]), [(1, 50, false)]);
    assert_eq!(told(&[seen(1, 20, 6)], vec![end(1, (20, 30), 50)], &[]), [(1, 50, true)]);
    // In the tick in which the interval begins it is told by whether it was there.
    let lives = |before: &[Seen]| {
        let lives = Lives::begin(TICK, before.iter().map(|seen| (seen.id, seen.cpu)));
        let from = Instant { boottime: Nanos(at(100).boottime.0 + 5_000_000), ..at(100) };
        lives.close(&[seen(1, 0, 50)], [from, at(110)]).into_iter().map(|lived| lived.seen.cpu.0).collect::<Vec<_>>()
    };
    assert_eq!((lives(&[seen(1, 0, 6)]), lives(&[])), (vec![44], vec![50]));
}

#[test]
fn what_is_past_either_end_of_the_interval_is_not_in_it() {
    let before = [seen(1, -5_000, 100), seen(2, -5_000, 100)];
    let ends = vec![
        end(9, (-50, -1), 40),
        end(1, (-5_000, 10_001), 160),
        end(2, (-5_000, 10_002), 130),
        end(3, (10_001, 10_002), 9),
    ];
    let after = [seen(1, -5_000, 150), seen(4, 10_020, 2)];
    // The first was still there when it was looked at; the second was not, and only its end tells what it used.
    assert_eq!(told(&before, ends, &after), [(1, 50, false), (2, 30, true)]);
}

#[test]
fn who_is_older_and_was_not_seen_is_not_told() {
    assert_eq!(told(&[], vec![end(1, (-5_000, 3), 1_000)], &[seen(2, -5_000, 77)]), []);
}

#[test]
fn who_nobody_waited_for_has_ended() {
    let [before, after] = [seen(1, -5_000, 100), seen(1, -5_000, 120)];
    let mut lives = Lives::begin(TICK, [(before.id, before.cpu)]);
    lives.take(vec![end(1, (-5_000, 9_000), 125)]);
    let all = lives.close(&[after], [at(100), at(110)]);
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(one.end, Some(End { reason: Some(ExitReason::Error), status: 3 << 8 }));
    assert_eq!((one.seen.cpu, one.seen.comm, one.seen.key), (Nanos(25), [b'e'; 16], WorkKey::cgroup(CGROUP)));
}

#[test]
fn other_events_are_no_ends_and_a_clock_that_steps_back_is_no_use() {
    let exec = Exec { head: Head::default(), who: Who::default(), file: Vec::new(), args: Vec::new(), is_cut: false };
    assert_eq!(told(&[seen(1, -5, 100)], vec![Event::Exec(exec)], &[seen(1, -5, 90)]), [(1, 0, false)]);
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let mut lives = Lives::begin(TICK, []);
    lives.take((0..MOST + 3).map(|_| end(1, (1, 2), 1)).collect());
    assert_eq!((lives.ends().len(), lives.dropped()), (MOST, 3));
}

#[test]
fn an_owner_has_the_key_of_its_time() {
    let who = Who { start: start(0), tgid: 7, parent: 1, comm: [0; 16] };
    let keys = [ActorKey::NOBODY, ActorKey::KERNEL, ActorKey::cgroup(5), ActorKey::named([1, 2])];
    let expected = [WorkKey::NOBODY, WorkKey::KERNEL, WorkKey::cgroup(5), WorkKey::process(7, start(0))];
    assert_eq!(keys.map(|key| work_key(key, &who)), expected);
}

proptest! {
    #[test]
    fn nothing_panics_and_nobody_is_told_twice(
        before in prop::collection::vec((0..5_u32, 0..30_000_i64, any::<u64>()), 0..20),
        after in prop::collection::vec((0..5_u32, 0..30_000_i64, any::<u64>()), 0..20),
        ends in prop::collection::vec((0..5_u32, 0..30_000_i64, 0..30_000_i64, any::<u64>()), 0..20),
        tick in prop::sample::select(vec![0, 1, 10_000_000, u64::MAX]),
    ) {
        let seen = |(pid, born, cpu): &(u32, i64, u64)| seen(*pid, born - 10_000, *cpu);
        let mut lives = Lives::begin(Nanos(tick), before.iter().map(seen).map(|seen| (seen.id, seen.cpu)));
        lives.take(ends.iter().map(|(pid, born, died, cpu)| end(*pid, (born - 10_000, died - 10_000), *cpu)).collect());
        let after: Vec<Seen> = after.iter().map(seen).collect();
        let all = lives.close(&after, [at(100), at(110)]);
        let ended = all.iter().filter(|lived| lived.end.is_some()).count();
        prop_assert!(ended <= ends.len());
        let there = || all.iter().filter(|lived| lived.end.is_none()).map(|lived| lived.seen.id);
        prop_assert_eq!(there().collect::<BTreeSet<_>>().len(), there().count());
    }
}
