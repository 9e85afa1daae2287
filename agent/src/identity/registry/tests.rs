//! Orders of events in which ids come and go.

use proptest::prelude::*;

use super::{super::Kind, *};

const NO_COMM: [u8; 16] = [0; 16];
const MINUTE: u64 = 60_000_000_000;

fn minutes(n: u64) -> Nanos {
    Nanos(n * MINUTE)
}

fn registry() -> Registry {
    Registry::new("h")
}

/// Name and path of what a cgroup id resolves to.
fn ask(registry: &mut Registry, id: u64) -> (String, Option<String>) {
    let resolved = registry.resolve(WorkKey::cgroup(id), &NO_COMM).expect("no idle key");
    (resolved.workload.name.clone(), resolved.path.map(|path| path.to_string()))
}

fn is_unknown(registry: &mut Registry, id: u64) -> bool {
    ask(registry, id) == ("unattributed".to_owned(), None)
}

#[test]
fn special_keys_are_resolved_without_a_path() {
    let mut known = registry();
    assert_eq!(known.resolve(WorkKey::IDLE, &NO_COMM), None);
    for (key, kind) in
        [(WorkKey::KERNEL, Kind::Kernel), (WorkKey::NOBODY, Kind::Unattributed), (WorkKey::REST, Kind::Other)]
    {
        let resolved = known.resolve(key, &NO_COMM).expect("work");
        assert_eq!((resolved.workload.kind, resolved.path), (kind, None));
    }
    assert_eq!(known.counts(), Counts::default());
}

#[test]
fn processes_of_one_executable_share_a_workload() {
    let mut known = registry();
    let bash = *b"bash\0\0\0\0\0\0\0\0\0\0\0\0";
    let one = known.resolve(WorkKey::process(1, MINUTE), &bash).expect("work");
    let two = known.resolve(WorkKey::process(2, MINUTE), &bash).expect("work");
    assert!(Arc::ptr_eq(&one.workload, &two.workload));
    assert_eq!((one.workload.kind, one.workload.name.as_str()), (Kind::Process, "bash"));
    for i in 0..2 * COMMS_MAX {
        let mut comm = NO_COMM;
        comm[..8].copy_from_slice(&(i as u64 + 1).to_be_bytes());
        known.resolve(WorkKey::process(3, MINUTE), &comm);
    }
    assert!(known.comms.len() <= COMMS_MAX);
}

#[test]
fn who_lives_is_told_with_the_path() {
    let mut known = registry();
    known.learn(7, "/system.slice/a.service");
    known.learn(8, "/system.slice/b.service");
    known.died(8, minutes(1));
    known.died(9, minutes(1));
    let living: Vec<_> = known.living().map(|one| (one.id, &**one.path, one.workload.name.as_str())).collect();
    assert_eq!(living, [(7, "/system.slice/a.service", "a.service")]);
}

#[test]
fn an_id_is_known_once_somebody_told_its_path() {
    let mut known = registry();
    assert!(is_unknown(&mut known, 7));
    assert!(is_unknown(&mut known, 5));
    assert!(known.wants(5) && known.wants(7));
    known.learn(7, "/system.slice/ssh.service");
    assert!(known.wants(5) && !known.wants(7));
    assert_eq!(ask(&mut known, 7), ("ssh.service".to_owned(), Some("/system.slice/ssh.service".to_owned())));
    known.born(5, "/a", minutes(1));
    assert!(!known.wants(5) && !known.wants(7));
    assert_eq!(known.counts(), Counts { known: 2, unresolved: 2, ..Counts::default() });
}

#[test]
fn the_dead_keep_their_name_for_ten_minutes() {
    let mut known = registry();
    known.learn(1, "/a");
    known.died(1, minutes(1));
    known.expire(Nanos(11 * MINUTE - 1));
    assert_eq!(ask(&mut known, 1).0, "/a");
    assert_eq!(known.counts().dead, 1);
    known.expire(minutes(11));
    assert!(is_unknown(&mut known, 1));
    assert_eq!((known.counts().known, known.counts().dead), (0, 0));
}

#[test]
fn what_was_gone_before_it_was_known_is_asked_for_once() {
    let mut known = registry();
    assert!(is_unknown(&mut known, 1));
    known.died(1, minutes(1));
    assert!(is_unknown(&mut known, 1) && !known.wants(1));
    assert_eq!(known.counts().unresolved, 2);
    // The event of its birth was late: it has a name, and is dead.
    known.born(1, "/a", minutes(0));
    assert_eq!(ask(&mut known, 1).0, "/a");
    assert_eq!(known.counts().dead, 1);
    known.expire(minutes(11));
    assert!(is_unknown(&mut known, 1));
}

#[test]
fn one_that_is_seen_again_lives() {
    let mut known = registry();
    known.learn(1, "/a");
    known.died(1, minutes(1));
    known.learn(1, "/a");
    known.expire(minutes(60));
    assert_eq!(ask(&mut known, 1).0, "/a");
    known.died(1, minutes(61));
    known.born(1, "/b", minutes(62));
    known.expire(minutes(90));
    assert_eq!(ask(&mut known, 1).0, "/b");
    assert_eq!(known.counts(), Counts { known: 1, ..Counts::default() });
}

#[test]
fn the_number_of_ids_is_bounded_and_what_gives_way_is_counted() {
    let mut known = Registry::with_capacity("h", 3);
    for id in 1..=3 {
        known.learn(id, "/a");
    }
    known.learn(4, "/d");
    assert!(is_unknown(&mut known, 4) && !known.wants(4), "no use in asking for what has no place");
    assert_eq!(known.counts(), Counts { known: 3, refused: 1, unresolved: 1, ..Counts::default() });
    known.died(2, minutes(1));
    known.died(1, minutes(2));
    known.learn(4, "/d");
    assert!(is_unknown(&mut known, 2), "the longest dead gives way");
    assert_eq!((ask(&mut known, 4).0, ask(&mut known, 1).0), ("/d".to_owned(), "/a".to_owned()));
    assert_eq!((known.counts().forgotten, known.counts().dead), (1, 1));
}

#[test]
fn long_paths_are_cut() {
    let mut known = registry();
    known.learn(1, &"/a".repeat(3_000));
    let path = known.resolve(WorkKey::cgroup(1), &NO_COMM).and_then(|resolved| resolved.path).expect("a path");
    assert_eq!(path.len(), text::PATH_MAX);
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Learn(u64),
    Born(u64, u64),
    Died(u64, u64),
    Resolve(u64),
    Expire(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let (id, at) = (1u64..12, 0u64..40);
    prop_oneof![
        id.clone().prop_map(Event::Learn),
        (id.clone(), at.clone()).prop_map(|(id, at)| Event::Born(id, at)),
        (id.clone(), at.clone()).prop_map(|(id, at)| Event::Died(id, at)),
        id.prop_map(Event::Resolve),
        at.prop_map(Event::Expire),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_keeps_the_counts_right(events in prop::collection::vec(event(), 0..80)) {
        let mut known = Registry::with_capacity("h", 6);
        for event in events {
            match event {
                Event::Learn(id) => known.learn(id, "/a"),
                Event::Born(id, at) => known.born(id, "/b", minutes(at)),
                Event::Died(id, at) => known.died(id, minutes(at)),
                Event::Resolve(id) => { known.resolve(WorkKey::cgroup(id), &NO_COMM); }
                Event::Expire(at) => known.expire(minutes(at)),
            }
            let dead = known.cgroups.values().filter(|cgroup| cgroup.died.is_some()).count();
            prop_assert_eq!(known.counts().dead, dead);
            prop_assert!(known.cgroups.len() <= 6);
        }
    }
}
