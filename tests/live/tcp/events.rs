//! Connections told one by one as they end.

use std::net::{IpAddr, Ipv4Addr};

use wattrace::samples::TcpWorkReading;
use wattrace_common::{
    events::ClosedEvent,
    loss::Reason,
    tcp::{Family, Role},
};

use super::{
    networks::Namespace,
    probe::{CLOSED, Pair, Probe, bytes, closed, failures, role},
};
use crate::support::live;

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

fn address(of: [u8; 16]) -> [u8; 4] {
    [of[0], of[1], of[2], of[3]]
}

#[test]
fn a_connection_is_told_with_what_it_was() {
    live!();
    let mut pair = Pair::new();
    let mut probe = Probe::with(CLOSED);
    let to = pair.listen(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port: u16 = pair.client.must(&format!("connect a {to}")).parse().unwrap();
    pair.server.must("accept a l");
    pair.exchange("a", 1_111, 22);
    pair.client.must("close a");
    pair.server.must("close a");
    let (client, server) = (probe.event(&pair.client_group), probe.event(&pair.server_group));
    for (event, role, ports, bytes) in
        [(client, Role::Client, (port, to.port()), (1_111, 22)), (server, Role::Server, (to.port(), port), (22, 1_111))]
    {
        assert_eq!((event.role, event.family, event.error), (role as u32, Family::V4 as u32, 0));
        assert_eq!((event.local_port, event.peer_port), ports, "{role:?}");
        assert_eq!((event.sent, event.received), bytes, "{role:?}");
        assert_eq!((address(event.local), address(event.peer)), (LOOPBACK, LOOPBACK));
        assert!(event.established > 0 && event.established <= event.head.at);
    }
}

/// That so many connections were counted, each of which sent and received ten bytes.
#[track_caller]
fn assert_counted(reading: &TcpWorkReading, of: Role, count: u64) {
    let totals = role(reading, of);
    assert_eq!((totals.established, totals.closed, closed(reading)), ([count, 0], count, count), "{of:?}");
    assert_eq!((bytes(reading), failures(reading, of)), ((count * 10, count * 10), vec![]), "{of:?}");
}

#[test]
fn a_flood_of_one_workload_takes_no_event_of_another() {
    live!();
    let flood: u64 = if wattrace_tests::is_long() { 50_000 } else { 5_000 };
    let mut probe = Probe::with(CLOSED);
    let world = Namespace::roomy("flood");
    let [mut loud, mut quiet] = [(); 2].map(|()| Pair::within(&world, &world));
    let (to_loud, to_quiet) =
        (loud.listen(IpAddr::V4(Ipv4Addr::LOCALHOST)), quiet.listen(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    loud.server.order(&format!("serve l {flood} 10"));
    loud.client.order(&format!("storm {to_loud} {flood} 10"));
    quiet.server.order("serve l 100 10");
    let ports = quiet.client.must(&format!("storm {to_quiet} 100 10"));
    quiet.server.result().unwrap();
    loud.client.result().unwrap();
    loud.server.result().unwrap();
    let mut ports: Vec<u16> = ports.split(' ').map(|port| port.parse().unwrap()).collect();
    ports.sort_unstable();
    for (group, of) in [(&quiet.client_group, Role::Client), (&quiet.server_group, Role::Server)] {
        let reading = probe.until_closed(group, 100);
        assert_counted(&reading, of, 100);
        assert_eq!(reading.dropped_events, 0);
        let clients = |event: &ClosedEvent| if of == Role::Client { event.local_port } else { event.peer_port };
        let mut told: Vec<u16> = probe.events(group).iter().map(clients).collect();
        told.sort_unstable();
        assert_eq!(told, ports, "{of:?}");
    }
    let mut held_back = 0;
    for (group, of) in [(&loud.client_group, Role::Client), (&loud.server_group, Role::Server)] {
        let reading = probe.until_closed(group, flood);
        assert_counted(&reading, of, flood);
        assert_eq!(probe.events(group).len() as u64 + reading.dropped_events, flood, "each is told or counted");
        assert!(reading.dropped_events > 0);
        held_back += reading.dropped_events;
    }
    assert_eq!(probe.lost(Reason::Limited) + probe.lost(Reason::RingFull), held_back);
}
