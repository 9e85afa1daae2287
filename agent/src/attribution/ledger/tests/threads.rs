//! What threads did is kept, as long as it is counted.

use super::*;
use crate::samples::{Durations, ThreadDurations};

fn waited(span: u64, waits: &[u64]) -> ThreadUse {
    let wait = Durations { sum: Nanos(span), counts: waits.to_vec() };
    ThreadUse {
        running: Nanos(span),
        states: [Nanos(span); 5],
        voluntary: span,
        involuntary: 1,
        durations: (!waits.is_empty()).then(|| ThreadDurations { wait, ..ThreadDurations::default() }),
    }
}

#[test]
fn what_threads_did_adds_up_where_it_is_counted() {
    let mut ledger = Ledger::default();
    let post = |ledger: &mut Ledger, threads| {
        let sleeper = Entry { threads, ..entry(1, 0) };
        ledger.post(&Attribution::default(), &[sleeper], &entry(0, 0));
    };
    let told = |ledger: &Ledger| ledger.accounts[&workload(1).id].threads.as_deref().cloned();
    post(&mut ledger, None);
    assert_eq!((told(&ledger), restored(&ledger) == ledger), (None, true));
    post(&mut ledger, Some(waited(5, &[])));
    let before = ledger.clone();
    post(&mut ledger, Some(waited(7, &[0, 2, 1])));
    // A later agent that counts none keeps them.
    post(&mut ledger, None);
    let mut sum = waited(5, &[]);
    sum.add(&waited(7, &[0, 2, 1]));
    assert_eq!((told(&ledger), restored(&ledger) == ledger), (Some(sum), true));
    let id = workload(1).id.clone();
    let since = ledger.accounts[&id].since(before.accounts.get(&id)).threads;
    assert_eq!(since.as_deref(), Some(&waited(7, &[0, 2, 1])));
    assert_eq!(ledger.since(&before).accounts().count(), 0, "it used nothing");
}

#[test]
fn a_record_of_before_threads_were_counted_is_read() {
    let mut ledger = Ledger::default();
    let all = Entry { threads: Some(waited(5, &[1])), ..entry(1, 9) };
    ledger.post(&Attribution::default(), &[all], &entry(0, 0));
    let mut written = serde_json::to_value(Record::from(&ledger)).unwrap();
    for account in written["accounts"].as_array_mut().unwrap() {
        account.as_object_mut().unwrap().remove("threads");
    }
    let old: Ledger = serde_json::from_value::<Record>(written).unwrap().into();
    assert_eq!((totals(&old, 1), &old.accounts[&workload(1).id].threads), (totals(&ledger, 1), &None));
}

/// Any totals of threads.
pub(super) fn any_use() -> impl Strategy<Value = ThreadUse> {
    let durations = || (whole(), vec(whole(), 0..120)).prop_map(|(sum, counts)| Durations { sum: Nanos(sum), counts });
    let durations = (durations(), [durations(), durations(), durations(), durations()]);
    let durations = prop::option::of(durations.prop_map(|(wait, off)| ThreadDurations { wait, off }));
    (whole(), prop::array::uniform5(whole()), whole(), durations).prop_map(|(running, states, switches, durations)| {
        let (running, states) = (Nanos(running), states.map(Nanos));
        ThreadUse { running, states, voluntary: switches, involuntary: !switches, durations }
    })
}
