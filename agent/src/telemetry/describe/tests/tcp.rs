//! What is told of connections.

use wattrace_common::tcp::{LIFESPAN_BUCKETS, ROLES, TRIP_BUCKETS};

use super::*;
use crate::samples::{
    Durations, RoleTotals, TcpDurations, TcpTotals,
    tcp::{OpenNow, TcpUse},
};

fn of_tcp(snapshot: &Snapshot, name: &str) -> Vec<String> {
    let is_one = |line: &String| line.starts_with("wattrace.workload.tcp") || line.contains("operations");
    let mut told: Vec<_> = lines(snapshot, name).into_iter().filter(is_one).collect();
    told.sort();
    told
}

fn done() -> TcpUse {
    let client = RoleTotals {
        established: [3, 1],
        closed: 2,
        unmeasured: 1,
        aborted: 4,
        failures: [[7, 0, 0, 2, 0], [0, 1, 0, 0, 0]],
    };
    let server = RoleTotals { established: [0, 2], closed: 2, ..RoleTotals::default() };
    let totals = TcpTotals { roles: [client, server], unobserved: 1, sent: 4_096, received: 100, retransmits: 5 };
    TcpUse { totals, durations: None }
}

#[test]
fn where_it_is_not_counted_or_nothing_was_done_there_is_nothing() {
    let mut machine = Machine::new();
    machine.functional_unit = Some(FunctionalUnit::ConnectionsClosed);
    assert_eq!(of_tcp(&machine.tell(&busy()), "ssh.service"), [""; 0]);
    let step = Step { tcp: Some(TcpUse::default()), ..busy() };
    assert_eq!(of_tcp(&machine.tell(&step), "ssh.service"), [""; 0]);
}

#[test]
fn what_connections_did_adds_up() {
    let mut machine = Machine::new();
    machine.functional_unit = Some(FunctionalUnit::ConnectionsClosed);
    let step = Step { tcp: Some(done()), ..busy() };
    machine.tell(&step);
    let expected = [
        "wattrace.workload.operations{connections_closed} 10",
        "wattrace.workload.tcp.connection.failures{client,refused,handshake} 14",
        "wattrace.workload.tcp.connection.failures{client,reset,established} 2",
        "wattrace.workload.tcp.connection.failures{client,unreachable,handshake} 4",
        "wattrace.workload.tcp.connections.aborted{client} 8",
        "wattrace.workload.tcp.connections.unobserved_start{} 2",
        "wattrace.workload.tcp.connections{client,ipv4} 6",
        "wattrace.workload.tcp.connections{client,ipv6} 2",
        "wattrace.workload.tcp.connections{server,ipv6} 4",
        "wattrace.workload.tcp.handshake.unmeasured{client} 2",
        "wattrace.workload.tcp.io{receive} 200",
        "wattrace.workload.tcp.io{transmit} 8192",
        "wattrace.workload.tcp.retransmits{} 10",
    ];
    assert_eq!(of_tcp(&machine.tell(&step), "ssh.service"), expected);
}

#[test]
fn how_many_are_open_is_told_of_roles_that_ever_had_one() {
    let open = |machine: &mut Machine, step: &Step, now: Option<[u64; ROLES.len()]>| {
        let snapshot = machine.tell(&busy());
        let id = find(&snapshot, "ssh.service").resource.id.clone();
        machine.open = now.map(|now| (id, OpenNow(now))).into_iter().collect();
        let told = of_tcp(&machine.tell(step), "ssh.service");
        told.into_iter().filter(|line| line.contains("connection.count")).collect::<Vec<_>>()
    };
    let mut machine = Machine::new();
    assert_eq!(open(&mut machine, &busy(), Some([0, 0])), [""; 0]);
    let older = ["wattrace.workload.tcp.connection.count{server} 3"];
    assert_eq!(open(&mut machine, &busy(), Some([0, 3])), older, "older than the agent");
    let mut did = done();
    did.totals.roles[1] = RoleTotals::default();
    let none = ["wattrace.workload.tcp.connection.count{client} 0"];
    let mut machine = Machine::new();
    assert_eq!(open(&mut machine, &Step { tcp: Some(did), ..busy() }, Some([0, 0])), none);
    let snapshot = machine.tell(&busy());
    let phase = |snapshot: &Snapshot| {
        let mut series = find(snapshot, "ssh.service").series.iter();
        series.find(|series| series.metric.name.ends_with("connection.count")).map(|series| series.phase)
    };
    assert_eq!(phase(&snapshot), Some(Phase::Live));
    machine.open.clear();
    assert_eq!(phase(&machine.tell(&busy())), Some(Phase::Gone), "it is not known any more");
}

#[test]
fn each_histogram_keeps_its_scale_and_its_role() {
    let one = |nanos: u64, buckets: usize, at: usize| {
        let mut counts = vec![0; buckets];
        counts[at] = 1;
        Durations { sum: Nanos(nanos), counts }
    };
    // From 2^-20 s on. Scale 1: bucket 40 ends at 1 s; scale 2: bucket 40 ends at 2^-10 s.
    let durations = TcpDurations {
        lifespans: [one(900_000_000, LIFESPAN_BUCKETS, 40), Durations::default()],
        handshakes: [Durations::default(), one(900_000, TRIP_BUCKETS, 40)],
        rtts: one(800_000, TRIP_BUCKETS, 40),
    };
    let tcp = Some(TcpUse { durations: Some(durations), ..done() });
    let snapshot = Machine::new().tell(&Step { tcp, ..busy() });
    let told: Vec<_> = find(&snapshot, "ssh.service")
        .series
        .iter()
        .filter_map(|series| match &series.value {
            Value::Histogram(value) => {
                let edges: Vec<_> = value.edges().filter(|(_, count)| *count > 0).collect();
                Some((series.metric.name, series.attributes.join(","), edges, value.sum))
            }
            Value::Number(_) => None,
        })
        .collect();
    let expected = [
        ("wattrace.workload.tcp.connection.duration", "client".to_owned(), vec![(1.0, 1)], 0.9),
        ("wattrace.workload.tcp.handshake.duration", "server".to_owned(), vec![(1.0 / 1024.0, 1)], 0.0009),
        ("wattrace.workload.tcp.rtt.duration", String::new(), vec![(1.0 / 1024.0, 1)], 0.0008),
    ];
    assert_eq!(told, expected);
}
