//! What is counted of connections whose every byte and end the test knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wattrace::samples::TcpWorkReading;
use wattrace_common::tcp::{Failure, Family, Phase, Role};

use super::{
    networks::Namespace,
    probe::{Pair, Probe, Talker, bytes, closed, failures, role},
};
use crate::support::{Cgroup, live, until};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

const ETIMEDOUT: i32 = 110;
const ECONNREFUSED: i32 = 111;

#[test]
fn both_sides_count_what_they_sent_whoever_ends_first() {
    live!();
    let mut pair = Pair::new();
    let mut probe = Probe::start();
    let to = pair.listen(V4);
    for (name, (first, second)) in [("a", (true, false)), ("b", (false, true))] {
        pair.connect(name, to);
        pair.exchange(name, 12_345, 678);
        for is_client in [first, second] {
            let side = if is_client { &mut pair.client } else { &mut pair.server };
            side.must(&format!("close {name}"));
        }
    }
    let client = probe.until_closed(&pair.client_group, 2);
    let server = probe.until_closed(&pair.server_group, 2);
    assert_eq!(bytes(&client), (2 * 12_345, 2 * 678));
    assert_eq!(bytes(&server), (2 * 678, 2 * 12_345));
    for (reading, of, other) in [(&client, Role::Client, Role::Server), (&server, Role::Server, Role::Client)] {
        let counted = role(reading, of);
        assert_eq!((counted.established, counted.closed, counted.unmeasured), ([2, 0], 2, 0), "{of:?}");
        assert_eq!(role(reading, other).established, [0, 0], "{of:?}");
        let durations = reading.durations.as_ref().unwrap();
        assert_eq!(durations.lifespans[of as usize].counts.iter().sum::<u64>(), 2);
        assert_eq!(durations.handshakes[of as usize].counts.iter().sum::<u64>(), 2);
        assert_eq!(durations.rtts.counts.iter().sum::<u64>(), 2);
        assert_eq!((failures(reading, of), reading.totals.unobserved), (vec![], 0));
    }
    until("nothing is open", || probe.open() == 0);
    probe.assert_whole();
}

#[test]
fn a_mapped_address_is_one_of_ipv4() {
    live!();
    let mut pair = Pair::new();
    let mut probe = Probe::start();
    let any = pair.listen(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    for (name, to) in [("six", V6), ("four", V4), ("mapped", mapped)] {
        pair.connect(name, SocketAddr::new(to, any.port()));
        pair.exchange(name, 10, 20);
        pair.client.must(&format!("close {name}"));
        pair.server.must(&format!("close {name}"));
    }
    for (group, of) in [(&pair.client_group, Role::Client), (&pair.server_group, Role::Server)] {
        let reading = probe.until_closed(group, 3);
        let established = role(&reading, of).established;
        assert_eq!((established[Family::V4 as usize], established[Family::V6 as usize]), (2, 1), "{of:?}");
    }
    probe.assert_whole();
}

#[test]
fn one_side_may_end_long_before_the_other() {
    live!();
    let mut pair = Pair::new();
    let mut probe = Probe::start();
    let to = pair.listen(V6);
    pair.connect("half", to);
    pair.client.must("send half 1000");
    pair.client.must("shutdown half");
    assert_eq!(pair.server.must("finish half"), "1000");
    pair.server.must("send half 500");
    pair.client.must("receive half 500");
    assert_eq!(closed(&probe.of(&pair.client_group)) + closed(&probe.of(&pair.server_group)), 0, "both are open");
    // Others on this machine may have some for a moment.
    until("two are open", || probe.open() == 2);
    pair.server.must("close half");
    pair.client.must("close half");
    assert_eq!(bytes(&probe.until_closed(&pair.client_group, 1)), (1_000, 500));
    assert_eq!(bytes(&probe.until_closed(&pair.server_group, 1)), (500, 1_000));
}

#[test]
fn who_is_broken_off_fails_and_who_breaks_off_does_not() {
    live!();
    let mut pair = Pair::new();
    let mut probe = Probe::start();
    let to = pair.listen(V4);
    pair.connect("gone", to);
    pair.exchange("gone", 100, 100);
    pair.client.must("reset gone");
    let server = probe.until_closed(&pair.server_group, 1);
    assert_eq!(failures(&server, Role::Server), [(Phase::Established as usize, Failure::Reset as usize, 1)]);
    let client = probe.until_closed(&pair.client_group, 1);
    assert_eq!((failures(&client, Role::Client), bytes(&client)), (vec![], (100, 100)));
    assert_eq!(bytes(&server), (100, 100), "no end was sent");
}

#[test]
fn what_was_never_established_says_why() {
    live!();
    let mut pair = Pair::new();
    let mut probe = Probe::start();
    let to = pair.listen(V4);
    pair.server.must("unlisten l");
    for _ in 0..3 {
        assert_eq!(pair.client.try_to(&format!("connect x {to}")), Err(ECONNREFUSED));
    }
    let client = probe.of(&pair.client_group);
    assert_eq!(failures(&client, Role::Client), [(Phase::Handshake as usize, Failure::Refused as usize, 3)]);
    assert_eq!((role(&client, Role::Client).established, closed(&client)), ([0, 0], 0));
    assert_eq!(client.totals.unobserved, 0);
    until("nothing is open", || probe.open() == 0);
    probe.assert_whole();
}

#[test]
fn connections_older_than_the_programs_are_said_to_be() {
    live!();
    let mut pair = Pair::new();
    let to = pair.listen(V4);
    pair.connect("old", to);
    pair.exchange("old", 3_000, 4_000);
    let mut probe = Probe::start();
    pair.exchange("old", 50, 60);
    pair.client.must("close old");
    pair.server.must("close old");
    until("both ended", || {
        [&pair.client_group, &pair.server_group].iter().all(|group| probe.of(group).totals.unobserved == 1)
    });
    let client = probe.of(&pair.client_group);
    assert_eq!(bytes(&client), (3_050, 4_060), "what came before is taken off by who knows it");
    assert_eq!((closed(&client), role(&client, Role::Client).established), (0, [0, 0]));
}

#[test]
fn a_peer_that_vanishes_is_a_failure_in_the_end() {
    live!();
    let world = Namespace::new("mute");
    let mut pair = Pair::within(&world, &world);
    let mut probe = Probe::start();
    let to = pair.listen(V4);
    pair.connect("mute", to);
    pair.client.must("patience mute 500");
    world.run(&["link", "set", "lo", "down"]);
    pair.client.must("send mute 100");
    pair.client.order("finish mute");
    assert_eq!(pair.client.result(), Err(ETIMEDOUT));
    pair.client.must("close mute");
    let client = probe.until_closed(&pair.client_group, 1);
    assert_eq!(failures(&client, Role::Client), [(Phase::Established as usize, Failure::TimedOut as usize, 1)]);
    assert!(client.totals.retransmits > 0);
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    const COUNT: u64 = 10_000;
    const BYTES: u64 = 100;

    live!();
    let world = Namespace::roomy("storm");
    let mut pair = Pair::within(&world, &world);
    let mut probe = Probe::start();
    let to = pair.listen(V4);
    pair.server.order(&format!("serve l {COUNT} {BYTES}"));
    pair.client.must(&format!("storm {to} {COUNT} {BYTES}"));
    pair.server.result().unwrap();
    for (group, of) in [(&pair.client_group, Role::Client), (&pair.server_group, Role::Server)] {
        let reading = probe.until_closed(group, COUNT);
        assert_eq!(role(&reading, of).established, [COUNT, 0], "{of:?}");
        assert_eq!((closed(&reading), bytes(&reading)), (COUNT, (COUNT * BYTES, COUNT * BYTES)), "{of:?}");
        assert_eq!((failures(&reading, of), reading.totals.unobserved), (vec![], 0), "{of:?}");
    }
    until("nothing is open", || probe.open() == 0);
    probe.assert_whole();
}

#[test]
fn a_workload_that_is_gone_gives_its_row_back() {
    live!();
    let (group, other) = (Cgroup::new(), Cgroup::new());
    let mut probe = Probe::start();
    let (mut client, mut server) = (Talker::new(&group), Talker::new(&other));
    let port = server.must("listen l 127.0.0.1:0");
    client.must(&format!("connect a 127.0.0.1:{port}"));
    until("it is established", || role(&probe.of(&group), Role::Client).established == [1, 0]);
    probe.read();
    assert_eq!(probe.release(|id| id == group.id), 0, "its connection is open");
    client.must("close a");
    assert_eq!(closed(&probe.until_closed(&group, 1)), 1);
    probe.read();
    let is_dead = |id| id == group.id;
    assert_eq!(probe.release(is_dead), 1);
    assert_eq!(probe.of(&group), TcpWorkReading::default());
    assert_eq!(probe.release(is_dead), 0);
}
