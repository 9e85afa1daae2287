//! Connections and processes are kept per workload, and told again after a restart.

use super::*;
use crate::{
    attribution::functional::FunctionalUnit,
    samples::{
        process::{ProcessUse, tests::any_process_use},
        tcp::{TcpUse, tests::any_tcp_use},
    },
};

/// Any totals of both, or none.
pub(super) fn any() -> impl Strategy<Value = (Option<TcpUse>, Option<ProcessUse>)> {
    (prop::option::of(any_tcp_use()), prop::option::of(any_process_use()))
}

fn closed(count: u64) -> TcpUse {
    let mut done = TcpUse::default();
    (done.totals.roles[1].closed, done.totals.unobserved) = (count, 1);
    done
}

fn execs(count: u64) -> ProcessUse {
    let mut done = ProcessUse::default();
    done.totals.execs = count;
    done
}

fn counted(ledger: &Ledger, cgroup: u64) -> [u64; 2] {
    let account = &ledger.accounts[&workload(cgroup).id];
    [FunctionalUnit::ConnectionsClosed, FunctionalUnit::Execs].map(|unit| unit.count(account))
}

#[test]
fn what_was_done_adds_up_and_is_kept() {
    let mut ledger = Ledger::default();
    let mut post = |tcp, processes, nobodys| {
        let entries = [Entry { tcp, ..entry(1, 0) }, Entry { processes, ..entry(2, 0) }, entry(3, 0)];
        let nobody = Entry { tcp: nobodys, ..entry(0, 0) };
        ledger.post(&Attribution::default(), &entries, &nobody);
        ledger.clone()
    };
    let before = post(Some(closed(5)), Some(execs(7)), Some(closed(100)));
    post(Some(closed(2)), Some(execs(1)), None);
    // A later agent that counts none keeps them.
    let ledger = post(None, None, None);
    assert_eq!([0, 1, 2, 3].map(|cgroup| counted(&ledger, cgroup)), [[101, 0], [9, 0], [0, 8], [0, 0]]);
    assert_eq!(restored(&ledger), ledger);
    let since = ledger.since(&before);
    assert_eq!((counted(&since, 1), counted(&since, 2)), ([3, 0], [0, 1]), "who did only that is not left out");
    assert_eq!(since.accounts().count(), 2);
    assert_eq!(ledger.since(&ledger.clone()).accounts().count(), 0);
}

#[test]
fn who_comes_back_counts_from_0() {
    let mut ledger = Ledger::default();
    let post = |ledger: &mut Ledger| {
        let all = Entry { tcp: Some(closed(5)), processes: Some(execs(7)), ..entry(1, 0) };
        ledger.post(&Attribution::default(), &[all], &entry(0, 0));
    };
    post(&mut ledger);
    ledger.retire(&workload(1).id);
    post(&mut ledger);
    assert_eq!(counted(&ledger, 1), [6, 7]);
}

#[test]
fn a_record_of_before_they_were_counted_is_read() {
    let mut ledger = Ledger::default();
    let all = Entry { tcp: Some(closed(5)), processes: Some(execs(7)), ..entry(1, 9) };
    ledger.post(&Attribution::default(), &[all], &entry(0, 0));
    let mut written = serde_json::to_value(Record::from(&ledger)).unwrap();
    for account in written["accounts"].as_array_mut().unwrap() {
        account.as_object_mut().unwrap().retain(|field, _| field != "tcp" && field != "processes");
    }
    let old: Ledger = serde_json::from_value::<Record>(written).unwrap().into();
    assert_eq!((totals(&old, 1), counted(&old, 1)), (totals(&ledger, 1), [0, 0]));
}
