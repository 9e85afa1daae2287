//! On-CPU time: from totals since attach to who used which part of the machine in an interval.
//!
//! Readings may come more often than intervals end. Totals only grow, except that the open slice is an
//! estimate on another clock: where a total seems to fall, nothing is booked until it has caught up.
//! It stops at kernel keys; whose cgroup that is, identity knows.

use std::collections::{BTreeMap, BTreeSet};

use wattrace_common::sched::WorkKey;

use super::{Instant, OnCpu, Place, Reading, files::FilesTracker, split::split, ticks::Ticks};
use crate::units::Nanos;

/// Who used the CPUs in one interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageSample {
    /// When the interval began and ended.
    pub from: Instant,
    /// See `from`.
    pub to: Instant,
    /// CPUs that were online at the end.
    pub cpus: u64,
    /// Time of all tasks but idle, by place, from the CPUs' own totals; without kernel programs these are in clock
    /// ticks, which are evened out from one interval to the next.
    pub busy: BTreeMap<Place, OnCpu>,
    /// Time of the idle tasks. A CPU that was offline in between has none.
    pub idle: Nanos,
    /// On-CPU time by key and place. Keys that did not run are absent.
    pub work: BTreeMap<WorkKey, BTreeMap<Place, OnCpu>>,
    /// Names of processes, by key.
    pub comms: BTreeMap<WorkKey, [u8; 16]>,
    /// Whether on which of several places work ran is an estimate: files do not tell.
    pub is_place_estimated: bool,
}

impl UsageSample {
    /// Length of the interval, suspended time left out.
    pub fn span(&self) -> Nanos {
        self.to.monotonic.saturating_sub(self.from.monotonic)
    }

    /// Busy time of the whole machine.
    pub fn busy_total(&self) -> Nanos {
        self.busy.values().map(|busy| busy.time).sum()
    }

    /// Share of the CPUs' time in which they were busy, 0 to 1. `None` for an interval without time.
    pub fn utilization(&self) -> Option<f64> {
        let whole = self.cpus.saturating_mul(self.span().0);
        (whole > 0).then(|| (self.busy_total().0 as f64 / whole as f64).min(1.0))
    }

    /// Share of the CPUs' time that neither tasks nor idle account for: `|Σ − CPUs·Δt| / (CPUs·Δt)`.
    /// `None` for an interval without time.
    pub fn unaccounted(&self) -> Option<f64> {
        let whole = self.cpus.saturating_mul(self.span().0);
        let seen = self.busy_total().0.saturating_add(self.idle.0);
        (whole > 0).then(|| whole.abs_diff(seen) as f64 / whole as f64)
    }
}

/// What is kept between readings.
#[derive(Clone, Debug, Default)]
pub struct UsageTracker {
    /// Highest totals seen, by CPU and key.
    work: BTreeMap<(u32, WorkKey), OnCpu>,
    busy: BTreeMap<u32, OnCpu>,
    idle: BTreeMap<u32, Nanos>,
    /// Keys that ran between the last two readings.
    active: BTreeSet<WorkKey>,
    files: FilesTracker,
    /// `None`: the CPUs' totals are exact.
    ticks: Option<Ticks>,
    /// Time of this interval of which no CPU is known, by key.
    unplaced: BTreeMap<WorkKey, Nanos>,
    started: bool,
    sample: UsageSample,
}

impl UsageTracker {
    /// Takes a reading. The first one only marks where counting starts; what first shows up later began
    /// after it, so that it counts in full.
    pub fn observe(&mut self, reading: &Reading) {
        if !self.started {
            self.sample.from = reading.at;
        }
        self.sample.to = reading.at;
        self.observe_cpus(reading);
        let places: BTreeMap<u32, Place> = reading.cpus.iter().map(|cpu| (cpu.cpu, cpu.place)).collect();
        self.active.clear();
        for time in &reading.times {
            let total = OnCpu { time: time.time, shared: time.shared };
            let delta = OnCpu::advance(&mut self.work, (time.cpu, time.key), total, self.started);
            if delta.time.0 > 0 {
                self.active.insert(time.key);
                // A CPU that topology does not know counts as socket 0, die 0.
                let place = places.get(&time.cpu).copied().unwrap_or_default();
                *self.sample.work.entry(time.key).or_default().entry(place).or_default() += delta;
            }
            if time.comm != [0; 16] {
                self.sample.comms.insert(time.key, time.comm);
            }
        }
        if let Some(files) = &reading.files {
            for (key, used) in self.files.observe(files) {
                *self.unplaced.entry(key).or_default() += used;
            }
            self.sample.comms.extend(files.comms());
            self.ticks.get_or_insert_default().observe(&reading.cpus);
        }
        self.started = true;
    }

    fn observe_cpus(&mut self, reading: &Reading) {
        self.sample.cpus = 0;
        for cpu in &reading.cpus {
            if let Some(time) = cpu.busy {
                let total = OnCpu { time, shared: cpu.shared };
                let delta = OnCpu::advance(&mut self.busy, cpu.cpu, total, self.started);
                *self.sample.busy.entry(cpu.place).or_default() += delta;
            }
            self.sample.cpus += u64::from(cpu.online);
            match cpu.idle {
                Some(idle) => {
                    // A CPU that comes online has idled in the dark: its idle time starts here.
                    self.sample.idle += advance(&mut self.idle, cpu.cpu, idle, false);
                }
                None => {
                    self.idle.remove(&cpu.cpu);
                }
            }
        }
    }

    /// Forgets keys whose counters the reader has given back to the kernel: should one return, it starts from 0.
    pub fn forget(&mut self, keys: &BTreeSet<WorkKey>) {
        self.work.retain(|(_, key), _| !keys.contains(key));
    }

    /// Keys that did not run between the last two readings: candidates for being dead.
    pub fn quiet(&self) -> BTreeSet<WorkKey> {
        self.work.keys().map(|(_, key)| *key).filter(|key| !self.active.contains(key)).collect()
    }

    /// Ends the interval.
    pub fn close(&mut self) -> UsageSample {
        for (key, time) in std::mem::take(&mut self.unplaced) {
            let parts = over_places(time, &self.sample.busy);
            self.sample.is_place_estimated |= parts.len() > 1;
            let work = self.sample.work.entry(key).or_default();
            for (place, part) in parts {
                *work.entry(place).or_default() += OnCpu::alone(part);
            }
        }
        if let Some(ticks) = &mut self.ticks {
            ticks.even_out(&mut self.sample.busy, &self.sample.work);
        }
        let next = UsageSample { from: self.sample.to, to: self.sample.to, ..UsageSample::default() };
        std::mem::replace(&mut self.sample, next)
    }
}

/// Time of which no CPU is known, over the places in proportion to how busy each was: the parts add up to it, and where
/// the CPUs were as busy as all work together, the work of a place is as much as its CPUs did. Alike where none was busy.
fn over_places(time: Nanos, busy: &BTreeMap<Place, OnCpu>) -> BTreeMap<Place, Nanos> {
    let weights: Vec<u64> = busy.values().map(|busy| busy.time.0).collect();
    let parts = split(time.0, &weights).or_else(|| split(time.0, &vec![1; weights.len()]));
    let Some(parts) = parts else { return BTreeMap::from([(Place::default(), time)]) };
    let placed = busy.keys().copied().zip(parts.into_iter().map(Nanos));
    placed.filter(|(_, part)| part.0 > 0).collect()
}

/// The growth of a total, which is kept at its highest. A total seen for the first time grew from 0 when
/// `from_zero`, else it starts here.
pub(super) fn advance<K: Ord>(totals: &mut BTreeMap<K, Nanos>, key: K, total: Nanos, from_zero: bool) -> Nanos {
    let start = if from_zero { Nanos(0) } else { total };
    Nanos(grown(&mut totals.entry(key).or_insert(start).0, total.0))
}

/// The growth of a total, of which the highest value seen is kept: one that falls has not grown until it has caught up.
pub(super) fn grown(highest: &mut u64, total: u64) -> u64 {
    let delta = total.saturating_sub(*highest);
    *highest = (*highest).max(total);
    delta
}

#[cfg(test)]
mod tests;
