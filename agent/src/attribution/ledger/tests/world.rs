//! A machine made of numbers: it runs a schedule, can be read like a real one, and knows the truth.
//!
//! The truth is summed on its own, from what was run and which reads of a meter can be compared. It
//! shares nothing with the code under test but the types.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use wattrace_common::{sched::WorkKey, threads::State};

use super::disk;
use crate::{
    samples::{
        CpuReading, Instant, Place, Reading, Scope, ThreadsReading, TimeReading, ZoneError, ZoneInfo, ZoneKey,
        ZoneKind, ZoneReading,
    },
    units::{Microjoules, Nanos, Watts},
};

const MILLI: u64 = 1_000_000;
const CPUS: usize = 4;
/// CPU 3 has not been seen before it works.
const LATE: usize = 3;
const KEYS: u64 = 8;
/// What no zone exceeds, W; the zones really draw less than a fifth of it.
const MAX_WATTS: u64 = 1_000;

/// Time one task ran on one CPU.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    cpu: usize,
    /// Which cgroup; 0 is a task that the table of times lost.
    cgroup: u64,
    micros: u64,
}

/// What happens to one zone until the next reading.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Fine,
    /// The driver starts it from somewhere else.
    Reset,
    /// It cannot be read.
    Failed(ZoneError),
}

/// One reading's worth of a schedule.
#[derive(Clone, Debug)]
pub(super) struct Step {
    millis: u64,
    asleep: bool,
    slices: Vec<Slice>,
    milliwatts: Vec<u64>,
    fates: Vec<Fate>,
    online: bool,
    pub(super) event: Event,
}

/// What the agent does after a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The interval goes on.
    Nothing,
    /// The interval ends.
    Close,
    /// The interval ends, and keys that did not run are given back to the kernel.
    Reclaim,
    /// The agent is killed and starts again.
    Restart,
}

pub(super) fn schedule() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..60)
}

fn step() -> impl Strategy<Value = Step> {
    let slice = (0..CPUS, 0..=KEYS, 0..1_000_000_u64).prop_map(|(cpu, cgroup, micros)| Slice { cpu, cgroup, micros });
    let error = prop::sample::select(vec![ZoneError::Retry, ZoneError::Gone, ZoneError::Denied]);
    let fate = prop_oneof![12 => Just(Fate::Fine), 1 => Just(Fate::Reset), 2 => error.prop_map(Fate::Failed)];
    let millis = prop_oneof![8 => 1..3_000_u64, 1 => 1..15_000_u64];
    let closed = prop_oneof![2 => Just(Event::Close), 1 => Just(Event::Reclaim)];
    let event = prop_oneof![4 => Just(Event::Nothing), 12 => closed, 1 => Just(Event::Restart)];
    let zones = zones().len();
    let machine = (millis, prop::bool::weighted(0.05), prop::bool::weighted(0.9), event);
    (machine, vec(slice, 0..10), vec(0..190_000_u64, zones), vec(fate, zones)).prop_map(
        |((millis, asleep, online, event), slices, milliwatts, fates)| Step {
            millis,
            asleep,
            slices,
            milliwatts,
            fates,
            online,
            event,
        },
    )
}

/// Packages wrap after 20 kJ, their memory after 6 kJ; a gap begins just before 10 and 3 seconds.
pub(super) fn zones() -> Vec<ZoneInfo> {
    let zone = |kind, socket, range| ZoneInfo {
        key: ZoneKey { kind, scope: Scope::Socket(socket) },
        hw_id: String::new(),
        parent: None,
        range: Microjoules(range),
        unit: Microjoules(61),
        max_power: Watts(MAX_WATTS as f64),
    };
    let (package, memory) = (20_000_000_003, 6_000_000_001);
    vec![
        zone(ZoneKind::Package, 0, package),
        zone(ZoneKind::Package, 1, package),
        zone(ZoneKind::Dram, 0, memory),
        zone(ZoneKind::Dram, 1, memory),
        zone(ZoneKind::Core, 0, package),
    ]
}

/// Idle power, mW: whole, so that whole milliseconds give whole microjoules.
pub(super) fn floor_milliwatts(key: ZoneKey) -> u64 {
    match (key.kind, key.scope) {
        (ZoneKind::Package, Scope::Socket(0)) => 40_000,
        (ZoneKind::Package, _) => 55_000,
        _ => 3_001,
    }
}

/// What an account or a zone must show.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Truth {
    /// Nanoseconds by cgroup; 0: nobody.
    pub(super) cpu: BTreeMap<u64, u64>,
    /// Nanoseconds its threads slept by cgroup: whoever ran once sleeps from then on.
    pub(super) slept: BTreeMap<u64, u64>,
    /// Measured and idle µJ by zone.
    pub(super) energy: BTreeMap<ZoneKey, (u64, u64)>,
}

#[derive(Debug, Default)]
struct Meter {
    /// The last read failed.
    is_failing: bool,
    /// The last interval ended so, and no good read came since.
    failed_before: bool,
    /// Value the counter shows, before it wraps.
    raw: u64,
    /// Used since the last good read.
    since: u64,
    /// Whether the counter still continues that read, and that read.
    last: Option<(bool, Instant)>,
    /// Energy and milliseconds known in the open interval.
    open: (u64, u64),
}

pub(super) struct World {
    now: Instant,
    busy: [u64; CPUS],
    idle: [u64; CPUS],
    online: bool,
    times: BTreeMap<(usize, u64), u64>,
    /// Totals of sleep, by cgroup.
    slept: BTreeMap<u64, u64>,
    meters: Vec<(ZoneInfo, Meter)>,
    open_cpu: BTreeMap<u64, u64>,
    open_sleep: BTreeMap<u64, u64>,
    truth: Truth,
}

impl World {
    /// Meters stand just before they wrap.
    pub(super) fn new() -> Self {
        let meter = |zone: ZoneInfo| {
            let raw = zone.range.0 - 1_000_000_000;
            (zone, Meter { raw, ..Meter::default() })
        };
        Self {
            now: Instant { monotonic: Nanos(1), boottime: Nanos(1), wall: Nanos(0) },
            busy: [0; CPUS],
            idle: [0; CPUS],
            online: true,
            times: BTreeMap::new(),
            slept: BTreeMap::new(),
            meters: zones().into_iter().map(meter).collect(),
            open_cpu: BTreeMap::new(),
            open_sleep: BTreeMap::new(),
            truth: Truth::default(),
        }
        .attached()
    }

    /// The kernel programs have just been attached, and ran a little before the first reading: that is nobody's.
    fn attached(mut self) -> Self {
        (self.busy, self.idle) = ([77, 0, 0, 0], [5; CPUS]);
        self.times = BTreeMap::from([((0, 1), 70)]);
        self.slept = BTreeMap::from([(1, 40)]);
        self
    }

    /// Lets time pass and tasks run.
    pub(super) fn run(&mut self, step: &Step) {
        self.now.monotonic += Nanos(step.millis * MILLI);
        self.now.boottime += Nanos((step.millis + u64::from(step.asleep) * 3_600_000) * MILLI);
        self.online = step.online;
        for idle in &mut self.idle {
            *idle += step.millis * MILLI;
        }
        for (cgroup, slept) in &mut self.slept {
            *slept += step.millis * MILLI;
            *self.open_sleep.entry(*cgroup).or_default() += step.millis * MILLI;
        }
        for Slice { cpu, cgroup, micros } in &step.slices {
            let nanos = micros * 1_000 + 7;
            self.busy[*cpu] += nanos;
            *self.open_cpu.entry(*cgroup).or_default() += nanos;
            if *cgroup > 0 {
                *self.times.entry((*cpu, *cgroup)).or_default() += nanos;
                self.slept.entry(*cgroup).or_default();
            }
        }
        for ((zone, meter), (milliwatts, fate)) in self.meters.iter_mut().zip(step.milliwatts.iter().zip(&step.fates)) {
            let energy = milliwatts * step.millis;
            meter.raw = (meter.raw + energy) % zone.range.0;
            meter.since += energy;
            if let (Fate::Reset, Some((continues, _))) = (fate, &mut meter.last) {
                // Half a range away from the last good read: no energy that fits the time explains it.
                let shown = (meter.raw + zone.range.0 - meter.since % zone.range.0) % zone.range.0;
                meter.raw = (shown + zone.range.0 / 2 + energy % 1_000) % zone.range.0;
                meter.since = zone.range.0 / 2 + energy % 1_000;
                *continues = false;
            }
        }
    }

    /// What the kernel maps show.
    pub(super) fn reading(&self) -> Reading {
        let cpu = |at: usize| CpuReading {
            cpu: u32::try_from(at).unwrap(),
            place: Place { socket: u32::from(at >= CPUS / 2), die: 0 },
            busy: (at != LATE || self.busy[at] > 0).then_some(Nanos(self.busy[at])),
            idle: (at != 1 || self.online).then_some(Nanos(self.idle[at])),
            shared: Nanos(self.busy[at] / 3),
            online: at != 1 || self.online,
        };
        let time = |((cpu, cgroup), time): (&(usize, u64), &u64)| TimeReading {
            cpu: u32::try_from(*cpu).unwrap(),
            key: WorkKey::cgroup(*cgroup),
            time: Nanos(*time),
            shared: Nanos(*time / 3),
            comm: [0; 16],
        };
        let slept = |(cgroup, slept): (&u64, &u64)| {
            let mut threads = ThreadsReading { key: WorkKey::cgroup(*cgroup), ..ThreadsReading::default() };
            threads.states[State::Sleeping as usize] = Nanos(*slept);
            threads.now[State::Sleeping as usize] = 1;
            threads
        };
        Reading {
            at: self.now,
            cpus: (0..CPUS).map(cpu).collect(),
            times: self.times.iter().map(time).collect(),
            files: None,
            threads: Some(self.slept.iter().map(slept).collect()),
            disk: Some(disk::read_as_long_as_it_ran(&self.times)),
            tcp: None,
            processes: None,
        }
    }

    /// What the meters show; the truth takes note of every read that can be compared.
    pub(super) fn read_meters(&mut self, fates: impl Fn(usize) -> Fate) -> Vec<(ZoneInfo, ZoneReading)> {
        let now = self.now;
        let read = |(at, (zone, meter)): (usize, &mut (ZoneInfo, Meter))| {
            let counter = match fates(at) {
                Fate::Failed(error) => {
                    meter.is_failing = true;
                    Err(error)
                }
                Fate::Fine | Fate::Reset => Ok(meter.read(zone, now)),
            };
            (zone.clone(), ZoneReading { key: zone.key, at: now, counter })
        };
        self.meters.iter_mut().enumerate().map(read).collect()
    }

    /// The kernel forgets these cgroups' times: dead, or idle for long.
    pub(super) fn reclaim(&mut self, dead: impl Fn(u64) -> bool) {
        self.times.retain(|(_, cgroup), _| !dead(*cgroup));
        self.slept.retain(|cgroup, _| !dead(*cgroup));
    }

    /// The interval ends: what is open is now booked.
    pub(super) fn close(&mut self) -> &Truth {
        for (cgroup, nanos) in std::mem::take(&mut self.open_cpu) {
            *self.truth.cpu.entry(cgroup).or_default() += nanos;
        }
        for (cgroup, nanos) in std::mem::take(&mut self.open_sleep) {
            *self.truth.slept.entry(cgroup).or_default() += nanos;
        }
        for (zone, meter) in &mut self.meters {
            // A whole interval without a good read: what a later one tells is not booked.
            if let Some((continues, _)) = meter.last.as_mut().filter(|_| meter.failed_before) {
                *continues = false;
            }
            meter.failed_before = meter.is_failing;
            let (energy, millis) = std::mem::take(&mut meter.open);
            let (measured, idle) = self.truth.energy.entry(zone.key).or_default();
            *measured += energy;
            *idle += energy.min(floor_milliwatts(zone.key) * millis);
        }
        &self.truth
    }

    /// The agent died: the open interval is booked nowhere, and its programs start from nothing.
    pub(super) fn restart(mut self) -> Self {
        self.open_cpu.clear();
        self.open_sleep.clear();
        for (_, meter) in &mut self.meters {
            (meter.open, meter.last) = ((0, 0), None);
        }
        self.attached()
    }
}

impl Meter {
    fn read(&mut self, zone: &ZoneInfo, now: Instant) -> Microjoules {
        (self.is_failing, self.failed_before) = (false, false);
        if let Some((true, since)) = self.last {
            let awake = now.monotonic.0 - since.monotonic.0;
            let slept = now.boottime.0 - since.boottime.0 > awake;
            let most = MAX_WATTS * (awake / 1_000) + zone.unit.0;
            if !slept && 2 * most < zone.range.0 {
                self.open = (self.open.0 + self.since, self.open.1 + awake / MILLI);
            }
        }
        (self.since, self.last) = (0, Some((true, now)));
        Microjoules(self.raw)
    }
}

impl Step {
    pub(super) fn fate(&self, zone: usize) -> Fate {
        self.fates[zone]
    }
}
