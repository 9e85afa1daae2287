//! Connections: what was done in an interval, or in all.

use serde::{Deserialize, Serialize};
use wattrace_common::tcp::ROLES;

use super::{TcpDurations, TcpTotals};

/// What connections did: in an interval, or in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpUse {
    /// How many and how much.
    pub totals: TcpTotals,
    /// How long; `None`: there was no room for that.
    pub durations: Option<TcpDurations>,
}

/// Connections open at the end of an interval, by [`ROLES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenNow(pub [u64; ROLES.len()]);

impl TcpTotals {
    /// Connections that ended, of both roles and of none that is known.
    pub fn closed(&self) -> u64 {
        self.roles.iter().fold(self.unobserved, |sum, role| sum.saturating_add(role.closed))
    }

    fn figures(&self) -> impl Iterator<Item = &u64> {
        let roles = self.roles.iter().flat_map(|role| {
            let each = [&role.closed, &role.unmeasured, &role.aborted];
            role.established.iter().chain(each).chain(role.failures.iter().flatten())
        });
        roles.chain([&self.unobserved, &self.sent, &self.received, &self.retransmits])
    }

    fn figures_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self { roles, unobserved, sent, received, retransmits } = self;
        let roles = roles.iter_mut().flat_map(|role| {
            let each = [&mut role.closed, &mut role.unmeasured, &mut role.aborted];
            role.established.iter_mut().chain(each).chain(role.failures.iter_mut().flatten())
        });
        roles.chain([unobserved, sent, received, retransmits])
    }
}

impl TcpUse {
    /// Adds what others did, or the same ones later.
    pub fn add(&mut self, other: &Self) {
        let sums = self.totals.figures_mut().zip(other.totals.figures());
        sums.for_each(|(sum, figure)| *sum = sum.saturating_add(*figure));
        let Some(durations) = &other.durations else { return };
        let sums = self.durations.get_or_insert_default();
        let TcpDurations { lifespans, handshakes, rtts } = sums;
        lifespans.iter_mut().zip(&durations.lifespans).for_each(|(sum, other)| sum.add(other));
        handshakes.iter_mut().zip(&durations.handshakes).for_each(|(sum, other)| sum.add(other));
        rtts.add(&durations.rtts);
    }

    /// What came since `before`, an earlier sum of the same.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut delta = self.clone();
        let figures = delta.totals.figures_mut().zip(before.totals.figures());
        figures.for_each(|(figure, before)| *figure = figure.saturating_sub(*before));
        delta
    }

    /// Whether anything was done.
    pub fn is_any(&self) -> bool {
        self.totals.figures().any(|figure| *figure > 0)
    }
}
