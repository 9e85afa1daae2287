//! A cgroup's own use, from totals that hold everything below it: its total, less those of the cgroups right below.
//!
//! Who is gone stays in the totals above. What it had used when it was last read was billed to it then, and is kept
//! here as buried, so that nobody above is billed for it again. What it used from then to its end nobody saw alone: the
//! cgroup above grew by it, together with what that one used itself, and what lived and died in between. If the one above
//! has no tasks of its own, the growth goes to those that are gone, by what each used in the interval before; otherwise,
//! and when none of them ever ran, to the one above. Below the root of the hierarchy there is no total to tell it, and
//! it stays without an owner.
//!
//! A total is read before those below it, which grow meanwhile: a cgroup's own use is told too low rather than too high,
//! and the rest once it shows. So nothing is billed twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{super::split::split, GroupReading};
use crate::units::Nanos;

/// What is kept of one cgroup.
#[derive(Clone, Debug, Default)]
struct Group {
    parent: u64,
    /// Total, at its highest.
    usage: Nanos,
    /// What was billed to it and those below it since each was made: its total, or more if those were read later.
    counted: Nanos,
    /// Own use at its highest; `None`: it could not be told yet.
    own: Option<Nanos>,
    /// Of the total, what cgroups right below it had that are gone.
    buried: Nanos,
    /// Own use from the reading before the last to the last one.
    recent: Nanos,
    /// Whether the cgroups below it were ever listed: who shows up there later is new.
    is_listed: bool,
}

/// A cgroup that is gone: its id, what it used in the interval before, and in all.
type Gone = (u64, Nanos, Nanos);

/// What is kept between readings.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupTracker {
    groups: BTreeMap<u64, Group>,
}

impl GroupTracker {
    /// What each cgroup used itself since the reading before, by id; those that used nothing are absent.
    pub(super) fn observe(&mut self, readings: &[GroupReading]) -> BTreeMap<u64, Nanos> {
        let gone = self.take_gone(readings);
        let heirs = self.bury(&gone);
        let below = totals_below(readings);
        // Who is new below one of these was made since the reading before, and counts in full.
        let mut listed: BTreeSet<u64> =
            self.groups.iter().filter(|(_, group)| group.is_listed).map(|(id, _)| *id).collect();
        let mut used = BTreeMap::new();
        for reading in readings {
            let is_new = !self.groups.contains_key(&reading.id);
            if is_new && listed.contains(&reading.parent) {
                listed.insert(reading.id);
                self.groups.insert(reading.id, Group { own: Some(Nanos(0)), ..Group::default() });
            }
            let below = below.get(&reading.id).copied().unwrap_or(Some(Nanos(0)));
            let growth = self.advance(reading, below);
            if growth.0 > 0 {
                self.bill(reading, growth, heirs.get(&reading.id), &mut used);
            }
        }
        self.count(readings);
        used
    }

    /// Sums up from below, for the day on which one is gone with all that is below it.
    fn count(&mut self, readings: &[GroupReading]) {
        let mut below: BTreeMap<u64, Nanos> = BTreeMap::new();
        for reading in readings.iter().rev() {
            let Some(group) = self.groups.get_mut(&reading.id) else { continue };
            let billed = group.own.unwrap_or_default() + group.buried + below.remove(&reading.id).unwrap_or_default();
            group.counted = group.usage.max(billed);
            *below.entry(reading.parent).or_default() += group.counted;
        }
    }

    /// Those that are not there any more, and those whose total fell: another cgroup has the id now.
    fn take_gone(&mut self, readings: &[GroupReading]) -> BTreeMap<u64, Group> {
        let there: BTreeMap<u64, Option<Nanos>> = readings.iter().map(|reading| (reading.id, reading.usage)).collect();
        let mut gone = BTreeMap::new();
        self.groups.retain(|id, group| {
            let is_there = there.get(id).is_some_and(|usage| usage.is_none_or(|usage| usage >= group.usage));
            if !is_there {
                gone.insert(*id, std::mem::take(group));
            }
            is_there
        });
        gone
    }

    /// Takes the totals of those that are gone into the books of who was above, and says whose jump may be theirs.
    fn bury(&mut self, gone: &BTreeMap<u64, Group>) -> BTreeMap<u64, Vec<Gone>> {
        let mut heirs: BTreeMap<u64, Vec<Gone>> = BTreeMap::new();
        for (id, group) in gone {
            if let Some(above) = self.groups.get_mut(&group.parent) {
                above.buried += group.counted;
            }
            // A chain of parents is no longer than all that are gone, whatever was read.
            let up = std::iter::successors(Some(group.parent), |id| gone.get(id).map(|group| group.parent));
            if let Some(left) = up.take(gone.len() + 1).find(|id| !gone.contains_key(id)) {
                heirs.entry(left).or_default().push((*id, group.recent, group.own.unwrap_or_default()));
            }
        }
        heirs
    }

    /// Takes one reading, and returns by how much its own use grew.
    fn advance(&mut self, reading: &GroupReading, below: Option<Nanos>) -> Nanos {
        let group = self.groups.entry(reading.id).or_default();
        group.parent = reading.parent;
        group.is_listed |= reading.is_listed;
        group.recent = Nanos(0);
        group.usage = reading.usage.unwrap_or(group.usage);
        let (Some(usage), Some(below), true) = (reading.usage, below, reading.is_listed) else { return Nanos(0) };
        let own = usage.saturating_sub(below).saturating_sub(group.buried);
        let before = *group.own.get_or_insert(own);
        own.saturating_sub(before)
    }

    /// Bills the growth of a cgroup to it, or to those that are gone below it.
    fn bill(
        &mut self,
        reading: &GroupReading,
        growth: Nanos,
        gone: Option<&Vec<Gone>>,
        used: &mut BTreeMap<u64, Nanos>,
    ) {
        let Some(group) = self.groups.get_mut(&reading.id) else { return };
        let gone = gone.filter(|_| !reading.has_tasks);
        if let Some((gone, parts)) = gone.and_then(|gone| Some((gone, parts(growth, gone)?))) {
            group.buried += growth;
            for ((id, ..), part) in gone.iter().zip(parts).filter(|(_, part)| *part > 0) {
                *used.entry(*id).or_default() += Nanos(part);
            }
            return;
        }
        group.own = group.own.map(|own| own + growth);
        group.recent = growth;
        *used.entry(reading.id).or_default() += growth;
    }
}

/// By what each used in the interval before; if none did, by all that each had used.
fn parts(growth: Nanos, gone: &[Gone]) -> Option<Vec<u64>> {
    let by = |weight: fn(&Gone) -> Nanos| split(growth.0, &gone.iter().map(|one| weight(one).0).collect::<Vec<_>>());
    by(|one| one.1).or_else(|| by(|one| one.2))
}

/// The totals of the cgroups right below each; `None` where one of them is unknown.
fn totals_below(readings: &[GroupReading]) -> BTreeMap<u64, Option<Nanos>> {
    let mut below: BTreeMap<u64, Option<Nanos>> = BTreeMap::new();
    for reading in readings {
        let sum = below.entry(reading.parent).or_insert(Some(Nanos(0)));
        *sum = sum.zip(reading.usage).map(|(sum, usage)| sum + usage);
    }
    below
}

#[cfg(test)]
mod tests;
