//! Connections of MPTCP, whose parts are connections of TCP.

use std::{net::Ipv4Addr, path::Path};

use wattrace_common::tcp::Role;

use super::{
    networks::Namespace,
    probe::{Pair, Probe, bytes, closed, failures, role},
};
use crate::support::{live, until};

/// Each with this many connections of TCP.
const PARTS: u64 = 2;

/// A connection over two addresses of the client.
#[test]
fn the_parts_of_a_connection_are_counted_and_what_they_are_part_of_is_not() {
    live!();
    if !Path::new("/proc/sys/net/mptcp/enabled").exists() {
        return println!("SKIPPED: this kernel has no MPTCP");
    }
    let world = Namespace::new("parts");
    world.set("mptcp/enabled", 1);
    world.run(&["mptcp", "limits", "set", "subflows", "1"]);
    world.run(&["mptcp", "endpoint", "add", "127.0.0.2", "dev", "lo", "subflow"]);
    let mut pair = Pair::within(&world, &world);
    let mut probe = Probe::start();
    let port = pair.server.must("listen l 127.0.0.1:0 mptcp");
    pair.client.must(&format!("connect a {}:{port} mptcp", Ipv4Addr::LOCALHOST));
    pair.server.must("accept a l");
    pair.exchange("a", 1_000, 2_000);
    until("it has two parts", || world.count("netstat", "MPTcpExt:", "MPJoinAckRx") == PARTS - 1);
    pair.exchange("a", 50_000, 60_000);
    assert_eq!(world.count("netstat", "MPTcpExt:", "MPCapableACKRX"), 1);
    pair.client.must("close a");
    pair.server.must("close a");
    for (group, of, carried) in
        [(&pair.client_group, Role::Client, (51_000, 62_000)), (&pair.server_group, Role::Server, (62_000, 51_000))]
    {
        let reading = probe.until_closed(group, PARTS);
        assert_eq!((role(&reading, of).established, closed(&reading)), ([PARTS, 0], PARTS), "{of:?}");
        assert_eq!((bytes(&reading), failures(&reading, of)), (carried, vec![]), "{of:?}");
        assert_eq!(reading.totals.unobserved, 0, "{of:?}");
    }
    until("nothing is open", || probe.open() == 0);
    probe.assert_whole();
}
