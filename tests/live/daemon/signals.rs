//! SIGTERM and SIGHUP.

use std::collections::BTreeMap;

use rustix::process::Signal;
use wattrace::{
    attribution::ledger::Ledger,
    pipeline::state::{Found, StateDir},
};
use wattrace_tests::{
    patience,
    receiver::{Fault, Receiver},
};

use super::{
    agent::{Place, path},
    received::{instants, points, until_later},
};
use crate::support::live;

#[test]
fn sigterm_delivers_the_last_reading() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    until_later(&receiver, 2);
    let said = agent.stop();
    assert!(!said.contains("could not be sent"), "{said}");
    let Found::Saved(saved) = StateDir::open(&place.state()).unwrap().load().unwrap() else { panic!("no state") };
    let mut arrived = BTreeMap::new();
    for point in points(&receiver) {
        let zone = point.attribute("wattrace.energy.zone").to_owned() + point.attribute("wattrace.cpu.shared");
        arrived.insert((point.instance().to_owned(), point.metric.clone(), zone), point.value);
    }
    let ledger = Ledger::from(saved.ledger);
    let mut compared = 0;
    for account in ledger.accounts() {
        let told = |metric: &str, zone: &str| {
            let key = (account.workload.id.instance.clone(), metric.to_owned(), zone.to_owned());
            arrived.get(&key).copied().flatten().unwrap_or_else(|| panic!("never told: {key:?}"))
        };
        let shared = if account.shared.0 > 0 { told("wattrace.workload.cpu.time", "true") } else { 0.0 };
        let cpu = told("wattrace.workload.cpu.time", "false") + shared;
        assert!((cpu - account.cpu.seconds()).abs() < 1e-12, "{account:?}: {cpu}");
        for (zone, energy) in &account.energy {
            let joules = told("wattrace.workload.energy", zone.name());
            assert!((joules - energy.joules().0).abs() < 1e-9, "{account:?}: {joules}");
            compared += 1;
        }
    }
    assert!(compared > 2, "{compared}");
}

#[test]
fn sigterm_ends_in_time_when_the_receiver_stalls() {
    live!();
    let receiver = Receiver::start(|_| Fault::Stall).unwrap();
    let place = Place::new();
    let mut agent = place.start(&["--endpoint", &receiver.endpoint()]);
    place.until_saved(2);
    agent.signal(Signal::TERM);
    let status = agent.end(patience(12));
    assert!(status.success(), "{status:?}");
    agent.until_said(" snapshots could not be sent in time; their totals are kept");
    assert!(points(&receiver).is_empty());
}

#[test]
fn sighup_takes_another_interval_and_refuses_a_broken_file() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    until_later(&receiver, 1);
    place.configure("[agent]\ninterval = \"5 parsecs\"\n");
    agent.signal(Signal::HUP);
    agent.until_said("the configuration is kept as it was: ");
    let at = format!("{}:2", path(&place.config()));
    assert!(agent.said().contains(&at), "{}", agent.said());
    until_later(&receiver, 2);
    place.configure("[agent]\ninterval = \"3s\"\n\n[energy]\nidle_watts = 1\nmax_watts = 2\n");
    agent.signal(Signal::HUP);
    agent.until_said("configuration reloaded; these need a restart: energy.idle_watts, energy.max_watts");
    let told = until_later(&receiver, 2);
    agent.stop();
    let instants = instants(&told);
    let [.., before, last] = *instants else { panic!("{instants:?}") };
    assert!(last - before > 2_000_000_000, "the last interval was {} ns", last - before);
}
