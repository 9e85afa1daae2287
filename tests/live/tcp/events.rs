//! Connections told one by one as they end.

use std::net::{IpAddr, Ipv4Addr};

use wattrace_common::{
    loss::Reason,
    tcp::{Family, Role},
};

use super::probe::{CLOSED, Pair, Probe, closed};
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

#[test]
fn a_flood_of_one_workload_takes_no_event_of_another() {
    live!();
    let flood: u64 = if std::env::var_os("WATTRACE_TEST_LONG").is_some() { 50_000 } else { 5_000 };
    let mut probe = Probe::with(CLOSED);
    let (mut loud, mut quiet) = (Pair::new(), Pair::new());
    let (to_loud, to_quiet) =
        (loud.listen(IpAddr::V4(Ipv4Addr::LOCALHOST)), quiet.listen(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    loud.server.order(&format!("serve l {flood} 10"));
    loud.client.order(&format!("storm {to_loud} {flood} 10"));
    quiet.server.order("serve l 100 10");
    quiet.client.must(&format!("storm {to_quiet} 100 10"));
    quiet.server.result().unwrap();
    loud.client.result().unwrap();
    loud.server.result().unwrap();
    for group in [&quiet.client_group, &quiet.server_group] {
        assert_eq!(closed(&probe.until_closed(group, 100)), 100);
        assert_eq!((probe.events(group).len(), probe.of(group).dropped_events), (100, 0));
    }
    let mut held_back = 0;
    for group in [&loud.client_group, &loud.server_group] {
        let reading = probe.until_closed(group, flood);
        assert_eq!(closed(&reading), flood);
        assert_eq!(probe.events(group).len() as u64 + reading.dropped_events, flood, "each is told or counted");
        assert!(reading.dropped_events > 0);
        held_back += reading.dropped_events;
    }
    assert_eq!(probe.lost(Reason::Limited) + probe.lost(Reason::RingFull), held_back);
}
