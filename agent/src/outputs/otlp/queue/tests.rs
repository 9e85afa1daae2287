use proptest::prelude::*;

use super::{super::chunk::tests::named as chunk, *};

fn batch(number: u64, resources: usize, finals: &[u64]) -> Batch {
    let chunks = vec![chunk(&vec![("workload", 2); resources])];
    Batch { number, chunks, finals: finals.to_vec(), ..Batch::default() }
}

/// One in which series begin: one of the two points of each Resource is a zero.
fn beginning(number: u64, resources: usize) -> Batch {
    Batch { births: vec![chunk(&vec![("workload", 1); resources])], ..batch(number, resources, &[]) }
}

fn numbers(queue: &Queue) -> Vec<u64> {
    queue.batches.iter().map(|batch| batch.number).collect()
}

/// A queue with room for `count` snapshots of one Resource without finals, and not one more.
fn room_for(count: usize) -> Queue {
    Queue::new(batch(0, 1, &[]).size() * count, Items::Metrics)
}

#[test]
fn every_second_goes_and_the_ends_stay() {
    let mut queue = room_for(6);
    (1..=7).for_each(|number| queue.push(batch(number, 1, &[])));
    assert_eq!(numbers(&queue), [1, 3, 5, 7]);
    assert_eq!(queue.dropped().thinned, Count { snapshots: 3, points: 6 });
    (8..=10).for_each(|number| queue.push(batch(number, 1, &[])));
    assert_eq!(numbers(&queue), [1, 5, 8, 10]);
}

#[test]
fn of_events_the_oldest_go_but_one_that_may_be_on_its_way() {
    let mut queue = Queue::new(batch(0, 1, &[]).size() * 4, Items::Events);
    (1..=7).for_each(|number| queue.push(batch(number, 1, &[])));
    assert_eq!(numbers(&queue), [1, 5, 6, 7]);
    assert_eq!(queue.dropped(), Dropped { full: Count { snapshots: 3, points: 6 }, ..Dropped::default() });
}

#[test]
fn the_newest_survives_thinning_at_an_odd_place() {
    let mut queue = room_for(5);
    (1..=6).for_each(|number| queue.push(batch(number, 1, &[])));
    assert_eq!(numbers(&queue), [1, 3, 5, 6]);
}

#[test]
fn the_only_holder_of_a_final_value_stays() {
    let mut queue = room_for(6);
    for (number, finals) in [(1, &[][..]), (2, &[7]), (3, &[]), (4, &[8]), (5, &[8]), (6, &[])] {
        queue.push(batch(number, 1, finals));
    }
    // 2 holds 7 alone; 4 holds 8 as 5 does.
    assert_eq!(numbers(&queue), [1, 2, 3, 5, 6]);
}

#[test]
fn two_holders_do_not_excuse_each_other() {
    let mut queue = room_for(6);
    for number in 1..=8 {
        queue.push(batch(number, 1, if number == 2 || number == 4 { &[7] } else { &[] }));
    }
    assert!(queue.batches.iter().any(|batch| batch.finals.contains(&7)));
}

#[test]
fn when_thinning_is_not_enough_the_oldest_goes_that_is_not_on_its_way() {
    let mut queue = Queue::new(batch(0, 1, &[1]).size() * 3, Items::Metrics);
    (1..=4).for_each(|number| queue.push(batch(number, 1, &[number])));
    assert_eq!(numbers(&queue), [1, 3, 4]);
    assert_eq!(queue.dropped().full, Count { snapshots: 1, points: 2 });
    // Two that do not fit together: the newer one stays.
    let mut queue = room_for(2);
    queue.push(batch(1, 1, &[]));
    queue.push(batch(2, 2, &[]));
    queue.push(batch(3, 2, &[]));
    assert_eq!(numbers(&queue), [3]);
}

#[test]
fn one_that_is_larger_than_the_queue_waits_alone() {
    let mut queue = room_for(1);
    queue.push(batch(1, 1, &[]));
    queue.push(batch(2, 9, &[]));
    assert_eq!(numbers(&queue), [2], "it would come again larger: the final values in it were not acknowledged");
    assert_eq!(queue.dropped().full, Count { snapshots: 1, points: 2 });
}

#[test]
fn what_began_in_a_snapshot_that_went_goes_with_the_next() {
    let mut queue = Queue::new(usize::MAX, Items::Metrics);
    (1..=6).for_each(|number| queue.push(beginning(number, 1)));
    queue.thin();
    assert_eq!(numbers(&queue), [1, 3, 5, 6]);
    let zeros = |queue: &Queue| queue.batches.iter().map(|batch| batch.carried.len()).collect::<Vec<_>>();
    assert_eq!(zeros(&queue), [0, 1, 1, 0]);
    queue.thin();
    assert_eq!((numbers(&queue), zeros(&queue)), (vec![1, 5, 6], vec![0, 3, 0]));
    assert_eq!(queue.dropped().thinned, Count { snapshots: 3, points: 3 }, "the other three are on their way");
    while queue.shed() {}
    assert_eq!((numbers(&queue), zeros(&queue)), (vec![6], vec![5]));
    assert_eq!(queue.front().unwrap().points(), 7);
}

#[test]
fn beginnings_take_half_of_the_room_at_most() {
    let mut queue = Queue::new(beginning(0, 9).size() * 4, Items::Metrics);
    (1..=99).for_each(|number| queue.push(beginning(number, 9)));
    assert!(queue.carried() > 0 && queue.carried() <= queue.bound / 2);
    assert!(numbers(&queue).len() > 1, "snapshots are still there: {:?}", numbers(&queue));
}

#[test]
fn settling_twice_or_too_late_says_so() {
    let mut queue = room_for(2);
    queue.push(batch(1, 1, &[]));
    assert!(queue.settle(1) && !queue.settle(1) && !queue.contains(1));
    assert_eq!(queue.size(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Push { resources: usize, births: bool, finals: Vec<u64> },
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let push = (1_usize..8, any::<bool>(), prop::collection::vec(0_u64..6, 0..3));
    prop_oneof![
        5 => push.prop_map(|(resources, births, finals)| Step::Push { resources, births, finals }),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #[test]
    fn bounds_order_and_accounts_hold(room in 1_usize..20, steps in prop::collection::vec(step(), 1..80)) {
        let mut queue = room_for(room);
        let (mut offered, mut settled) = (Count::default(), Count::default());
        for (number, step) in (1..).zip(steps) {
            match step {
                Step::Push { resources, births, finals } => {
                    let new = if births { beginning(number, resources) } else { batch(number, resources, &[]) };
                    offered.add(&new);
                    queue.push(Batch { finals, ..new });
                    prop_assert!(queue.batches.back().is_some_and(|last| last.number == number));
                }
                Step::Settle => {
                    if let Some(front) = queue.front().cloned() {
                        settled.add(&front);
                        prop_assert!(queue.settle(front.number));
                    }
                }
            }
            let Dropped { thinned, full } = queue.dropped();
            let parts = [settled, thinned, full, queue.waiting()];
            prop_assert_eq!(offered.snapshots, parts.iter().map(|count| count.snapshots).sum::<u64>());
            prop_assert_eq!(offered.points, parts.iter().map(|count| count.points).sum::<u64>());
            let newest = queue.batches.back().map_or(0, Batch::size);
            prop_assert!(queue.size() <= queue.bound.max(newest), "{} of {}", queue.size(), queue.bound);
            prop_assert_eq!(queue.size(), queue.batches.iter().map(Batch::size).sum::<usize>());
            prop_assert!(numbers(&queue).is_sorted());
        }
    }

    #[test]
    fn thinning_alone_never_takes_a_final_value(finals in prop::collection::vec(prop::collection::vec(0_u64..9, 0..4), 1..40)) {
        let mut queue = Queue::new(usize::MAX, Items::Metrics);
        let told: BTreeSet<_> = finals.iter().flatten().copied().collect();
        (1..).zip(&finals).for_each(|(number, finals)| queue.push(batch(number, 1, finals)));
        while queue.thin() {}
        let kept: BTreeSet<_> = queue.batches.iter().flat_map(|batch| batch.finals.iter().copied()).collect();
        prop_assert_eq!(kept, told);
    }
}
