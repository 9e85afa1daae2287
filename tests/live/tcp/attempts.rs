//! Connections that are asked for and never established, or only ever seen from another network namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wattrace::samples::TcpWorkReading;
use wattrace_common::tcp::{Failure, Phase, Role};

use super::{
    networks::{Namespace, has_tun},
    probe::{Pair, Probe, bytes, closed, failures, role},
};
use crate::support::{live, until};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const ENETUNREACH: i32 = 101;
const ETIMEDOUT: i32 = 110;
const EHOSTUNREACH: i32 = 113;

/// Connections that a listener takes that nobody asks for them, where a queue may have one: one more than that.
const TAKEN: u64 = 2;

/// A pair in a namespace where one more connection to the address gets no answer: too many wait to be accepted.
fn unanswered(world: &Namespace) -> (Pair, SocketAddr) {
    world.set("core/somaxconn", 1);
    let mut pair = Pair::within(world, world);
    let to = pair.listen(LOOPBACK);
    for number in 0..TAKEN {
        pair.client.must(&format!("connect {number} {to}"));
    }
    (pair, to)
}

/// That a client made one attempt, and what became of it.
#[track_caller]
fn assert_failed(probe: &mut Probe, pair: &Pair, failure: Failure) -> TcpWorkReading {
    let client = probe.of(&pair.client_group);
    assert_eq!(failures(&client, Role::Client), [(Phase::Handshake as usize, failure as usize, 1)]);
    let totals = role(&client, Role::Client);
    assert_eq!((totals.established, totals.aborted, client.totals.closed()), ([0, 0], 0, 0));
    until("nothing is open", || probe.open() == 0);
    probe.assert_whole();
    client
}

#[test]
fn who_gets_no_answer_has_timed_out() {
    live!();
    let world = Namespace::new("silent");
    world.set("ipv4/tcp_syn_retries", 1);
    let (mut pair, to) = unanswered(&world);
    let mut probe = Probe::start();
    assert_eq!(pair.client.try_to(&format!("connect late {to}")), Err(ETIMEDOUT));
    let client = assert_failed(&mut probe, &pair, Failure::TimedOut);
    // How often it asks again differs by kernel.
    assert!(client.totals.retransmits >= 1);
    assert_eq!(client.totals.retransmits, world.retransmits());
}

#[test]
fn who_gives_up_asking_does_not_fail() {
    live!();
    let world = Namespace::new("hasty");
    let (mut pair, to) = unanswered(&world);
    let mut probe = Probe::start();
    pair.client.must(&format!("abort {to}"));
    let client = probe.of(&pair.client_group);
    let totals = role(&client, Role::Client);
    assert_eq!((totals.aborted, totals.established, failures(&client, Role::Client)), (1, [0, 0], vec![]));
    assert_eq!((closed(&client), client.totals.unobserved), (0, 0));
    until("nothing is open", || probe.open() == 0);
    probe.assert_whole();
}

#[test]
fn who_is_not_there_is_unreachable() {
    live!();
    if !has_tun() {
        return;
    }
    let world = Namespace::new("empty");
    world.run(&["tuntap", "add", "dev", "deaf", "mode", "tap"]);
    world.run(&["address", "add", "10.78.0.1/24", "dev", "deaf"]);
    world.run(&["link", "set", "dev", "deaf", "up"]);
    let mut pair = Pair::within(&world, &world);
    let mut probe = Probe::start();
    assert_eq!(pair.client.try_to("connect a 10.78.0.2:80"), Err(EHOSTUNREACH));
    assert_failed(&mut probe, &pair, Failure::Unreachable);
}

#[test]
fn where_no_way_leads_nothing_is_asked() {
    live!();
    let world = Namespace::new("alone");
    world.run(&["route", "add", "unreachable", "10.79.0.0/16"]);
    let mut pair = Pair::within(&world, &world);
    let mut probe = Probe::start();
    assert_eq!(pair.client.try_to("connect a 10.78.0.2:80"), Err(ENETUNREACH));
    assert_eq!(pair.client.try_to("connect a 10.79.0.2:80"), Err(EHOSTUNREACH));
    assert_eq!(probe.of(&pair.client_group), TcpWorkReading::default());
    until("nothing is open", || probe.open() == 0);
    probe.assert_whole();
}

#[test]
fn another_namespace_counts_like_this_one_and_tells_bytes_at_the_end() {
    live!();
    let world = Namespace::new("other");
    let mut pair = Pair::within(&world, &world);
    let to = pair.listen(LOOPBACK);
    pair.connect("old", to);
    pair.exchange("old", 5_000, 6_000);
    let mut probe = Probe::start();
    pair.connect("new", to);
    pair.exchange("new", 1_234, 567);
    for (group, of) in [(&pair.client_group, Role::Client), (&pair.server_group, Role::Server)] {
        let reading = probe.of(group);
        assert_eq!((role(&reading, of).established, closed(&reading), bytes(&reading)), ([1, 0], 0, (0, 0)), "{of:?}");
    }
    for name in ["new", "old"] {
        pair.client.must(&format!("close {name}"));
        pair.server.must(&format!("close {name}"));
    }
    until("the old one ended", || {
        [&pair.client_group, &pair.server_group].iter().all(|group| probe.of(group).totals.unobserved == 1)
    });
    let (client, server) = (probe.until_closed(&pair.client_group, 1), probe.until_closed(&pair.server_group, 1));
    assert_eq!((bytes(&client), bytes(&server)), ((1_234, 567), (567, 1_234)), "what the old one carried is not known");
    probe.assert_whole();
}
