use proptest::prelude::*;

use super::{super::chunk::tests::named as chunk, *};

fn batch(number: u64, resources: usize, finals: &[u64]) -> Batch {
    Batch { number, chunks: vec![chunk(&vec![("workload", 2); resources])], finals: finals.to_vec() }
}

fn numbers(queue: &Queue) -> Vec<u64> {
    queue.batches.iter().map(|batch| batch.number).collect()
}

/// A queue with room for `count` snapshots of one Resource without finals, and not one more.
fn room_for(count: usize) -> Queue {
    Queue::new(batch(0, 1, &[]).size() * count)
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
fn when_thinning_is_not_enough_the_oldest_goes() {
    let mut queue = Queue::new(batch(0, 1, &[1]).size() * 3);
    (1..=4).for_each(|number| queue.push(batch(number, 1, &[number])));
    assert_eq!(numbers(&queue), [2, 3, 4]);
    assert_eq!(queue.dropped().full, Count { snapshots: 1, points: 2 });
    // Two that do not fit together: the newer one stays.
    let mut queue = room_for(2);
    queue.push(batch(1, 1, &[]));
    queue.push(batch(2, 2, &[]));
    queue.push(batch(3, 2, &[]));
    assert_eq!(numbers(&queue), [3]);
}

#[test]
fn larger_than_the_queue_is_counted_apart() {
    let mut queue = room_for(1);
    queue.push(batch(1, 1, &[]));
    queue.push(batch(2, 9, &[]));
    assert_eq!(numbers(&queue), [1]);
    assert_eq!(queue.dropped().too_large, Count { snapshots: 1, points: 18 });
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
    Push { resources: usize, finals: Vec<u64> },
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let push = (1_usize..8, prop::collection::vec(0_u64..6, 0..3));
    prop_oneof![
        5 => push.prop_map(|(resources, finals)| Step::Push { resources, finals }),
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
                Step::Push { resources, finals } => {
                    let new = batch(number, resources, &finals);
                    let fits = new.size() <= queue.bound;
                    offered.add(&new);
                    queue.push(new);
                    prop_assert_eq!(queue.batches.back().is_some_and(|last| last.number == number), fits);
                }
                Step::Settle => {
                    if let Some(front) = queue.front().cloned() {
                        settled.add(&front);
                        prop_assert!(queue.settle(front.number));
                    }
                }
            }
            let Dropped { thinned, full, too_large } = queue.dropped();
            let parts = [settled, thinned, full, too_large, queue.waiting()];
            prop_assert_eq!(offered.snapshots, parts.iter().map(|count| count.snapshots).sum::<u64>());
            prop_assert_eq!(offered.points, parts.iter().map(|count| count.points).sum::<u64>());
            prop_assert!(queue.size() <= queue.bound);
            prop_assert_eq!(queue.size(), queue.batches.iter().map(Batch::size).sum::<usize>());
            prop_assert!(numbers(&queue).is_sorted());
        }
    }

    #[test]
    fn thinning_alone_never_takes_a_final_value(finals in prop::collection::vec(prop::collection::vec(0_u64..9, 0..4), 1..40)) {
        let mut queue = Queue::new(usize::MAX);
        let told: BTreeSet<_> = finals.iter().flatten().copied().collect();
        (1..).zip(&finals).for_each(|(number, finals)| queue.push(batch(number, 1, finals)));
        while queue.thin() {}
        let kept: BTreeSet<_> = queue.batches.iter().flat_map(|batch| batch.finals.iter().copied()).collect();
        prop_assert_eq!(kept, told);
    }
}
