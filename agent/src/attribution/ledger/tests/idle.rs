//! Parts of idle energy: accounts of their own, in books of their own.

use super::*;

/// An interval with idle energy of 400 µJ, of which the second entry, without a part of anything else, has 150.
fn reserved() -> Attribution {
    let mut attribution = interval(PACKAGE, 1_000, 400, &[600], 0);
    attribution.zones[0].idle_parts = vec![Microjoules(0), Microjoules(150)];
    attribution
}

#[test]
fn a_part_of_idle_is_an_account_of_its_own() {
    let mut ledger = Ledger::default();
    for _ in 0..2 {
        ledger.post(&reserved(), &[entry(1, 100), entry(2, 0)], &entry(0, 0));
    }
    let idle = |cgroup| ledger.accounts[&workload(cgroup).id].idle.clone();
    assert_eq!((idle(1), idle(2)), (BTreeMap::new(), BTreeMap::from([(ZoneKind::Package, Microjoules(300))])));
    assert_eq!(totals(&ledger, 2), Some((0, Vec::new())), "what it used is not known to be 0");
    let zone = &ledger.zones[&PACKAGE];
    assert_eq!((zone.idle, zone.idle_handed_out), (Microjoules(800), Microjoules(300)));
    assert!(ledger.closes());
    let before = ledger.clone();
    ledger.post(&reserved(), &[entry(1, 100), entry(2, 0)], &entry(0, 0));
    let since = ledger.since(&before);
    assert!(since.closes() && since.accounts[&workload(2).id].idle[&ZoneKind::Package] == Microjoules(150));
    let gone = workload(2).id.clone();
    ledger.retire(&gone);
    assert_eq!(ledger.retired_idle(), &BTreeMap::from([(ZoneKind::Package, Microjoules(450))]));
    assert!(ledger.closes());
    assert_eq!(restored(&ledger), ledger);
}

#[test]
fn parts_of_idle_that_do_not_add_up_are_said() {
    let mut ledger = Ledger::default();
    ledger.post(&reserved(), &[entry(1, 100)], &entry(0, 0));
    assert!(!ledger.closes(), "a part without a workload");
    let mut record = Record::from(&ledger);
    record.zones[0].idle_handed_out = Microjoules(0);
    assert!(Ledger::from(record.clone()).closes());
    record.zones[0].idle_handed_out = Microjoules(401);
    assert!(!Ledger::from(record).closes(), "more than there was");
}

#[test]
fn a_record_of_before_idle_was_handed_out_is_taken() {
    let mut ledger = Ledger::default();
    ledger.post(&interval(PACKAGE, 1_000, 400, &[300, 200], 0), &[entry(1, 100), entry(2, 20)], &entry(0, 7));
    let mut old = serde_json::to_value(Record::from(&ledger)).unwrap();
    assert!(old.as_object_mut().unwrap().remove("retired_idle").is_some());
    for (list, field) in [("accounts", "idle"), ("zones", "idle_handed_out")] {
        for item in old[list].as_array_mut().unwrap() {
            assert!(item.as_object_mut().unwrap().remove(field).is_some());
        }
    }
    let taken: Ledger = serde_json::from_value::<Record>(old).unwrap().into();
    assert_eq!(taken, ledger);
    assert!(taken.closes());
}
