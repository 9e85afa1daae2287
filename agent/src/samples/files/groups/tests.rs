//! Trees of cgroups that live, work and die, and what is billed to whom.

use proptest::{collection::vec, prelude::*};

use super::*;

/// A cgroup: its id, who is above, its total.
fn group(id: u64, parent: u64, usage: u64) -> GroupReading {
    GroupReading { id, parent, usage: Some(Nanos(usage)), is_listed: true, has_tasks: false }
}

/// The root of the hierarchy.
const ROOT: GroupReading = GroupReading { id: 1, parent: 0, usage: None, is_listed: true, has_tasks: true };

fn busy(reading: GroupReading) -> GroupReading {
    GroupReading { has_tasks: true, ..reading }
}

fn unknown(reading: GroupReading) -> GroupReading {
    GroupReading { usage: None, ..reading }
}

fn unlisted(reading: GroupReading) -> GroupReading {
    GroupReading { is_listed: false, ..reading }
}

/// What the last of these readings bills.
fn billed(readings: &[&[GroupReading]]) -> Vec<(u64, u64)> {
    let mut tracker = GroupTracker::default();
    let mut last = BTreeMap::new();
    for reading in readings {
        last = tracker.observe(reading);
    }
    last.into_iter().map(|(id, time)| (id, time.0)).collect()
}

#[test]
fn the_first_reading_bills_nothing() {
    assert_eq!(billed(&[&[ROOT, group(2, 1, 500)]]), []);
}

#[test]
fn own_use_is_the_total_without_those_below() {
    let before = [ROOT, group(2, 1, 100), group(3, 2, 40), group(4, 3, 10)];
    let after = [ROOT, group(2, 1, 190), group(3, 2, 90), group(4, 3, 30)];
    assert_eq!(billed(&[&before, &after]), [(2, 40), (3, 30), (4, 20)]);
}

#[test]
fn who_was_born_since_counts_in_full() {
    let before = [ROOT, group(2, 1, 100)];
    let after = [ROOT, group(2, 1, 150), group(3, 2, 50), group(4, 3, 50), group(5, 1, 7)];
    assert_eq!(billed(&[&before, &after]), [(4, 50), (5, 7)]);
}

#[test]
fn who_died_gets_the_jump_and_is_not_billed_again() {
    let alive = [ROOT, group(2, 1, 100), group(3, 2, 100)];
    let dead = [ROOT, group(2, 1, 130)];
    let later = [ROOT, group(2, 1, 135)];
    assert_eq!(billed(&[&alive, &dead]), [(3, 30)]);
    assert_eq!(billed(&[&alive, &dead, &dead]), []);
    assert_eq!(billed(&[&alive, &dead, &later]), [(2, 5)], "what comes after is of the one above");
}

#[test]
fn the_jump_belongs_to_the_one_above_if_it_has_tasks() {
    let alive = [ROOT, group(2, 1, 100), group(3, 2, 100)];
    let dead = [ROOT, busy(group(2, 1, 130))];
    assert_eq!(billed(&[&alive, &dead]), [(2, 30)]);
    let idle = [ROOT, group(2, 1, 0), group(3, 2, 0)];
    assert_eq!(billed(&[&idle, &[ROOT, group(2, 1, 9)]]), [(2, 9)], "the one that is gone never ran");
}

#[test]
fn several_that_died_share_the_jump_by_what_they_used_before() {
    let first = [ROOT, group(2, 1, 1_000), group(3, 2, 900), group(4, 2, 100)];
    let second = [ROOT, group(2, 1, 1_040), group(3, 2, 910), group(4, 2, 130)];
    let dead = [ROOT, group(2, 1, 1_080)];
    assert_eq!(billed(&[&first, &second, &dead]), [(3, 10), (4, 30)], "10 and 30 in the interval before");
    assert_eq!(billed(&[&first, &first, &dead]), [(3, 72), (4, 8)], "900 and 100 in all");
}

#[test]
fn a_subtree_that_died_shares_the_jump_of_who_is_left() {
    let alive = [ROOT, group(2, 1, 60), group(3, 2, 60), group(4, 3, 40), group(5, 3, 20)];
    let dead = [ROOT, group(2, 1, 90)];
    assert_eq!(billed(&[&alive, &dead]), [(4, 20), (5, 10)]);
    assert_eq!(billed(&[&alive, &dead, &[ROOT, group(2, 1, 91)]]), [(2, 1)]);
}

#[test]
fn one_that_dies_after_one_below_it_is_not_billed_for_it() {
    let alive = [ROOT, group(2, 1, 60), group(3, 2, 60), group(4, 3, 60)];
    let one = [ROOT, group(2, 1, 70), group(3, 2, 70)];
    let both = [ROOT, group(2, 1, 75)];
    assert_eq!(billed(&[&alive, &one]), [(4, 10)]);
    assert_eq!(billed(&[&alive, &one, &both]), [(2, 5)], "3 never ran itself");
}

#[test]
fn below_the_root_the_end_of_a_cgroup_is_told_by_nobody() {
    assert_eq!(billed(&[&[ROOT, group(2, 1, 100)], &[ROOT]]), []);
}

#[test]
fn a_total_that_fell_is_of_another_cgroup_with_the_same_id() {
    let before = [ROOT, group(2, 1, 100), group(3, 2, 100)];
    let after = [ROOT, group(2, 1, 120), group(3, 2, 20)];
    assert_eq!(billed(&[&before, &after]), [(3, 20)]);
    assert_eq!(billed(&[&[ROOT, group(2, 1, 100)], &[ROOT, group(2, 1, 30)]]), [(2, 30)]);
}

#[test]
fn what_lived_and_died_in_between_is_of_the_one_above() {
    assert_eq!(billed(&[&[ROOT, group(2, 1, 100)], &[ROOT, group(2, 1, 140)]]), [(2, 40)]);
}

#[test]
fn while_a_total_is_unknown_the_one_above_waits_and_nothing_is_lost() {
    let before = [ROOT, group(2, 1, 100), group(3, 2, 50)];
    let blind = [ROOT, group(2, 1, 150), unknown(group(3, 2, 0))];
    let after = [ROOT, group(2, 1, 200), group(3, 2, 70)];
    assert_eq!(billed(&[&before, &blind]), []);
    assert_eq!(billed(&[&before, &blind, &after]), [(2, 80), (3, 20)]);
}

#[test]
fn who_shows_up_where_nothing_was_listed_before_is_not_new() {
    let before = [ROOT, unlisted(group(2, 1, 100))];
    let after = [ROOT, group(2, 1, 130), group(3, 2, 80)];
    let later = [ROOT, group(2, 1, 140), group(3, 2, 87)];
    assert_eq!(billed(&[&before, &after]), []);
    assert_eq!(billed(&[&before, &after, &later]), [(2, 3), (3, 7)]);
}

#[test]
fn totals_read_later_below_are_never_billed_twice() {
    // 3 works on while the tree is read: its total is ahead of the one above.
    let before = [ROOT, group(2, 1, 100), group(3, 2, 105)];
    let after = [ROOT, group(2, 1, 200), group(3, 2, 203)];
    assert_eq!(billed(&[&before, &after]), [(3, 98)]);
}

#[test]
fn who_dies_with_more_billed_below_it_than_its_total_showed_is_not_billed_again() {
    let before = [ROOT, group(2, 1, 0), group(3, 2, 0), group(4, 3, 0)];
    // 4 worked between the reading of those above it and its own.
    let torn = [ROOT, group(2, 1, 0), group(3, 2, 0), group(4, 3, 9)];
    assert_eq!(billed(&[&before, &torn]), [(4, 9)]);
    assert_eq!(billed(&[&before, &torn, &[ROOT, group(2, 1, 9)]]), []);
}

#[test]
fn no_reading_panics() {
    let odd = [group(2, 2, 5), group(3, 4, 5), group(4, 3, u64::MAX), group(4, 3, 1), group(0, 0, 7)];
    billed(&[&odd, &odd, &[], &odd[..2], &[group(3, 3, 0)]]);
}

/// What happens between two readings.
#[derive(Clone, Debug)]
enum Step {
    /// The nth cgroup works.
    Work(usize, u64),
    /// One is made below the nth.
    Make(usize),
    /// The nth goes, with all below it.
    Remove(usize),
    /// All are read; while that goes on, some work: for each row so much.
    Read(Vec<u64>),
}

/// A tree whose top is never removed.
#[derive(Clone, Debug)]
struct Tree {
    /// Id, parent, total.
    groups: Vec<(u64, u64, u64)>,
    next: u64,
}

impl Tree {
    fn work(&mut self, at: usize, time: u64) {
        let mut id = self.groups[at % self.groups.len()].0;
        while let Some(group) = self.groups.iter_mut().find(|group| group.0 == id) {
            group.2 += time;
            id = group.1;
        }
    }

    fn make(&mut self, at: usize) {
        let parent = self.groups[at % self.groups.len()].0;
        self.groups.push((self.next, parent, 0));
        self.next += 1;
    }

    fn remove(&mut self, at: usize) {
        let mut gone = BTreeSet::from([self.groups[at % self.groups.len()].0]);
        if gone.contains(&2) {
            return;
        }
        // Parents come first.
        for (id, parent, _) in &self.groups {
            if gone.contains(parent) {
                gone.insert(*id);
            }
        }
        self.groups.retain(|(id, ..)| !gone.contains(id));
    }

    fn total(&self) -> u64 {
        self.groups[0].2
    }

    fn read(&mut self, meanwhile: &[u64]) -> Vec<GroupReading> {
        let mut meanwhile = meanwhile.iter();
        let mut readings = vec![ROOT];
        for at in 0..self.groups.len() {
            let (id, parent, usage) = self.groups[at];
            readings.push(GroupReading { has_tasks: id % 3 == 0, ..group(id, parent, usage) });
            let time = meanwhile.next().copied().unwrap_or(0);
            self.work(at + 1, time);
        }
        readings
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<usize>(), 0..1_000u64).prop_map(|(at, time)| Step::Work(at, time)),
        2 => any::<usize>().prop_map(Step::Make),
        1 => any::<usize>().prop_map(Step::Remove),
        2 => vec(0..50u64, 0..12).prop_map(Step::Read),
    ];
    vec(step, 0..80)
}

/// What was billed in all since the first reading, and what was used.
fn run(steps: &[Step], is_torn: bool) -> (u64, u64) {
    let (mut tree, mut tracker) = (Tree { groups: vec![(2, 1, 1_000)], next: 3 }, GroupTracker::default());
    tree.make(0);
    tracker.observe(&tree.read(&[]));
    let (begin, mut billed) = (tree.total(), 0);
    for step in steps.iter().chain([&Step::Read(Vec::new())]) {
        match step {
            Step::Work(at, time) => tree.work(*at, *time),
            Step::Make(at) => tree.make(*at),
            Step::Remove(at) => tree.remove(*at),
            Step::Read(meanwhile) => {
                let readings = tree.read(if is_torn { meanwhile } else { &[] });
                billed += tracker.observe(&readings).values().map(|time| time.0).sum::<u64>();
            }
        }
    }
    (billed, tree.total() - begin)
}

proptest! {
    #[test]
    fn all_that_was_used_is_billed_once(steps in steps()) {
        let (billed, used) = run(&steps, false);
        prop_assert_eq!(billed, used);
    }

    #[test]
    fn nothing_is_billed_twice_while_totals_move_on(steps in steps()) {
        let (billed, used) = run(&steps, true);
        prop_assert!(billed <= used, "{} of {}", billed, used);
    }
}
