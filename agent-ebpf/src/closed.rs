//! The event of a connection that ended: what travels of it.

use wattrace_common::{
    events::{ClosedEvent, EventKind, Head, Limiter},
    loss::Program,
    owner::OwnerKey,
    tcp::{Birth, Family, UNKNOWN},
};

use crate::{
    events::{may_send, send},
    kernel::*,
    sockets::Carried,
};

/// A connection that ended.
pub struct Closed {
    pub sock: Kptr,
    pub family: Family,
    pub owner: OwnerKey,
    pub now: u64,
    pub error: u32,
}

/// Sends the event of a connection, if it may be sent.
#[inline(always)]
pub fn tell(closed: &Closed, birth: &Birth, carried: &Carried, limiter: *mut Limiter, cpu: u32) {
    if !may_send(limiter, closed.now, cpu, Program::TcpState) {
        return;
    }
    let sock = closed.sock;
    let (local, peer) = addresses(sock, closed.family);
    let event = ClosedEvent {
        head: Head { kind: EventKind::Closed as u32, reserved: 0, at: closed.now, key: closed.owner.0 },
        established: birth.established,
        handshake: birth.handshake,
        sent: carried.sent,
        received: carried.received,
        rtt: if carried.trip == UNKNOWN { 0 } else { carried.trip },
        retransmits: carried.retransmits,
        error: closed.error,
        role: birth.role,
        family: closed.family as u32,
        local_port: u16::from_be(carried.port),
        peer_port: u16::from_be(sock.read(&SOCK_PEER_PORT)),
        reserved: 0,
        local,
        peer,
    };
    // SAFETY: words and bytes without gaps.
    let bytes =
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(&event).cast::<u8>(), size_of::<ClosedEvent>()) };
    send(bytes, limiter, cpu, Program::TcpState);
}

/// Addresses of both sides; of IPv4 the first four bytes. Those of a mapped one stand in the socket's words of IPv4, too.
#[inline(always)]
fn addresses(sock: Kptr, family: Family) -> ([u8; 16], [u8; 16]) {
    if family as u32 == Family::V4 as u32 {
        let of = |word: u32| bytes(u64::from(word), 0);
        return (of(sock.read(&SOCK_LOCAL)), of(sock.read(&SOCK_PEER)));
    }
    let local = bytes(sock.read(&SOCK_V6_LOCAL), sock.read(&SOCK_V6_LOCAL_REST));
    (local, bytes(sock.read(&SOCK_V6_PEER), sock.read(&SOCK_V6_PEER_REST)))
}

#[inline(always)]
fn bytes(first: u64, rest: u64) -> [u8; 16] {
    crate::process::bytes([first, rest])
}
