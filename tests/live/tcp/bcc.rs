//! The same connections, at the same time, by the bcc tool that is built for them (Debian's `libbpf-tools`).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use wattrace::probes::bpf::EventPlan;
use wattrace_common::tcp::Role;

use super::probe::{CLOSED, Pair, Probe, bytes};
use crate::{
    support::{live, steal},
    threads::bcc::Tool,
};

const COUNT: u64 = 200;
const BYTES: u64 = 100;

/// What `tcplife` says of a connection that ended.
#[derive(Debug)]
struct Life {
    sent: f64,
    received: f64,
    millis: f64,
}

/// By the ports of this side and of the other, where one of them is this.
fn lives(said: &str, port: u16) -> BTreeMap<(u16, u16), Life> {
    let mut count = 0;
    let mut found = BTreeMap::new();
    for line in said.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, local, _, peer, sent, received, millis] = words.as_slice() else { continue };
        let (Ok(local), Ok(peer)) = (local.parse(), peer.parse()) else { continue };
        if local == port || peer == port {
            let [sent, received, millis] = [sent, received, millis].map(|figure| figure.parse::<f64>().unwrap());
            count += 1;
            found.insert((local, peer), Life { sent: sent * 1024.0, received: received * 1024.0, millis });
        }
    }
    assert_eq!(found.len(), count, "no two have the same ports");
    found
}

/// It tells bytes in hundredths of 1,024, and takes the numbers of SYN and FIN for bytes.
#[track_caller]
fn assert_bytes(ours: u64, theirs: f64) {
    assert!((ours as f64 - theirs).abs() <= 1024.0 * 0.005 + 2.0, "{ours} by us, {theirs} by tcplife");
}

#[test]
fn tcplife_says_the_same_of_each_connection() {
    live!();
    let mut pair = Pair::new();
    let mut probe = Probe::with(EventPlan { rate: None, ..CLOSED });
    let Some(tool) = Tool::with_tracefs("tcplife", "", 1) else { return };
    let to = pair.listen(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let stolen = steal();
    pair.server.order(&format!("host l {COUNT} {BYTES}"));
    pair.client.must(&format!("hold {to} {COUNT} {BYTES}"));
    pair.server.result().unwrap();
    let all = BYTES * COUNT * (COUNT + 1) / 2;
    assert_eq!(bytes(&probe.until_closed(&pair.client_group, COUNT)), (all, BYTES * COUNT));
    assert_eq!(bytes(&probe.until_closed(&pair.server_group, COUNT)), (BYTES * COUNT, all));
    let stolen = steal() - stolen;
    let ours = [probe.events(&pair.client_group), probe.events(&pair.server_group)].concat();
    probe.assert_whole();
    let theirs = lives(&tool.end(), to.port());
    assert_eq!((theirs.len() as u64, ours.len() as u64), (2 * COUNT, 2 * COUNT));
    let mut farthest: f64 = 0.0;
    for event in &ours {
        let life = &theirs[&(event.local_port, event.peer_port)];
        assert_bytes(event.sent, life.sent);
        assert_bytes(event.received, life.received);
        let millis = (event.head.at - event.established) as f64 / 1e6;
        farthest = farthest.max((millis - life.millis).abs());
        let number = if event.role == Role::Client as u32 { event.sent } else { event.received } / BYTES;
        assert!(millis >= (number % 20) as f64, "number {number} was held longer than {millis} ms");
    }
    println!("{} ends; lifespans differ by {farthest} ms at most", theirs.len());
    // Both programs run one after the other, unless the hypervisor comes between them.
    assert!(farthest <= 1.0 + stolen.seconds() * 1e3, "{farthest} ms");
}
