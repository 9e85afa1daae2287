//! The spare program at states of connections: beside the other it counts nothing twice, and alone everything.

use std::net::{IpAddr, Ipv4Addr};

use wattrace::probes::bpf::{Machine, Spares};
use wattrace_common::tcp::{Failure, Phase, Role};

use super::probe::{CLOSED, Pair, Probe, bytes, failures, role};
use crate::support::{live, machine, until};

#[test]
fn a_connection_counts_once_whoever_sees_it() {
    const EACH: usize = 20;

    live!();
    for spares in [Spares::None, Spares::Beside, Spares::Alone] {
        let mut pair = Pair::new();
        let mut probe = Probe::on(Machine { spares, events: CLOSED, ..machine() });
        let to = pair.listen(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for number in 0..EACH {
            let name = format!("c{number}");
            pair.connect(&name, to);
            pair.exchange(&name, 1_000, 10);
            pair.client.must(&format!("close {name}"));
            pair.server.must(&format!("close {name}"));
        }
        pair.server.must("unlisten l");
        for _ in 0..3 {
            pair.client.try_to(&format!("connect x {to}")).unwrap_err();
        }
        for (group, of, sent) in [(&pair.client_group, Role::Client, 1_000), (&pair.server_group, Role::Server, 10)] {
            let reading = probe.until_closed(group, EACH as u64);
            let counted = role(&reading, of);
            assert_eq!((counted.established, counted.closed), ([EACH as u64, 0], EACH as u64), "{spares:?} {of:?}");
            assert_eq!((bytes(&reading).0, reading.totals.unobserved), (sent * EACH as u64, 0), "{spares:?} {of:?}");
            assert_eq!(counted.unmeasured, 0, "{spares:?} {of:?}");
            assert_eq!(probe.events(group).len(), EACH, "{spares:?} {of:?}");
        }
        let refused = (Phase::Handshake as usize, Failure::Refused as usize, 3);
        assert_eq!(failures(&probe.of(&pair.client_group), Role::Client), [refused], "{spares:?}");
        until("nothing is open", || probe.open() == 0);
        probe.assert_whole();
    }
}
