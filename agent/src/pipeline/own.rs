//! What the agent's own CPU time cost: its part of the active energy of the workload that it belongs to.

use wattrace_common::sched::WorkKey;

use super::{Pipeline, sources::Sched};
use crate::{
    attribution::{books::Attribution, ledger::Entry},
    clock,
    identity::Kind,
    samples::usage::UsageSample,
    units::{Microjoules, Nanos},
};

/// What is kept between two intervals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Own {
    /// CPU time of the process at the end of the last interval.
    before: Nanos,
    /// And at the last reading: the interval of the workload's CPU time is to be the same.
    now: Nanos,
    /// Under which key it was booked when that was last seen.
    key: Option<WorkKey>,
}

impl Own {
    /// Counts from here.
    pub(super) fn begin() -> Self {
        let now = clock::own_cpu();
        Self { before: now, now, key: None }
    }

    /// The CPUs were read.
    pub(super) fn read(&mut self) {
        self.now = clock::own_cpu();
    }
}

impl Pipeline {
    /// The agent's part of the interval's active energy; `None`: no energy is known, or not whose workload it is.
    pub(super) fn own_energy(
        &mut self,
        usage: &UsageSample,
        attribution: &Attribution,
        entries: &[Entry],
    ) -> Option<Microjoules> {
        let now = self.own.now;
        let cpu = now.saturating_sub(std::mem::replace(&mut self.own.before, now));
        let key = match &self.sources.sched {
            Sched::Btf(programs) => programs.own_key(),
            Sched::Files(files) => files.own_key(),
        };
        self.own.key = key.or(self.own.key);
        let key = self.own.key.filter(|key| usage.work.contains_key(key))?;
        let comm = usage.comms.get(&key).copied().unwrap_or_else(|| self.sources.comm(key));
        let workload = self.registry.resolve(key, &comm)?.workload;
        let known =
            workload.kind != Kind::Unattributed && attribution.zones.iter().any(|zone| zone.sample.covered.0 > 0);
        let place = entries.iter().position(|entry| entry.workload.id == workload.id).filter(|_| known)?;
        let whole = attribution.zones.iter().filter_map(|zone| zone.parts.get(place)).copied().sum();
        Some(part(whole, cpu, entries.get(place)?.cpu.time))
    }
}

/// The part of a workload's energy that belongs to `cpu` of its CPU time: all of it at most.
///
/// Both times are of the same threads, but their intervals do not end at the same nanosecond.
fn part(whole: Microjoules, cpu: Nanos, all: Nanos) -> Microjoules {
    let share = u128::from(whole.0) * u128::from(cpu.0.min(all.0));
    Microjoules(share.checked_div(u128::from(all.0)).and_then(|part| u64::try_from(part).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        for (whole, cpu, all, expected) in [
            (1_000, 1, 4, 250),
            (1_000, 4, 4, 1_000),
            (1_000, 9, 4, 1_000),
            (1_000, 0, 4, 0),
            (1_000, 5, 0, 0),
            (u64::MAX, u64::MAX, u64::MAX, u64::MAX),
        ] {
            assert_eq!(part(Microjoules(whole), Nanos(cpu), Nanos(all)), Microjoules(expected), "{whole} {cpu}/{all}");
        }
    }
}
