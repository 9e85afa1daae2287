//! What a socket of TCP says: what carries it, whose it is, what went through it.

use core::ptr::addr_of_mut;

use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;
use wattrace_common::{
    owner::OwnerKey,
    tcp::{Family, TRIP_BUCKETS, TcpRow, TcpSums, UNKNOWN},
};

use crate::{
    atomic::raise,
    connections::{count_at, trip_bucket},
    kernel::*,
};

const IPPROTO_TCP: u32 = 6;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// Nanoseconds of an eighth of a microsecond, in which the kernel keeps round trips.
const TRIP_UNIT: u64 = 125;

/// What carries a connection; `None`: it is no TCP.
#[inline(always)]
pub fn family_of(sock: Kptr) -> Option<Family> {
    // Sockets of MPTCP itself have another protocol; those of its parts are counted.
    if u32::from(sock.read::<u16, _>(&SOCK_PROTOCOL)) != IPPROTO_TCP {
        return None;
    }
    match u32::from(sock.read::<u16, _>(&SOCK_FAMILY)) {
        AF_INET => Some(Family::V4),
        AF_INET6 if is_mapped(sock) => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

/// Whether the other side's address is one of IPv4 in the clothes of IPv6: `::ffff:0:0/96`.
#[inline(always)]
fn is_mapped(sock: Kptr) -> bool {
    sock.read::<u64, _>(&SOCK_V6_PEER) == 0 && sock.read::<u32, _>(&SOCK_V6_PEER_THIRD) == u32::from_be(0x0000_ffff)
}

/// What a connection carried, and how it went.
pub struct Carried {
    /// Port of this side, in the order of the network.
    pub port: u16,
    pub sent: u64,
    pub received: u64,
    pub retransmits: u32,
    /// Nanoseconds; [`UNKNOWN`].
    pub trip: u64,
}

impl Carried {
    #[inline(always)]
    pub fn by(sock: Kptr) -> Self {
        let Some(tcp) = tcp_of(sock) else {
            return Self { port: 0, sent: 0, received: 0, retransmits: 0, trip: UNKNOWN };
        };
        let sent: u64 = tcp.read(&TCP_BYTES_SENT);
        let received: u64 = tcp.read(&TCP_BYTES_RECEIVED);
        // The end of what the other side sends has a number like a byte.
        let has_end = sock.read::<u64, _>(&SOCK_FLAGS) & SOCK_DONE.load() != 0 && received != 0;
        Self {
            // The socket has given its own back by now.
            port: tcp.read(&INET_SPORT),
            sent: sent.wrapping_sub(tcp.read(&TCP_BYTES_RETRANS)),
            received: if has_end { received - 1 } else { received },
            retransmits: tcp.read(&TCP_TOTAL_RETRANS),
            trip: round_trip(tcp),
        }
    }

    #[inline(always)]
    pub fn count(&self, sums: *mut TcpSums) {
        // SAFETY: inside the sums.
        unsafe {
            raise(addr_of_mut!((*sums).sent), self.sent);
            raise(addr_of_mut!((*sums).received), self.received);
            if self.retransmits > 0 {
                raise(addr_of_mut!((*sums).retransmits), u64::from(self.retransmits));
            }
        }
    }

    #[inline(always)]
    pub fn count_trip(&self, sums: *mut TcpSums, row: Option<*mut TcpRow>) {
        if self.trip == UNKNOWN {
            return;
        }
        // SAFETY: inside the sums, and inside the row.
        unsafe {
            raise(addr_of_mut!((*sums).rtt), self.trip);
            if let Some(row) = row {
                count_at::<1, TRIP_BUCKETS>(addr_of_mut!((*row).rtts).cast(), 0, trip_bucket(self.trip));
            }
        }
    }
}

/// The smoothed round trip; [`UNKNOWN`] where none was measured, as when what should measure it was sent again.
#[inline(always)]
pub fn round_trip(tcp: Kptr) -> u64 {
    match u64::from(tcp.read::<u32, _>(&TCP_SRTT)) {
        0 => UNKNOWN,
        // Below a microsecond the kernel puts the least it can.
        eighths => eighths * TRIP_UNIT,
    }
}

/// The same socket as what TCP makes of it; `None`: it is none of TCP.
#[inline(always)]
pub fn tcp_of(sock: Kptr) -> Option<Kptr> {
    // SAFETY: the socket is the tracepoint's argument, which the kernel checks.
    let tcp = unsafe { bpf_skc_to_tcp_sock(sock.word() as *mut _) };
    if tcp.is_null() { None } else { Some(Kptr::from_arg(tcp.cast())) }
}

/// Number of the network namespace of a socket.
#[inline(always)]
pub fn network_of(sock: Kptr) -> u32 {
    sock.follow(&SOCK_NET).read(&NET_NUMBER)
}

#[inline(always)]
pub fn owner_of(sock: Kptr) -> OwnerKey {
    if HAVE_SOCK_OWNER.load() == 0 {
        return OwnerKey::NOBODY;
    }
    let word: u64 = sock.read(&SOCK_CGROUP);
    if IS_SOCK_CGROUP_TAGGED.load() == 1 {
        return tagged_owner(word);
    }
    let cgroup = sock.follow(&SOCK_CGROUP);
    if cgroup.follow(&CGROUP_ROOT).read::<u32, _>(&CGROUP_ROOT_HIERARCHY_ID) != 0 {
        return OwnerKey::V1;
    }
    OwnerKey::cgroup(cgroup_id(cgroup))
}

/// Older kernels put the pointer and data of version 1 controllers in one word, told apart by its lowest bit.
#[inline(always)]
fn tagged_owner(word: u64) -> OwnerKey {
    const IS_DATA: u64 = 1;
    const FLAGS: u64 = 3;
    if word & IS_DATA != 0 {
        return OwnerKey::V1;
    }
    let node: u64 = Kptr::from_word(word & !FLAGS).copy(&CGROUP_KN).unwrap_or(0);
    OwnerKey::cgroup(Kptr::from_word(node).copy(&KERNFS_NODE_ID).unwrap_or(0))
}
