//! Connections: from totals since attach to what was done in an interval, by owner, and how many are open.
//!
//! An owner's totals are those of connections that ended and what its open ones carried so far. One that ends between the
//! two readings is in neither: what seems to fall books nothing until it is reached again. It stops at owners' keys.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wattrace_common::{
    owner::OwnerKey,
    tcp::{ROLES, Role},
};

use super::{
    Durations, OpenConnection, Reading, RoleTotals, TcpDurations, TcpReading, TcpTotals, TcpWorkReading,
    figures::Figures,
};

/// What was done: in an interval, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpUse {
    /// How many connections and how much.
    pub totals: TcpTotals,
    /// How long they took; `None`: there was no room for that.
    pub durations: Option<TcpDurations>,
}

/// Connections that are open, by [`ROLES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenNow(pub [u64; ROLES.len()]);

/// What was done in one interval. Who did nothing is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpSample {
    /// By owner.
    pub work: BTreeMap<OwnerKey, TcpUse>,
    /// At its end, by owner; `None`: which older than the kernel program are open is unknown, and with it how many.
    pub open: Option<BTreeMap<OwnerKey, OpenNow>>,
}

impl RoleTotals {
    fn figures(&self) -> impl Iterator<Item = &u64> {
        let Self { established, closed, unmeasured, aborted, failures } = self;
        established.iter().chain([closed, unmeasured, aborted]).chain(failures.iter().flatten())
    }

    fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { established, closed, unmeasured, aborted, failures } = self;
        established.iter_mut().chain([closed, unmeasured, aborted]).chain(failures.iter_mut().flatten())
    }
}

impl Figures for TcpTotals {
    fn figures(&self) -> impl Iterator<Item = &u64> {
        let Self { roles, unobserved, sent, received, retransmits } = self;
        roles.iter().flat_map(RoleTotals::figures).chain([unobserved, sent, received, retransmits])
    }

    fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { roles, unobserved, sent, received, retransmits } = self;
        roles.iter_mut().flat_map(RoleTotals::figures_mut).chain([unobserved, sent, received, retransmits])
    }
}

impl TcpTotals {
    /// Established connections that ended, whichever side opened them.
    pub fn closed(&self) -> u64 {
        self.roles.iter().fold(self.unobserved, |sum, role| sum.saturating_add(role.closed))
    }

    fn carry(&mut self, open: &Carried) {
        let sums = [&mut self.sent, &mut self.received, &mut self.retransmits];
        for (sum, more) in sums.into_iter().zip([open.sent, open.received, open.retransmits]) {
            *sum = sum.saturating_add(more);
        }
    }
}

impl TcpDurations {
    fn all(&self) -> impl Iterator<Item = &Durations> {
        self.lifespans.iter().chain(&self.handshakes).chain([&self.rtts])
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Durations> {
        let Self { lifespans, handshakes, rtts } = self;
        lifespans.iter_mut().chain(handshakes).chain([rtts])
    }

    fn grow(&mut self, totals: &Self) -> Self {
        let mut delta = Self::default();
        for ((delta, highest), totals) in delta.all_mut().zip(self.all_mut()).zip(totals.all()) {
            *delta = highest.grow(totals);
        }
        delta
    }
}

impl TcpUse {
    /// Adds what others did, or the same ones later.
    pub fn add(&mut self, other: &Self) {
        self.totals.add_all(&other.totals);
        if let Some(durations) = &other.durations {
            let sums = self.durations.get_or_insert_default();
            sums.all_mut().zip(durations.all()).for_each(|(sum, other)| sum.add(other));
        }
    }

    /// What came since `before`, an earlier sum of the same.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        before.clone().grow(self)
    }

    /// Whether anything was done.
    pub fn is_any(&self) -> bool {
        self.totals.has_any()
    }

    fn grow(&mut self, totals: &Self) -> Self {
        let durations = totals.durations.as_ref();
        Self {
            totals: self.totals.grow(&totals.totals),
            durations: durations.map(|totals| self.durations.get_or_insert_default().grow(totals)),
        }
    }
}

impl From<&TcpWorkReading> for TcpUse {
    fn from(reading: &TcpWorkReading) -> Self {
        Self { totals: reading.totals.clone(), durations: reading.durations.clone() }
    }
}

impl OpenNow {
    /// Adds those of others.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, count)| *sum = sum.saturating_add(count));
    }

    /// Those of one role.
    pub fn of(&self, role: Role) -> u64 {
        self.0.get(role as usize).copied().unwrap_or(0)
    }

    fn seen_to_begin(totals: &TcpTotals) -> Self {
        // Those that ended are read after those that began.
        let open = |role: &RoleTotals| role.established().saturating_sub(role.closed);
        Self(totals.roles.each_ref().map(open))
    }

    fn older(open: &OpenConnection) -> Self {
        Self([u64::from(!open.is_server), u64::from(open.is_server)])
    }
}

/// What open connections carried so far.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    sent: u64,
    received: u64,
    retransmits: u64,
}

impl Carried {
    fn by_owner(open: &[OpenConnection], counts: impl Fn(&OpenConnection) -> bool) -> BTreeMap<OwnerKey, Self> {
        let mut found: BTreeMap<OwnerKey, Self> = BTreeMap::new();
        for one in open.iter().filter(|one| counts(one)) {
            let sum = found.entry(one.owner).or_default();
            sum.sent = sum.sent.saturating_add(one.sent);
            sum.received = sum.received.saturating_add(one.received);
            sum.retransmits = sum.retransmits.saturating_add(one.retransmits);
        }
        found
    }
}

/// What is kept between readings.
#[derive(Clone, Debug, Default)]
pub struct TcpTracker {
    /// Highest totals seen, by owner.
    work: BTreeMap<OwnerKey, TcpUse>,
    /// What connections carried that were open when that was last known; `None`: it never was.
    open: Option<BTreeMap<OwnerKey, Carried>>,
    /// `None`: connections are not counted, or have not been read yet.
    sample: Option<TcpSample>,
}

impl TcpTracker {
    /// Takes a reading. The first one that counts connections only marks where counting starts; what first shows up later
    /// began after it, so that it counts in full.
    pub fn observe(&mut self, reading: &Reading) {
        let Some(tcp) = &reading.tcp else {
            *self = Self::default();
            return;
        };
        let is_first = self.sample.is_none();
        if !is_first {
            self.start_late(tcp);
        }
        let totals = totals(tcp);
        let sample = self.sample.get_or_insert_default();
        for (owner, totals) in totals {
            let start = || if is_first { totals.clone() } else { TcpUse::default() };
            let delta = self.work.entry(owner).or_insert_with(start).grow(&totals);
            if delta.is_any() {
                sample.work.entry(owner).or_default().add(&delta);
            }
        }
        sample.open = open_now(tcp);
        if let Some(open) = &tcp.open {
            self.open = Some(Carried::by_owner(open, |_| true));
        }
    }

    /// Where open connections are told for the first time after counting started, what the older ones among them carried
    /// until now was not done in this interval.
    fn start_late(&mut self, tcp: &TcpReading) {
        let Some(open) = tcp.open.as_ref().filter(|_| self.open.is_none()) else { return };
        for (owner, carried) in Carried::by_owner(open, |one| one.is_older) {
            self.work.entry(owner).or_default().totals.carry(&carried);
        }
    }

    /// Forgets owners whose counters the reader has given back to the kernel: should one return, it starts from 0. What its
    /// open connections carried is booked, and still told.
    pub fn forget(&mut self, owners: &BTreeSet<OwnerKey>) {
        self.work.retain(|owner, _| !owners.contains(owner));
        for (owner, carried) in self.open.iter().flatten().filter(|(owner, _)| owners.contains(owner)) {
            self.work.entry(*owner).or_default().totals.carry(carried);
        }
    }

    /// Ends the interval; `None`: connections are not counted.
    pub fn close(&mut self) -> Option<TcpSample> {
        let sample = self.sample.as_mut()?;
        Some(TcpSample { work: std::mem::take(&mut sample.work), open: sample.open.clone() })
    }
}

fn totals(tcp: &TcpReading) -> BTreeMap<OwnerKey, TcpUse> {
    let mut found: BTreeMap<OwnerKey, TcpUse> = tcp.work.iter().map(|one| (one.owner, one.into())).collect();
    for (owner, carried) in Carried::by_owner(tcp.open.as_deref().unwrap_or_default(), |_| true) {
        found.entry(owner).or_default().totals.carry(&carried);
    }
    found
}

fn open_now(tcp: &TcpReading) -> Option<BTreeMap<OwnerKey, OpenNow>> {
    let open = tcp.open.as_ref()?;
    let mut found: BTreeMap<OwnerKey, OpenNow> =
        tcp.work.iter().map(|one| (one.owner, OpenNow::seen_to_begin(&one.totals))).collect();
    for one in open.iter().filter(|one| one.is_older) {
        found.entry(one.owner).or_default().add(&OpenNow::older(one));
    }
    Some(found)
}

#[cfg(test)]
pub(crate) mod tests;
