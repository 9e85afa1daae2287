//! `inet_sock_set_state`: TCP connections that begin and end, by owner.
//!
//! Of a connection that is open, or on its way to be, its instants are kept by its socket's address. Every socket passes through
//! CLOSE before its memory is given away, so nothing stays, unless the kernel skips a run, which it counts: then until another
//! socket has the address. Storage that the kernel ties to sockets was rejected: 5.10 does
//! not let these programs use it, and to make it costs more than an entry of a hash.
//!
//! Which task runs says nothing: most states change in an interrupt. The owner is the one that the socket names.
//!
//! Where another task may take the CPU from a program, there is a spare, as at exec: a connection that is asked for is that task's own
//! doing, and while it waits for its CPU, thousands of others may begin and end there.

use core::ptr::addr_of_mut;

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use wattrace_common::{
    events::Limiter,
    loss::{Program, Reason},
    owner::OwnerKey,
    tcp::{Birth, Family, LIFESPAN_BUCKETS, Phase, ROLES, Role, TRIP_BUCKETS, TcpRow, TcpSums, UNKNOWN},
    threads::off_bucket,
};

use crate::{
    atomic::{raise, step},
    block::bounded,
    closed::{self, Closed},
    connections::{count_at, count_failure, role_of, trip_bucket, work_of},
    cost::{self, Timer},
    histograms::minus,
    kernel::*,
    loss,
    maps::TCP_SOCKETS,
    sockets::{Carried, family_of, network_of, owner_of, round_trip, tcp_of},
};

const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
const SYN_RECV: u32 = 3;
const CLOSE: u32 = 7;
const LISTEN: u32 = 10;
/// From here on, states of what is no full socket.
const NEW_SYN_RECV: u32 = 12;

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    run(&ctx, false);
    0
}

/// Runs after the other, and counts what that was not run for.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn inet_sock_set_state_spare(ctx: BtfTracePointContext) -> i32 {
    run(&ctx, true);
    0
}

#[inline(always)]
fn run(ctx: &BtfTracePointContext, is_spare: bool) {
    let (from, to) = (ctx.arg::<u64>(1) as u32, ctx.arg::<u64>(2) as u32);
    if to != ESTABLISHED && to != SYN_SENT && to != CLOSE {
        return;
    }
    let sock = Kptr::from_arg(ctx.arg(0));
    let Some(family) = family_of(sock) else { return };
    // SAFETY: the helpers have no preconditions.
    let (now, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id() as u32) };
    let timer = Timer::sampled(now);
    cost::count_run(cpu, Program::TcpState);
    let change = Change { sock, family, from, now, cpu, is_spare };
    if !is_spare || !change.is_seen(to) {
        match to {
            SYN_SENT => change.asked(),
            ESTABLISHED => change.established(),
            _ => change.ended(),
        }
    }
    timer.stop(cpu, Program::TcpState);
}

/// A connection's state that changes.
struct Change {
    sock: Kptr,
    family: Family,
    from: u32,
    now: u64,
    cpu: u32,
    /// Which of both programs this is.
    is_spare: bool,
}

impl Change {
    /// Whether the other program was run for it: what is kept of the connection says so. Who has the socket is at it still. An end
    /// that neither saw begin is taken for seen.
    #[inline(always)]
    fn is_seen(&self, to: u32) -> bool {
        // SAFETY: a word of a copy; who has the socket has its entry alone.
        let established = unsafe { TCP_SOCKETS.get(self.sock.word()) }.map(|birth| birth.established);
        match (to, established) {
            (CLOSE, established) => established.is_none(),
            (ESTABLISHED, Some(established)) => established != 0,
            (ESTABLISHED, None) => false,
            (_, established) => established.is_some(),
        }
    }

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
        // The spare tries again what there was no room for.
        if !is_kept && !self.is_spare {
            loss::count(self.cpu, Program::TcpState, Reason::Full);
        }
        is_kept
    }

    #[inline(always)]
    fn established(&self) {
        // SAFETY: a copy; who has the socket has its entry alone.
        let birth = unsafe { TCP_SOCKETS.get(self.sock.word()) }.copied();
        // One that was established is of a socket whose end was not seen.
        let asked = match birth {
            Some(birth) if birth.established == 0 => birth.asked,
            _ => 0,
        };
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
        let birth = self.forgotten();
        let owner = owner_of(self.sock);
        let (Some(sums), row) = work_of(self.cpu, owner) else { return };
        let error: u32 = self.sock.read(&SOCK_ERR);
        if birth.established == 0 && (self.from == SYN_SENT || self.from == SYN_RECV) {
            return self.failed(birth.asked != 0 || self.from == SYN_SENT, sums, error);
        }
        let carried = Carried::by(self.sock);
        if birth.established != 0 {
            self.closed(&birth, sums, row, error);
            carried.count(sums);
        } else {
            self.unobserved(&carried, sums);
        }
        carried.count_trip(sums, row);
        self.tell(&birth, owner, &carried, row, error);
    }

    /// What is known of it, which is kept no longer. Without its being established nothing is: its start was not seen.
    ///
    /// Every word is written, whichever way: kernels before 6.4 refuse to read what one of them leaves out.
    #[inline(always)]
    fn forgotten(&self) -> Birth {
        let key = self.sock.word();
        // SAFETY: a copy; who has the socket has its entry alone.
        let Some(birth) = (unsafe { TCP_SOCKETS.get(key) }).copied() else { return Birth::UNSEEN };
        let _ = TCP_SOCKETS.remove(key);
        if birth.established != 0 { birth } else { Birth { asked: birth.asked, ..Birth::UNSEEN } }
    }

    /// It had been established.
    #[inline(always)]
    fn closed(&self, birth: &Birth, sums: *mut TcpSums, row: Option<*mut TcpRow>, error: u32) {
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
    }

    /// It is older than the programs, or there was no room for it, or it was not seen to be established.
    #[inline(always)]
    fn unobserved(&self, carried: &Carried, sums: *mut TcpSums) {
        // SAFETY: inside the sums.
        unsafe { step(addr_of_mut!((*sums).unobserved)) };
        // How much of it is older can be told in the agent's own network alone.
        if OWN_NETWORK.load() != 0 && network_of(self.sock) == OWN_NETWORK.load() as u32 {
            carried.count(sums);
        }
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
    fn tell(&self, birth: &Birth, owner: OwnerKey, carried: &Carried, row: Option<*mut TcpRow>, error: u32) {
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
