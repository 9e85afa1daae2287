//! Connections over a link whose delay, and whose losses, the test knows.

use std::{ops::RangeInclusive, time::Duration};

use wattrace::{clock, samples::Durations, units::Nanos};
use wattrace_common::{
    tcp::{Role, TRIP_BUCKETS, UNKNOWN},
    threads::wait_bucket,
};

use super::{
    networks::{Link, Told},
    probe::{CLOSED, Pair, Probe, bytes, closed, role},
};
use crate::support::{live, until};

/// One way.
const DELAY: Duration = Duration::from_millis(20);
const ONE_WAY: u64 = 20_000_000;

/// That a histogram has just this one duration.
#[track_caller]
fn assert_one(durations: &Durations, nanos: u64) {
    let counts: Vec<u64> = (0..TRIP_BUCKETS).map(|at| u64::from(at == wait_bucket(nanos, u64::wrapping_sub))).collect();
    assert_eq!((durations.sum, &durations.counts), (Nanos(nanos), &counts));
}

#[track_caller]
fn assert_within(what: &str, nanos: u64, range: RangeInclusive<u64>) {
    println!("{what}: {nanos} of {range:?} ns");
    assert!(range.contains(&nanos), "{what}: {nanos} of {range:?}");
}

/// What the kernel tells of both ends, the client's first, once all that was sent is acknowledged.
fn quiet(link: &Link) -> [Told; 2] {
    let told = || [link.client.connection(), link.server.connection()];
    until("all is acknowledged", || told().iter().all(Told::is_quiet));
    told()
}

#[test]
fn a_link_that_takes_its_time_is_in_handshakes_and_round_trips() {
    live!();
    let Some(link) = Link::new("slow", DELAY, &[]) else { return };
    let mut pair = Pair::within(&link.server, &link.client);
    let mut probe = Probe::with(CLOSED);
    let to = pair.listen(Link::SERVER);
    let asked = clock::monotonic().0;
    pair.client.must(&format!("connect a {to}"));
    let connected = clock::monotonic().0;
    pair.server.must("accept a l");
    let accepted = clock::monotonic().0;
    pair.exchange("a", 5_000, 70_000);
    let told = quiet(&link);
    let broken_off = clock::monotonic().0;
    pair.client.must("reset a");
    let ended = clock::monotonic().0;
    let (client, server) = (probe.event(&pair.client_group), probe.event(&pair.server_group));

    assert_within("the client's handshake", client.handshake, 2 * ONE_WAY..=connected - asked);
    // Its answer leaves when the question has come.
    assert_within("the server's handshake", server.handshake, 2 * ONE_WAY..=accepted - asked - ONE_WAY);
    assert_within("the client's start", client.established, asked + client.handshake..=connected);
    assert_within("the server's start", server.established, asked + 3 * ONE_WAY..=accepted);
    assert_within("the client's end", client.head.at, broken_off..=ended);
    assert_within("the server's end", server.head.at, broken_off + ONE_WAY..=clock::monotonic().0);
    for (event, told, group, of) in
        [(client, &told[0], &pair.client_group, Role::Client), (server, &told[1], &pair.server_group, Role::Server)]
    {
        assert_eq!(Duration::from_micros(event.rtt / 1_000), told.rtt(), "{of:?}: {told:?}");
        assert!(event.rtt >= 2 * ONE_WAY, "{of:?}");
        let reading = probe.of(group);
        let durations = reading.durations.as_ref().unwrap();
        assert_one(&durations.handshakes[of as usize], event.handshake);
        assert_one(&durations.rtts, event.rtt);
        assert_eq!(durations.lifespans[of as usize].sum, Nanos(event.head.at - event.established), "{of:?}");
        assert_eq!((role(&reading, of).established, closed(&reading)), ([1, 0], 1), "{of:?}");
    }
    assert_eq!(bytes(&probe.of(&pair.client_group)), (5_000, 70_000));
    assert_eq!(bytes(&probe.of(&pair.server_group)), (70_000, 5_000));
    probe.assert_whole();
}

/// Only what comes with timestamps tells which of two answers it is for.
#[test]
fn an_answer_that_was_sent_again_is_measured_by_timestamps_or_not_at_all() {
    live!();
    for has_timestamps in [false, true] {
        let Some(mut link) = Link::new("again", DELAY, &["answer"]) else { return };
        link.server.set("ipv4/tcp_timestamps", u32::from(has_timestamps));
        let mut pair = Pair::within(&link.server, &link.client);
        let mut probe = Probe::with(CLOSED);
        let to = pair.listen(Link::SERVER);
        pair.connect("a", to);
        assert_eq!(link.losses(), (1, 0));
        pair.client.must("reset a");
        let (client, server) = (probe.event(&pair.client_group), probe.event(&pair.server_group));
        println!("timestamps {has_timestamps}: {} ns, {} ns", client.handshake, server.handshake);
        let reading = probe.of(&pair.server_group);
        let handshakes = &reading.durations.as_ref().unwrap().handshakes[Role::Server as usize];
        if has_timestamps {
            // They are in milliseconds, which are cut.
            assert_within("the server's handshake", server.handshake, 2 * ONE_WAY - 1_000_000..=client.handshake);
            assert_one(handshakes, server.handshake);
        } else {
            assert_eq!((server.handshake, handshakes.sum), (UNKNOWN, Nanos(0)));
        }
        let unmeasured = u64::from(!has_timestamps);
        assert_eq!(
            (role(&reading, Role::Server).established, role(&reading, Role::Server).unmeasured),
            ([1, 0], unmeasured)
        );
    }
}

#[test]
fn what_is_sent_again_counts_as_that_and_its_bytes_once() {
    const BYTES: u64 = 100_000;

    live!();
    let Some(mut link) = Link::new("lossy", Duration::from_millis(2), &["3", "9"]) else { return };
    let mut pair = Pair::within(&link.server, &link.client);
    let mut probe = Probe::start();
    let to = pair.listen(Link::SERVER);
    pair.connect("a", to);
    pair.exchange("a", BYTES, 10);
    let [told, _] = quiet(&link);
    until("all that was sent has passed", || link.losses() == (2, told.retransmits()));
    assert!(told.retransmits() >= 2, "{told:?}");
    pair.client.must("reset a");
    let client = probe.until_closed(&pair.client_group, 1);
    let server = probe.until_closed(&pair.server_group, 1);
    assert_eq!(client.totals.retransmits, told.retransmits());
    assert_eq!((bytes(&client), bytes(&server)), ((BYTES, 10), (10, BYTES)));
    assert_eq!(server.totals.retransmits, 0);
}
