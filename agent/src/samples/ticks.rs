//! Totals of the CPUs in whole clock ticks beside exact times of who kept them busy.
//!
//! Read once an interval, a total in ticks is too low in one interval by what it is too high in the next. Without care the
//! high ones would each time leave something to nobody, while the low ones take nothing back.

use std::collections::BTreeMap;

use wattrace_common::sched::WorkKey;

use super::{CpuReading, OnCpu, Place};
use crate::units::Nanos;

/// The coarsest clock tick of `/proc/stat` (`USER_HZ` is 100, and more on some machines that are no longer made).
const TICK: Nanos = Nanos::from_millis(10);

/// What is kept between intervals.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticks {
    /// Time that CPUs must have worked and their totals did not show yet, by place.
    behind: BTreeMap<Place, Nanos>,
    /// By how much totals of whole ticks can be behind, by place.
    most: BTreeMap<Place, Nanos>,
}

impl Ticks {
    /// Takes note of the CPUs there are.
    pub(super) fn observe(&mut self, cpus: &[CpuReading]) {
        self.most.clear();
        for cpu in cpus {
            *self.most.entry(cpu.place).or_default() += TICK;
        }
    }

    /// Raises the busy time of places whose work exceeds it, by a tick for each CPU at most, and takes that back from
    /// later intervals that have some to spare. Over time nothing is added.
    pub(super) fn even_out(
        &mut self,
        busy: &mut BTreeMap<Place, OnCpu>,
        work: &BTreeMap<WorkKey, BTreeMap<Place, OnCpu>>,
    ) {
        for (place, busy) in busy {
            let busy = &mut busy.time;
            let claimed: Nanos = work.values().filter_map(|times| times.get(place)).map(|work| work.time).sum();
            let behind = self.behind.entry(*place).or_default();
            let most = self.most.get(place).copied().unwrap_or_default();
            let lent = claimed.saturating_sub(*busy).min(most.saturating_sub(*behind));
            let back = busy.saturating_sub(claimed).min(*behind);
            *behind = *behind + lent - back;
            *busy = *busy + lent - back;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Place = Place { socket: 0, die: 0 };
    const MILLI: u64 = 1_000_000;

    /// Busy milliseconds of each interval on two CPUs, evened out, from those shown and those that workloads claim.
    fn evened(intervals: &[(u64, u64)]) -> Vec<u64> {
        let mut ticks = Ticks::default();
        let cpu = |cpu| CpuReading { cpu, place: HERE, busy: None, idle: None, shared: Nanos(0), online: true };
        ticks.observe(&[cpu(0), cpu(1)]);
        let even = |(shown, claimed): &(u64, u64)| {
            let mut busy = BTreeMap::from([(HERE, OnCpu::alone(Nanos(shown * MILLI)))]);
            let times = |part: u64| BTreeMap::from([(HERE, OnCpu::alone(Nanos(part * MILLI)))]);
            let work = [(WorkKey::cgroup(1), times(claimed / 2)), (WorkKey::cgroup(2), times(claimed - claimed / 2))];
            ticks.even_out(&mut busy, &BTreeMap::from(work));
            busy[&HERE].time.0 / MILLI
        };
        intervals.iter().map(even).collect()
    }

    #[test]
    fn what_was_lent_is_taken_back_from_what_is_to_spare() {
        assert_eq!(evened(&[(100, 100), (110, 100)]), [100, 110], "nothing was lent");
        assert_eq!(evened(&[(90, 100), (110, 100)]), [100, 100]);
        assert_eq!(evened(&[(90, 100), (104, 100), (109, 100)]), [100, 100, 103]);
    }

    #[test]
    fn no_more_is_lent_than_a_tick_for_each_cpu() {
        assert_eq!(evened(&[(50, 100), (90, 100), (150, 100)]), [70, 90, 130]);
    }

    proptest! {
        #[test]
        fn over_time_nothing_is_added(intervals in prop::collection::vec((0..200u64, 0..200u64), 0..50)) {
            let shown: u64 = intervals.iter().map(|interval| interval.0).sum();
            let out: u64 = evened(&intervals).iter().sum();
            prop_assert!((shown..=shown + 20).contains(&out), "{} from {}", out, shown);
        }
    }
}
