//! Block I/O is kept by how it is known whose it was.

use super::*;
use crate::samples::{DiskReading, DiskWorkReading, disk::tests::any_disk_use};

/// Each cgroup has read a byte, by a request of its own, for each nanosecond that it ran.
pub(super) fn read_as_long_as_it_ran(times: &BTreeMap<(usize, u64), u64>) -> DiskReading {
    let mut rows: BTreeMap<u64, DiskWorkReading> = BTreeMap::new();
    for ((_, cgroup), nanos) in times {
        let owner = OwnerKey::cgroup(*cgroup);
        let row = rows.entry(*cgroup).or_insert_with(|| DiskWorkReading { owner, ..DiskWorkReading::default() });
        row.totals.operations[0] += nanos;
        row.totals.bytes[0] += nanos;
    }
    DiskReading { work: rows.into_values().collect(), devices: Vec::new() }
}

/// Bytes an account has read.
pub(super) fn read(account: &Account) -> u64 {
    account.disk.values().map(|done| done.totals.bytes[0]).sum()
}

/// Any totals, by any ownership.
pub(super) fn any() -> impl Strategy<Value = BTreeMap<Ownership, DiskUse>> {
    use Ownership::{Ancestor, Cgroup, None, Root, Unknown, V1};
    let ownership = prop::sample::select(vec![Cgroup, Ancestor, Unknown, Root, V1, None]);
    prop::collection::btree_map(ownership, any_disk_use(), 0..3)
}

fn reads(bytes: u64) -> DiskUse {
    let mut done = DiskUse::default();
    (done.totals.operations[0], done.totals.bytes[0]) = (1, bytes);
    done
}

#[test]
fn what_is_known_otherwise_is_kept_apart_and_adds_up() {
    let mut ledger = Ledger::default();
    let post = |ledger: &mut Ledger, disk: &[(Ownership, u64)], root: u64| {
        let disk = disk.iter().map(|(of, bytes)| (*of, reads(*bytes))).collect();
        let nobody = Entry { disk: [(Ownership::Root, reads(root))].into(), ..entry(0, 0) };
        ledger.post(&Attribution::default(), &[Entry { disk, ..entry(1, 0) }], &nobody);
    };
    let told = |ledger: &Ledger, cgroup| -> Vec<_> {
        let account = &ledger.accounts[&workload(cgroup).id];
        account.disk.iter().map(|(of, done)| (of.name(), done.totals.requests(), done.totals.bytes[0])).collect()
    };
    post(&mut ledger, &[(Ownership::Cgroup, 5)], 100);
    let before = ledger.clone();
    post(&mut ledger, &[(Ownership::Cgroup, 2), (Ownership::Ancestor, 3)], 1);
    // A later agent that counts none keeps them.
    post(&mut ledger, &[], 0);
    assert_eq!(told(&ledger, 1), [("cgroup", 2, 7), ("ancestor", 1, 3)]);
    assert_eq!(told(&ledger, 0), [("root", 3, 101)]);
    assert_eq!(restored(&ledger), ledger);
    let since = ledger.since(&before);
    assert_eq!(told(&since, 1), [("cgroup", 1, 2), ("ancestor", 1, 3)], "who did only that is not left out");
    assert_eq!(ledger.accounts[&workload(1).id].disk_total().totals.bytes[0], 10);
    assert_eq!(ledger.since(&ledger.clone()).accounts().count(), 0);
}

#[test]
fn a_record_of_before_block_io_was_counted_is_read() {
    let mut ledger = Ledger::default();
    let all = Entry { disk: [(Ownership::Cgroup, reads(5))].into(), ..entry(1, 9) };
    ledger.post(&Attribution::default(), &[all], &entry(0, 0));
    let mut written = serde_json::to_value(Record::from(&ledger)).unwrap();
    for account in written["accounts"].as_array_mut().unwrap() {
        account.as_object_mut().unwrap().remove("disk");
    }
    let old: Ledger = serde_json::from_value::<Record>(written).unwrap().into();
    assert_eq!((totals(&old, 1), &old.accounts[&workload(1).id].disk), (totals(&ledger, 1), &BTreeMap::new()));
}
