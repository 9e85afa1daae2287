//! Idle energy for who reserved CPUs: a machine that waits for somebody waits at that somebody's cost.
//!
//! A reservation is a number of CPUs of the whole machine, wherever it comes from. It buys the same share of every
//! zone's idle energy: reserved CPUs by online CPUs, on each socket. What nobody reserved stays with the node.

use std::collections::BTreeMap;

use super::books::{Attribution, ZoneBooks};
use crate::{
    samples::split::split,
    units::{MicroCpus, Microjoules},
};

/// Whose idle energy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdlePolicy {
    /// The node's.
    #[default]
    Separate,
    /// Of who reserved CPUs, by how many; the rest is the node's.
    ByRequest,
}

impl IdlePolicy {
    /// All, the default first.
    pub const ALL: [Self; 2] = [Self::Separate, Self::ByRequest];

    /// The name that the configuration, metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Separate => "separate",
            Self::ByRequest => "by_request",
        }
    }
}

/// What a cgroup and all below it may use together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Path of the cgroup from the root of the hierarchy.
    pub path: String,
    /// How many CPUs.
    pub cpus: MicroCpus,
}

/// What each quota reserves for its own cgroup, in the order of `quotas`.
///
/// A quota bounds what lies below it, so one within another is a part of it: the inner cgroup has its own, the outer one
/// what the inner ones leave. Where the inner ones ask for more than the outer has, or all for more than the `machine`
/// has, each gets the same share of what it asks. So no CPU is reserved twice, and never more than there are.
pub fn reservations(quotas: &[Quota], machine: MicroCpus) -> Vec<MicroCpus> {
    let order = outer_first(quotas);
    let inner = inner(quotas, &order);
    let none = Vec::new();
    let within = |around: Option<usize>| inner.get(&around).unwrap_or(&none);
    let mut granted = vec![MicroCpus(0); quotas.len()];
    let mut own = granted.clone();
    for around in std::iter::once(None).chain(order.into_iter().map(Some)) {
        let room = around.map_or(machine, |at| granted.get(at).copied().unwrap_or_default());
        let asked: Vec<u64> =
            within(around).iter().filter_map(|at| quotas.get(*at)).map(|quota| quota.cpus.0).collect();
        let given = fitted(asked, room);
        for (at, cpus) in within(around).iter().zip(&given) {
            if let Some(granted) = granted.get_mut(*at) {
                *granted = MicroCpus(*cpus);
            }
        }
        if let Some(own) = around.and_then(|at| own.get_mut(at)) {
            *own = room.saturating_sub(given.into_iter().map(MicroCpus).sum());
        }
    }
    own
}

/// What was asked, or the same share of it for all where it does not fit.
fn fitted(asked: Vec<u64>, room: MicroCpus) -> Vec<u64> {
    let sum: MicroCpus = asked.iter().copied().map(MicroCpus).sum();
    if sum <= room {
        return asked;
    }
    split(room.0, &asked).unwrap_or(asked)
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}

/// Outer cgroups before those in them, and directly before: nothing else stands in between.
fn outer_first(quotas: &[Quota]) -> Vec<usize> {
    let mut keyed: Vec<(Vec<&str>, usize)> =
        quotas.iter().enumerate().map(|(at, quota)| (names(&quota.path).collect(), at)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// By the nearest quota around them, those in it; `None` is the machine.
fn inner(quotas: &[Quota], order: &[usize]) -> BTreeMap<Option<usize>, Vec<usize>> {
    let mut found: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    let mut around: Vec<(usize, Vec<&str>)> = Vec::new();
    for at in order {
        let Some(quota) = quotas.get(*at) else { continue };
        let path: Vec<&str> = names(&quota.path).collect();
        while around.last().is_some_and(|(_, outer)| !path.starts_with(outer)) {
            around.pop();
        }
        found.entry(around.last().map(|(at, _)| *at)).or_default().push(*at);
        around.push((*at, path));
    }
    found
}

impl ZoneBooks {
    /// Idle energy that workloads have for what they reserved.
    pub fn idle_handed_out(&self) -> Microjoules {
        self.idle_parts.iter().copied().sum()
    }
}

impl Attribution {
    /// Hands the idle energy of each zone out: to each the share that `reserved`, in the order of the entries that
    /// will be posted, is of the `machine`. Reserved beyond it, they share all of it.
    pub fn hand_out_idle(&mut self, reserved: &[MicroCpus], machine: MicroCpus) {
        let whole: MicroCpus = reserved.iter().copied().sum();
        let mut weights: Vec<u64> = reserved.iter().map(|cpus| cpus.0).collect();
        weights.push(machine.saturating_sub(whole).0);
        for books in &mut self.zones {
            // Of a machine without CPUs nothing can be reserved.
            let parts = if machine.0 > 0 { split(books.idle.0, &weights) } else { None };
            books.idle_parts = parts.unwrap_or_default().into_iter().take(reserved.len()).map(Microjoules).collect();
        }
    }
}

#[cfg(test)]
mod tests;
