//! Reads what was counted of TCP connections.
//!
//! Rows are read while the kernel counts in them: a connection may show in one figure now and in another at the next reading.
//! Nothing is read twice, nothing lost.

use std::collections::BTreeSet;

use aya::maps::{HashMap, MapData, MapError};
use wattrace_common::{
    events::Limiter,
    layout,
    limits::{TCP_MORE, TCP_OPEN, TCP_ROWS},
    loss::{Program, Reason},
    owner::OwnerKey,
    tcp::{Birth, FAILURES, LIFESPAN_BUCKETS, PHASES, ROLES, RoleSums, TRIP_BUCKETS, TcpRow, TcpSums},
};

use super::{
    cost::Fill,
    owned::{Owned, OwnedParts, OwnedReading},
    slot::word,
    times::TimeMaps,
};
use crate::{
    samples::{Durations, RoleTotals, TcpDurations, TcpTotals, TcpWorkReading},
    units::Nanos,
};

/// Words of an owner's sums.
pub(super) const SUMS: usize = size_of::<TcpSums>() / 8;
type Sums = [u64; SUMS];

/// Words of an open connection.
pub(super) type BirthWords = [u64; size_of::<Birth>() / 8];

/// The maps of connections.
pub struct TcpMaps {
    work: Owned<TcpRow, SUMS>,
    open: HashMap<MapData, u64, BirthWords>,
}

impl TcpMaps {
    pub(super) fn new(
        work: OwnedParts<TcpRow, SUMS>,
        open: HashMap<MapData, u64, BirthWords>,
    ) -> Result<Self, MapError> {
        Ok(Self { work: Owned::new(work)?, open })
    }

    /// What the connections of every owner did.
    pub fn read(&mut self, times: &TimeMaps) -> Vec<TcpWorkReading> {
        // As long as there was a row for every owner, no system call is made for more.
        let is_more_used = times.lost(Program::TcpState, Reason::NoHistograms) > 0;
        self.work.read(is_more_used).into_iter().map(|reading| self.reading(&reading)).collect()
    }

    fn reading(&mut self, reading: &OwnedReading<SUMS>) -> TcpWorkReading {
        let OwnedReading { owner, sums, row } = reading;
        let dropped = word!(TcpRow, limiter) + word!(Limiter, dropped);
        TcpWorkReading {
            owner: *owner,
            totals: totals(sums),
            durations: row.map(|row| self.durations(row, sums)),
            dropped_events: row.map_or(0, |row| self.work.load(row, dropped)),
        }
    }

    fn durations(&mut self, row: usize, sums: &Sums) -> TcpDurations {
        const LIFESPANS: usize = ROLES.len() * LIFESPAN_BUCKETS;
        const TRIPS: usize = ROLES.len() * TRIP_BUCKETS;
        const { assert!(word!(TcpRow, lifespans) * 8 == std::mem::offset_of!(TcpRow, lifespans)) };
        let counts = self.work.buckets(row, word!(TcpRow, lifespans), LIFESPANS + TRIPS + TRIP_BUCKETS);
        let (lifespans, rest) = counts.split_at_checked(LIFESPANS).unwrap_or_default();
        let (handshakes, rtts) = rest.split_at_checked(TRIPS).unwrap_or_default();
        let one = |counts: &[u64], buckets: usize, at: usize, sum: u64| Durations {
            sum: Nanos(sum),
            counts: counts.get(at * buckets..(at + 1) * buckets).unwrap_or_default().to_vec(),
        };
        let of_role = |role: usize, field: usize| word_of(sums, role * ROLE + field);
        TcpDurations {
            lifespans: std::array::from_fn(|role| {
                one(lifespans, LIFESPAN_BUCKETS, role, of_role(role, word!(RoleSums, lifespan)))
            }),
            handshakes: std::array::from_fn(|role| {
                one(handshakes, TRIP_BUCKETS, role, of_role(role, word!(RoleSums, handshake)))
            }),
            rtts: one(rtts, TRIP_BUCKETS, 0, word_of(sums, word!(TcpSums, rtt))),
        }
    }

    /// Connections that the kernel program knows to be open, or on their way to be.
    pub fn open(&self) -> usize {
        self.open.keys().flatten().count()
    }

    /// Share of the rows of owners that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        self.work.fullness()
    }

    /// Gives the rows of owners back that are dead and quiet, and whose connections have ended: they are handed on with
    /// their process, and outlive its cgroup. Whoever keeps their last values must forget them.
    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> BTreeSet<OwnerKey> {
        self.work.release(is_dead, |sums| totals(sums).roles.iter().all(|role| role.established() == role.closed))
    }

    /// How full the maps are whose room may run out.
    pub(super) fn fills(&self, times: &TimeMaps) -> [Fill; 3] {
        let is_more_used = times.lost(Program::TcpState, Reason::NoHistograms) > 0;
        let more = if is_more_used { self.work.more() } else { 0 };
        [
            Fill { map: layout::MAP_TCP_ROW, used: self.work.used() as u64, limit: u64::from(TCP_ROWS) },
            Fill { map: layout::MAP_TCP_MORE, used: more as u64, limit: u64::from(TCP_MORE) },
            Fill { map: layout::MAP_TCP_SOCKETS, used: self.open() as u64, limit: u64::from(TCP_OPEN) },
        ]
    }
}

/// Words of a role's sums, which come first.
const ROLE: usize = size_of::<RoleSums>() / 8;
const _: () = assert!(std::mem::offset_of!(TcpSums, roles) == 0);

fn word_of(sums: &Sums, word: usize) -> u64 {
    sums.get(word).copied().unwrap_or(0)
}

fn totals(sums: &Sums) -> TcpTotals {
    TcpTotals {
        roles: std::array::from_fn(|role| of_role(sums, role * ROLE)),
        unobserved: word_of(sums, word!(TcpSums, unobserved)),
        sent: word_of(sums, word!(TcpSums, sent)),
        received: word_of(sums, word!(TcpSums, received)),
        retransmits: word_of(sums, word!(TcpSums, retransmits)),
    }
}

fn of_role(sums: &Sums, first: usize) -> RoleTotals {
    let at = |word: usize| word_of(sums, first + word);
    let failure = |phase: usize, failure: usize| at(word!(RoleSums, failures) + phase * FAILURES.len() + failure);
    RoleTotals {
        established: std::array::from_fn(|family| at(word!(RoleSums, established) + family)),
        closed: at(word!(RoleSums, closed)),
        unmeasured: at(word!(RoleSums, unmeasured)),
        aborted: at(word!(RoleSums, aborted)),
        failures: std::array::from_fn::<_, { PHASES.len() }, _>(|phase| {
            std::array::from_fn(|class| failure(phase, class))
        }),
    }
}
