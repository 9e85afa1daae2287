//! `inet_sock_set_state`: TCP connections that begin and end, by owner.
//!
//! Of a connection that is open, or on its way to be, its instants are kept by its socket's address. Every socket passes through
//! CLOSE before its memory is given away, so nothing stays. Storage that the kernel ties to sockets was rejected: 5.10 does
//! not let these programs use it, and to make it costs more than an entry of a hash.
//!
//! Which task runs says nothing: most states change in an interrupt. The owner is the one that the socket names.

use core::ptr::addr_of_mut;

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_skc_to_tcp_sock},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    events::Limiter,
    loss::{Program, Reason},
    owner::OwnerKey,
    tcp::{
        Birth, FAILURES, Failure, Family, LIFESPAN_BUCKETS, Phase, ROLES, Role, RoleSums, TRIP_BUCKETS, TcpRow,
        TcpSums, UNKNOWN,
    },
    threads::{off_bucket, wait_bucket},
};

use crate::{
    atomic::{raise, step, step32},
    block::bounded,
    closed::{self, Closed},
    cost::{self, Timer},
    histograms::minus,
    kernel::*,
    loss,
    maps::{TCP_EMPTY, TCP_FREE_ROWS, TCP_MORE_WORK, TCP_ROW, TCP_SOCKETS, TCP_WORK},
    rows::{self, NO_ROW},
};

const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
const SYN_RECV: u32 = 3;
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;
/// From here on, states of what is no full socket.
const NEW_SYN_RECV: u32 = 12;

const IPPROTO_TCP: u32 = 6;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// Nanoseconds of an eighth of a microsecond, in which the kernel keeps round trips.
const TRIP_UNIT: u64 = 125;

const ONLY_NEW: u64 = 1;

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    let (from, to) = (ctx.arg::<u64>(1) as u32, ctx.arg::<u64>(2) as u32);
    if to != ESTABLISHED && to != SYN_SENT && to != CLOSE {
        return 0;
    }
    let sock = Kptr::from_arg(ctx.arg(0));
    let Some(family) = family_of(sock) else { return 0 };
    // SAFETY: the helpers have no preconditions.
    let (now, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id() as u32) };
    let timer = Timer::sampled(now);
    cost::count_run(cpu, Program::TcpState);
    let change = Change { sock, family, from, now, cpu };
    match to {
        SYN_SENT => change.asked(),
        ESTABLISHED => change.established(),
        _ => change.ended(),
    }
    timer.stop(cpu, Program::TcpState);
    0
}

/// What carries a connection; `None`: it is no TCP.
#[inline(always)]
fn family_of(sock: Kptr) -> Option<Family> {
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

/// A connection's state that changes.
struct Change {
    sock: Kptr,
    family: Family,
    from: u32,
    now: u64,
    cpu: u32,
}

impl Change {
    /// This side asks for it.
    #[inline(always)]
    fn asked(&self) {
        let birth =
            Birth { asked: self.now, established: 0, handshake: UNKNOWN, role: Role::Client as u32, reserved: 0 };
        self.keep(&birth);
    }

    #[inline(always)]
    fn keep(&self, birth: &Birth) -> bool {
        // Whatever stands there is of a socket that is gone.
        let is_kept = TCP_SOCKETS.insert(self.sock.word(), birth, 0).is_ok();
        if !is_kept {
            loss::count(self.cpu, Program::TcpState, Reason::Full);
        }
        is_kept
    }

    #[inline(always)]
    fn established(&self) {
        // SAFETY: a copy; who has the socket has its entry alone.
        let asked = unsafe { TCP_SOCKETS.get(self.sock.word()) }.map_or(0, |birth| birth.asked);
        let is_client = asked != 0 || self.from == SYN_SENT;
        let handshake = if is_client { self.since(asked) } else { tcp_of(self.sock).map_or(UNKNOWN, round_trip) };
        let role = if is_client { Role::Client } else { Role::Server } as u32;
        // What there is no room for is told at its end, as older than the programs.
        if !self.keep(&Birth { asked, established: self.now, handshake, role, reserved: 0 }) {
            return;
        }
        let (Some(sums), row) = work_of(self.cpu, owner_of(self.sock)) else { return };
        let of_role = role_of(sums, role);
        // SAFETY: inside the sums, which are a map value.
        unsafe {
            step(addr_of_mut!((*of_role).established).cast::<u64>().add(bounded::<1>(self.family as usize)));
            match handshake {
                UNKNOWN => step(addr_of_mut!((*of_role).unmeasured)),
                time => raise(addr_of_mut!((*of_role).handshake), time),
            }
        }
        if let Some(row) = row
            && handshake != UNKNOWN
        {
            // SAFETY: inside the row.
            unsafe {
                count_at::<{ ROLES.len() }, TRIP_BUCKETS>(
                    addr_of_mut!((*row).handshakes).cast(),
                    role,
                    trip_bucket(handshake),
                )
            };
        }
    }

    /// Nanoseconds since an instant; [`UNKNOWN`] where it is not known.
    #[inline(always)]
    fn since(&self, then: u64) -> u64 {
        if then == 0 || then > self.now { UNKNOWN } else { self.now - then }
    }

    #[inline(always)]
    fn ended(&self) {
        if self.from == CLOSE || self.from == LISTEN || self.from >= NEW_SYN_RECV {
            return;
        }
        let key = self.sock.word();
        // SAFETY: a copy; who has the socket has its entry alone.
        let birth = unsafe { TCP_SOCKETS.get(key) }.copied();
        if birth.is_some() {
            let _ = TCP_SOCKETS.remove(key);
        }
        let owner = owner_of(self.sock);
        let (Some(sums), row) = work_of(self.cpu, owner) else { return };
        let error: u32 = self.sock.read(&SOCK_ERR);
        match birth {
            Some(birth) if birth.established != 0 => self.closed(&birth, owner, sums, row, error),
            None if self.from != SYN_SENT && self.from != SYN_RECV => self.unobserved(owner, sums, row, error),
            birth => self.failed(birth.is_some() || self.from == SYN_SENT, sums, error),
        }
    }

    /// It had been established.
    #[inline(always)]
    fn closed(&self, birth: &Birth, owner: OwnerKey, sums: *mut TcpSums, row: Option<*mut TcpRow>, error: u32) {
        let of_role = role_of(sums, birth.role);
        let lifespan = if birth.established > self.now { 0 } else { self.now - birth.established };
        // SAFETY: inside the sums.
        unsafe {
            step(addr_of_mut!((*of_role).closed));
            raise(addr_of_mut!((*of_role).lifespan), lifespan);
        }
        if error != 0 {
            count_failure(of_role, Phase::Established, error);
        }
        let carried = Carried::by(self.sock);
        carried.count(sums);
        carried.count_trip(sums, row);
        if let Some(row) = row {
            // SAFETY: inside the row.
            unsafe {
                count_at::<{ ROLES.len() }, LIFESPAN_BUCKETS>(
                    addr_of_mut!((*row).lifespans).cast(),
                    birth.role,
                    off_bucket(lifespan, minus),
                )
            };
        }
        self.tell(Some(birth), owner, &carried, row, error);
    }

    /// It is older than the programs, or there was no room for it.
    #[inline(always)]
    fn unobserved(&self, owner: OwnerKey, sums: *mut TcpSums, row: Option<*mut TcpRow>, error: u32) {
        // SAFETY: inside the sums.
        unsafe { step(addr_of_mut!((*sums).unobserved)) };
        let carried = Carried::by(self.sock);
        // How much of it is older can be told in the agent's own network alone.
        if OWN_NETWORK.load() != 0 && network_of(self.sock) == OWN_NETWORK.load() as u32 {
            carried.count(sums);
        }
        carried.count_trip(sums, row);
        self.tell(None, owner, &carried, row, error);
    }

    /// It was never established.
    #[inline(always)]
    fn failed(&self, is_client: bool, sums: *mut TcpSums, error: u32) {
        let role = if is_client { Role::Client } else { Role::Server };
        let of_role = role_of(sums, role as u32);
        if error == 0 {
            // SAFETY: inside the sums.
            unsafe { step(addr_of_mut!((*of_role).aborted)) };
        } else {
            count_failure(of_role, Phase::Handshake, error);
        }
        let again = tcp_of(self.sock).map_or(0, |tcp| u64::from(tcp.read::<u32, _>(&TCP_TOTAL_RETRANS)));
        if again > 0 {
            // SAFETY: inside the sums.
            unsafe { raise(addr_of_mut!((*sums).retransmits), again) };
        }
    }

    #[inline(always)]
    fn tell(&self, birth: Option<&Birth>, owner: OwnerKey, carried: &Carried, row: Option<*mut TcpRow>, error: u32) {
        if SEND_CLOSED.load() == 0 {
            return;
        }
        let Some(row) = row else {
            // Without a row nothing limits it.
            return loss::count(self.cpu, Program::TcpState, Reason::Limited);
        };
        // SAFETY: inside the row.
        let limiter: *mut Limiter = unsafe { addr_of_mut!((*row).limiter) };
        let closed = Closed { sock: self.sock, family: self.family, owner, now: self.now, error };
        closed::tell(&closed, birth, carried, limiter, self.cpu);
    }
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
    fn by(sock: Kptr) -> Self {
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
    fn count(&self, sums: *mut TcpSums) {
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
    fn count_trip(&self, sums: *mut TcpSums, row: Option<*mut TcpRow>) {
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
fn round_trip(tcp: Kptr) -> u64 {
    match u64::from(tcp.read::<u32, _>(&TCP_SRTT)) {
        0 => UNKNOWN,
        // Below a microsecond the kernel puts the least it can.
        eighths => eighths * TRIP_UNIT,
    }
}

/// The same socket as what TCP makes of it; `None`: it is none of TCP.
#[inline(always)]
fn tcp_of(sock: Kptr) -> Option<Kptr> {
    // SAFETY: the socket is the tracepoint's argument, which the kernel checks.
    let tcp = unsafe { bpf_skc_to_tcp_sock(sock.word() as *mut _) };
    if tcp.is_null() { None } else { Some(Kptr::from_arg(tcp.cast())) }
}

/// Number of the network namespace of a socket.
#[inline(always)]
fn network_of(sock: Kptr) -> u32 {
    sock.follow(&SOCK_NET).read(&NET_NUMBER)
}

#[inline(always)]
fn owner_of(sock: Kptr) -> OwnerKey {
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

#[inline(always)]
fn role_of(sums: *mut TcpSums, role: u32) -> *mut RoleSums {
    // SAFETY: inside the sums, which are a map value.
    unsafe { addr_of_mut!((*sums).roles).cast::<RoleSums>().add(bounded::<1>(role as usize)) }
}

#[inline(always)]
fn count_failure(of_role: *mut RoleSums, phase: Phase, error: u32) {
    let at = bounded::<7>(Failure::of_errno(error) as usize);
    if at < FAILURES.len() {
        // SAFETY: inside the sums.
        unsafe {
            let of_phase = addr_of_mut!((*of_role).failures).cast::<u64>().add(phase as usize * FAILURES.len());
            step(of_phase.add(at));
        }
    }
}

#[inline(always)]
fn trip_bucket(nanos: u64) -> usize {
    wait_bucket(nanos, minus)
}

/// Counts in one of `N` histograms of `M` buckets that lie one behind the other.
///
/// # Safety
/// They are of a map value.
#[inline(always)]
unsafe fn count_at<const N: usize, const M: usize>(histograms: *mut u32, of: u32, bucket: usize) {
    let at = bounded::<511>(bounded::<1>(of as usize) * M + bucket);
    if at < N * M {
        // SAFETY: inside them.
        unsafe { step32(histograms.add(at)) };
    }
}

/// The sums of an owner, and its row where it has one.
#[inline(always)]
fn work_of(cpu: u32, owner: OwnerKey) -> (Option<*mut TcpSums>, Option<*mut TcpRow>) {
    let row = match rows::find(&TCP_ROW, owner.0) {
        NO_ROW => claim_connections(cpu, owner.0),
        row => row,
    };
    if let Some(row) = TCP_WORK.get_ptr_mut(row) {
        // SAFETY: a map value.
        return (Some(unsafe { addr_of_mut!((*row).sums) }), Some(row));
    }
    (TCP_MORE_WORK.get_ptr_mut(owner.0), None)
}

/// The row of an owner that is new; [`NO_ROW`] where none is left and its sums are in the other map, and nobody's where there is no
/// room for more sums either.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn claim_connections(cpu: u32, owner: u64) -> u32 {
    if TCP_MORE_WORK.get_ptr_mut(owner).is_some() {
        return NO_ROW;
    }
    let row = rows::claim(&TCP_ROW, &TCP_FREE_ROWS, owner, |row| {
        if let Some(work) = TCP_WORK.get_ptr_mut(row) {
            // SAFETY: this program's own row now.
            unsafe { addr_of_mut!((*work).sums.owner).write_volatile(owner) };
        }
    });
    if row == NO_ROW { claim_sums(cpu, owner) } else { row }
}

#[inline(always)]
fn claim_sums(cpu: u32, owner: u64) -> u32 {
    loss::count(cpu, Program::TcpState, Reason::NoHistograms);
    let Some(empty) = TCP_EMPTY.get_ptr(0) else { return 0 };
    // SAFETY: a map value, which nobody writes.
    if TCP_MORE_WORK.insert(owner, unsafe { &*empty }, ONLY_NEW).is_ok() || TCP_MORE_WORK.get_ptr_mut(owner).is_some() {
        return NO_ROW;
    }
    loss::count(cpu, Program::TcpState, Reason::Full);
    // The first of the rows that are never given away.
    0
}
