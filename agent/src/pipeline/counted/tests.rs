//! Made-up samples: whose what is.

use super::*;
use crate::attribution::books::Attribution;

const ROOT: u64 = 1;

fn closed(count: u64) -> TcpUse {
    let mut done = TcpUse::default();
    done.totals.unobserved = count;
    done
}

fn execs(count: u64) -> ProcessUse {
    let mut done = ProcessUse::default();
    done.totals.execs = count;
    done
}

/// Connections that ended, those that are open, and programs that were started.
fn told(did: &Did) -> (u64, u64, u64) {
    (
        did.tcp.as_ref().map_or(0, |done| done.totals.closed()),
        did.open.map_or(0, |open| open.0.iter().sum()),
        did.processes.as_ref().map_or(0, |done| done.totals.execs),
    )
}

#[test]
fn what_names_a_cgroup_is_its_own_and_the_rest_nobodys() {
    let (group, root) = (OwnerKey::cgroup(100), OwnerKey::cgroup(ROOT));
    let work = [(group, 1), (root, 2), (OwnerKey::V1, 4), (OwnerKey::NOBODY, 8)];
    let open = [(group, OpenNow([1, 1])), (root, OpenNow([0, 5])), (OwnerKey::cgroup(300), OpenNow([0, 0]))];
    let tcp = TcpSample { work: work.map(|(owner, count)| (owner, closed(count))).into(), open: Some(open.into()) };
    let named = ["sh", "cc"].map(|name| {
        let mut comm = [0; 16];
        comm[..2].copy_from_slice(name.as_bytes());
        (comm, ActorKey::named([u64::from(comm[0]), 0]))
    });
    let done = [
        (ActorKey::cgroup(100), 10),
        (ActorKey::cgroup(200), 20),
        (ActorKey::KERNEL, 30),
        (ActorKey::NOBODY, 40),
        (named[0].1, 50),
        (named[1].1, 60),
    ];
    let processes = ProcessSample {
        work: done.map(|(actor, count)| (actor, execs(count))).into(),
        comms: named.map(|(comm, key)| (key, comm)).into(),
    };
    let counted = Counted::new(Some(tcp), Some(processes), ROOT);
    let by_key: BTreeMap<_, _> = counted.by_key().iter().map(|(key, did)| (*key, told(did))).collect();
    let process = WorkKey::process(1, 0);
    let expected = [
        ((WorkKey::cgroup(100), [0; 16]), (1, 2, 10)),
        ((WorkKey::cgroup(200), [0; 16]), (0, 0, 20)),
        ((WorkKey::KERNEL, [0; 16]), (0, 0, 30)),
        ((WorkKey::NOBODY, [0; 16]), (14, 5, 40)),
        ((process, named[0].0), (0, 0, 50)),
        ((process, named[1].0), (0, 0, 60)),
    ];
    assert_eq!(by_key, expected.into());
    let mut cgroups: Vec<_> = counted.cgroups().collect();
    cgroups.sort_unstable();
    cgroups.dedup();
    assert_eq!(cgroups, [100, 200, 300]);
    assert!(matches!(process.decode(), Work::Process { .. }));
}

#[test]
fn none_are_open_is_said_of_those_who_had_some_where_that_is_known() {
    let workload = |name: &str| Owned::new(&std::sync::Arc::new(crate::identity::Workload::unattributed(name))).entry;
    let [ended, open, never] = ["ended", "open", "never"].map(workload);
    let mut ledger = Ledger::default();
    let has = Entry { open: Some(OpenNow([1, 2])), ..open.clone() };
    let entries = [Entry { tcp: Some(closed(1)), ..ended.clone() }, has];
    ledger.post(&Attribution::default(), &entries, &never);
    let told = |open| {
        let tcp = TcpSample { open, ..TcpSample::default() };
        Counted::new(Some(tcp), None, ROOT).open(&entries[1..], &ledger)
    };
    let expected = [(ended.workload.id.clone(), OpenNow([0, 0])), (open.workload.id.clone(), OpenNow([1, 2]))];
    assert_eq!(told(Some(BTreeMap::new())), expected.into());
    assert_eq!(told(None).len(), 1, "what is not known of the first one is not told");
}

#[test]
fn where_nothing_is_counted_nobody_did_anything() {
    assert!(Counted::new(None, None, ROOT).by_key().is_empty());
}
