//! Events on their way to a receiver: where they go, what becomes of them when nobody takes them.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and it waits for what another thread does"
)]

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use wattrace::{
    identity::Workload,
    outputs::{
        exporter::{Destinations, Exporter, Otlp},
        otlp::{
            http::{self, Client, proxy::Proxies},
            outcome::Encoding,
            queue::Items,
            retry::Pace,
            sender::Settings,
        },
    },
    samples::{Event, Exec, Instant},
    telemetry::{
        added::Added,
        events::{Clocks, Happened, Occurrences},
        snapshot::Resource,
    },
    units::Nanos,
};
use wattrace_common::events::{Head, Who};
use wattrace_tests::{
    patience,
    receiver::{Fault, Receiver},
};

const QUICK: Pace =
    Pace { first: Duration::from_millis(5), most: Duration::from_millis(20), probe: Duration::from_millis(20) };

/// Events of one workload, each with so many bytes of arguments.
fn occurrences(count: usize, args: usize) -> Occurrences {
    let exec = Exec {
        head: Head::default(),
        who: Who::default(),
        file: b"/bin/true".to_vec(),
        args: [vec![b'a'; args], vec![0]].concat(),
        is_cut: false,
    };
    let workload = Arc::new(Workload::unattributed("host"));
    let resource = Arc::new(Resource { id: workload.id.clone(), attributes: workload.id.attributes().to_vec() });
    let happened = Happened { workload, cgroup: None, price: None, events: vec![Event::Exec(exec); count] };
    Occurrences { resource, clocks: Clocks::after(None, Instant::default()), happened }
}

fn to(receiver: &Receiver, bound: usize) -> Otlp {
    let http = http::Settings {
        url: format!("{}/v1/logs", receiver.endpoint()).parse().unwrap(),
        headers: Vec::new(),
        timeout: patience(5),
        certificate: None,
        client: None,
        proxies: Proxies::default(),
    };
    let settings = Settings { encoding: Encoding::Gzip, pace: QUICK, items: Items::Events, bound, seed: 1 };
    Otlp { metrics: None, events: Some((Client::new(http).unwrap(), settings)) }
}

fn exporter(otlp: Otlp) -> Exporter {
    let added = Added { attributes: [("env".to_owned(), "lab".to_owned())].into(), service_name: None };
    Exporter::start(Destinations { otlp, prometheus: None, added, clock: || Nanos(0) }).unwrap()
}

/// Records that were acknowledged.
fn taken(receiver: &Receiver) -> usize {
    let requests = receiver.requests().into_iter().filter(|request| request.taken);
    let logs = requests.flat_map(|request| {
        assert_eq!(request.path, "/v1/logs");
        ExportLogsServiceRequest::decode(&*request.body).unwrap().resource_logs
    });
    let records = |logs: &opentelemetry_proto::tonic::logs::v1::ResourceLogs| {
        assert!(logs.resource.as_ref().unwrap().attributes.iter().any(|pair| pair.key == "env"));
        logs.scope_logs.iter().map(|scope| scope.log_records.len()).sum::<usize>()
    };
    logs.map(|logs| records(&logs)).sum()
}

#[test]
fn events_arrive_and_what_failed_is_sent_again() {
    let receiver = Receiver::start(|number| if number < 2 { Fault::status(503) } else { Fault::None }).unwrap();
    let mut exporter = exporter(to(&receiver, 8 << 20));
    exporter.offer_events(&[occurrences(10, 5)], Nanos(1));
    exporter.offer_events(&[occurrences(3, 5), occurrences(2, 5)], Nanos(2));
    let account = exporter.stop(patience(10)).events.unwrap();
    assert_eq!((taken(&receiver), account.delivered, account.waiting.points), (15, 15, 0));
    assert!(account.failed >= 2, "{account:?}");
}

#[test]
fn a_queue_that_nobody_empties_is_bounded_and_says_what_it_dropped() {
    const BOUND: usize = 3 << 20;
    let receiver = Receiver::start(|_| Fault::status(503)).unwrap();
    let mut exporter = exporter(to(&receiver, BOUND));
    for _ in 0..20 {
        exporter.offer_events(&[occurrences(2_000, 0)], Nanos(1));
        assert!(exporter.event_statistics().unwrap().waiting_bytes <= BOUND);
    }
    let account = exporter.event_statistics().unwrap();
    assert_eq!(account.offered.points, 40_000);
    assert_eq!(account.dropped.thinned.points, 0, "events are not thinned out");
    assert_eq!(account.dropped.full.points + account.waiting.points, 40_000);
    assert!(account.dropped.full.points > 20_000, "{account:?}");
    let left = exporter.stop(Duration::ZERO).events.unwrap().waiting.points;
    assert_eq!(left, account.waiting.points, "what is left is said");
}

#[test]
fn what_waits_goes_to_another_destination_and_without_one_is_counted() {
    let (refusing, taking) =
        (Receiver::start(|_| Fault::status(503)).unwrap(), Receiver::start(|_| Fault::None).unwrap());
    let mut exporter = exporter(to(&refusing, 8 << 20));
    exporter.offer_events(&[occurrences(7, 5)], Nanos(1));
    assert_eq!(exporter.redirect(to(&taking, 8 << 20)).events, 0);
    let deadline = std::time::Instant::now() + patience(10);
    while exporter.event_statistics().unwrap().delivered < 7 {
        assert!(std::time::Instant::now() < deadline, "they never arrive");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((taken(&refusing), taken(&taking)), (0, 7));
    exporter.redirect(Otlp::default());
    exporter.offer_events(&[occurrences(4, 5)], Nanos(2));
    assert_eq!((exporter.event_statistics(), exporter.homeless_events()), (None, 4));
    exporter.redirect(to(&refusing, 8 << 20));
    exporter.offer_events(&[occurrences(5, 5)], Nanos(3));
    assert_eq!(exporter.redirect(Otlp::default()).events, 5);
    assert_eq!(exporter.homeless_events(), 9);
    exporter.stop(Duration::ZERO);
}
