//! How busy the CPUs were between two looks at their totals, which may come more often than readings of who
//! kept them busy.

use std::collections::BTreeMap;

use super::{CpuReading, Instant, Place, Scope, usage::advance};
use crate::units::Nanos;

/// How busy the CPUs were in a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Length of the span.
    pub span: Nanos,
    /// Busy time and online CPUs, by place.
    pub places: BTreeMap<Place, (Nanos, u64)>,
}

impl Load {
    /// Busy share of the CPUs of a scope, 0 to 1; `None` without CPUs or time.
    pub fn share(&self, scope: Scope) -> Option<f64> {
        let (busy, cpus) = self.covered(scope);
        let whole = self.span.0.saturating_mul(cpus);
        (whole > 0).then(|| (busy.0 as f64 / whole as f64).min(1.0))
    }

    /// Busy time of all CPUs of a scope.
    pub fn busy(&self, scope: Scope) -> Nanos {
        self.covered(scope).0
    }

    fn covered(&self, scope: Scope) -> (Nanos, u64) {
        let covered = self.places.iter().filter(|(place, _)| scope.covers(**place));
        covered.fold((Nanos(0), 0), |(busy, cpus), (_, (time, more))| (busy + *time, cpus + more))
    }
}

/// What is kept between two looks.
#[derive(Clone, Debug, Default)]
pub struct LoadTracker {
    /// Highest totals seen, by CPU.
    busy: BTreeMap<u32, Nanos>,
    until: Option<Instant>,
}

impl LoadTracker {
    /// The load since the look before; the first one has no span.
    pub fn observe(&mut self, at: Instant, cpus: &[CpuReading]) -> Load {
        let since = self.until.replace(at);
        let span = since.map_or(Nanos(0), |since| at.monotonic.saturating_sub(since.monotonic));
        let mut places: BTreeMap<Place, (Nanos, u64)> = BTreeMap::new();
        for cpu in cpus {
            let (busy, online) = places.entry(cpu.place).or_default();
            *online += u64::from(cpu.online);
            if let Some(total) = cpu.busy {
                *busy += advance(&mut self.busy, cpu.cpu, total, since.is_some());
            }
        }
        Load { span, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(cpu: u32, socket: u32, busy: Option<u64>) -> CpuReading {
        CpuReading {
            cpu,
            place: Place { socket, die: 0 },
            busy: busy.map(Nanos),
            idle: None,
            shared: Nanos(0),
            online: true,
        }
    }

    fn at(monotonic: u64) -> Instant {
        Instant { monotonic: Nanos(monotonic), ..Instant::default() }
    }

    #[test]
    fn the_share_is_that_of_the_cpus_of_a_scope() {
        let mut tracker = LoadTracker::default();
        let first = tracker.observe(at(1_000), &[cpu(0, 0, Some(70)), cpu(1, 1, Some(7))]);
        assert_eq!(first.share(Scope::Machine), None, "nothing is known before the first look");
        let load = tracker.observe(at(1_100), &[cpu(0, 0, Some(120)), cpu(1, 1, Some(107))]);
        assert_eq!(load.share(Scope::Socket(0)), Some(0.5));
        assert_eq!(load.share(Scope::Socket(1)), Some(1.0));
        assert_eq!(load.share(Scope::Machine), Some(0.75));
        assert_eq!(load.share(Scope::Socket(2)), None);
    }

    #[test]
    fn a_total_that_fell_counts_again_once_it_has_caught_up() {
        let mut tracker = LoadTracker::default();
        let mut share = |now, total| tracker.observe(at(now), &[cpu(0, 0, Some(total))]).share(Scope::Machine);
        share(0, 50);
        assert_eq!(share(100, 40), Some(0.0));
        assert_eq!(share(200, 75), Some(0.25));
    }

    #[test]
    fn a_cpu_that_shows_up_counts_from_zero() {
        let mut tracker = LoadTracker::default();
        tracker.observe(at(0), &[cpu(0, 0, Some(0)), cpu(1, 0, None)]);
        let load = tracker.observe(at(100), &[cpu(0, 0, Some(0)), cpu(1, 0, Some(100))]);
        assert_eq!(load.share(Scope::Machine), Some(0.5));
    }
}
