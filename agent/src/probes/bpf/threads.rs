//! Reads where threads were while they were off the CPU, and how long what ended had lasted.
//!
//! Sums of a key lie on every CPU that its threads entered or left a state on; only all of them together mean something. Each
//! row is read under an unchanged sequence number of its CPU. A thread that changes between two rows shows in one of them
//! alone, and costs the time between their readings at most, until the next reading.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::{HashMap, MapData, MapError, PerCpuHashMap, Stack};
use wattrace_common::{
    layout,
    limits::{HISTOGRAM_ROWS, OVERFLOW_KEYS, THREAD_ROWS, TIME_SETS, TIME_WAYS},
    loss::{Program, Reason},
    sched::{CpuSlot, TimeSlot, WorkKey},
    threads::{Histograms, OFF_BUCKETS, REASONS, ThreadSlot, WAIT_BUCKETS},
};

use super::{
    cost::Fill,
    mapped::Mapped,
    slot::{Slot, word},
    times::{TRIES, TimeMaps},
    widened::{Widened, half},
};
use crate::{
    samples::{Durations, ThreadDurations, ThreadsReading},
    units::Nanos,
};

mod sums;

use sums::{Sums, WORDS};

/// Buckets in a row of histograms, of all kinds.
const BUCKETS: usize = WAIT_BUCKETS + REASONS * OFF_BUCKETS;

/// The maps of threads off the CPU.
pub struct ThreadMaps {
    parts: ThreadParts,
    /// Counts by row of histograms: they are narrower in the kernel, and wrap there.
    widened: BTreeMap<u32, Widened>,
    torn: u64,
}

/// What all CPUs say together.
#[derive(Default)]
struct Gathered {
    sums: BTreeMap<WorkKey, Sums>,
    /// Run-queue clock up to which open intervals count.
    now: u64,
    /// Rows, or CPUs, that are not among them: they never stood still.
    torn: u64,
}

/// The maps, as the loader has them.
pub(super) struct ThreadParts {
    pub(super) threads: Mapped<ThreadSlot>,
    pub(super) histograms: Mapped<Histograms>,
    pub(super) overflow: PerCpuHashMap<MapData, u64, [u64; WORDS]>,
    pub(super) row_of: HashMap<MapData, u64, u32>,
    pub(super) free: Stack<MapData, u32>,
    pub(super) stripes: u32,
    /// The descriptors behind the mappings.
    pub(super) _data: Vec<MapData>,
}

impl ThreadMaps {
    pub(super) fn new(mut parts: ThreadParts) -> Result<Self, MapError> {
        // The highest is taken first.
        for row in (0..HISTOGRAM_ROWS).rev() {
            parts.free.push(row, 0)?;
        }
        Ok(Self { parts, widened: BTreeMap::new(), torn: 0 })
    }

    /// What the threads of every key did, up to the instant that `as_of` names.
    pub fn read(
        &mut self,
        times: &TimeMaps,
        monotonic: impl Fn() -> Nanos,
        as_of: impl Fn(u32) -> Nanos,
    ) -> Vec<ThreadsReading> {
        let Gathered { sums, now, torn } = self.gather(times, monotonic, as_of);
        self.torn += torn;
        sums.into_iter().map(|(key, sums)| self.reading(key, &sums, now)).collect()
    }

    /// Rows that were left out of a reading, or a CPU with all of its own, since they kept changing: until the next one.
    pub const fn torn(&self) -> u64 {
        self.torn
    }

    /// Share of the rows of histograms that is taken, 0 to 1, as of the last reading.
    #[expect(clippy::cast_precision_loss, reason = "some hundred rows")]
    pub fn fullness(&self) -> f64 {
        self.widened.len() as f64 / f64::from(HISTOGRAM_ROWS)
    }

    /// Keys of `dead` without a thread in any state: those of the others are still to leave theirs, or were not all read.
    pub(super) fn left_by_all(&self, times: &TimeMaps, dead: &BTreeSet<WorkKey>) -> BTreeSet<WorkKey> {
        let Gathered { sums, torn, .. } = self.gather(times, || Nanos(0), |_| Nanos(0));
        let is_left = |key: &&WorkKey| torn == 0 && sums.get(key).is_none_or(Sums::is_empty);
        dead.iter().filter(is_left).copied().collect()
    }

    /// Clears what was kept of `free`, of which no thread runs or will: before their slots of on-CPU time are.
    pub(super) fn release(&mut self, times: &TimeMaps, free: &BTreeSet<WorkKey>) {
        for cpu in 0..times.cpus.len() {
            for (row, key) in rows(times, cpu) {
                if free.contains(&key) {
                    self.clear(cpu * THREAD_ROWS as usize + row);
                }
            }
        }
        for key in free {
            // Most keys are not there: the error says just that.
            drop(self.parts.overflow.remove(&key.0));
            if let Ok(row) = self.parts.row_of.get(&key.0, 0) {
                self.free_histograms(*key, row);
            }
        }
    }

    fn clear(&self, at: usize) {
        for word in 0..WORDS {
            if let Some(word) = self.parts.threads.word(at, word) {
                word.store(0, std::sync::atomic::Ordering::Release);
            }
        }
    }

    fn free_histograms(&mut self, key: WorkKey, row: u32) {
        for at in self.stripes(row) {
            for word in 0..size_of::<Histograms>() / 8 {
                if let Some(word) = self.parts.histograms.word(at, word) {
                    word.store(0, std::sync::atomic::Ordering::Release);
                }
            }
        }
        self.widened.remove(&row);
        if self.parts.row_of.remove(&key.0).is_ok() {
            // As many fit as there are rows.
            drop(self.parts.free.push(row, 0));
        }
    }

    /// How full the maps are whose room may run out.
    pub(super) fn fills(&self, times: &TimeMaps) -> [Fill; 2] {
        // As long as it was never used, no system call is made for it.
        let is_used = times.lost(Program::Sched, Reason::Busy) > 0;
        let over = if is_used { self.parts.overflow.keys().flatten().count() } else { 0 };
        let rows = self.parts.row_of.keys().flatten().count();
        [
            Fill { map: layout::MAP_OVERFLOW_THREADS, used: over as u64, limit: u64::from(OVERFLOW_KEYS) },
            Fill { map: layout::MAP_HISTOGRAM_ROW, used: rows as u64, limit: u64::from(HISTOGRAM_ROWS) },
        ]
    }

    fn gather(&self, times: &TimeMaps, monotonic: impl Fn() -> Nanos, as_of: impl Fn(u32) -> Nanos) -> Gathered {
        let mut all = Gathered::default();
        for (number, cpu) in (0u32..).zip(0..times.cpus.len()) {
            let Some(slot) = times.slot(cpu, &monotonic) else {
                all.torn += 1;
                continue;
            };
            if slot.last == 0 {
                continue;
            }
            for (row, key) in rows(times, cpu).into_iter().chain(special_rows()) {
                match self.row(times, cpu, row) {
                    Some(row) => all.add(key, |sums| sums.add(&row)),
                    None => all.torn += 1,
                }
            }
            all.note_running(&slot);
            all.now = all.now.max(slot.back_at(as_of(number)).now);
        }
        if times.lost(Program::Sched, Reason::Busy) > 0 {
            for key in self.parts.overflow.keys().flatten() {
                let torn = self.over_rows(times, key, |row| all.add(WorkKey(key), |sums| sums.add(row)));
                all.torn += torn;
            }
        }
        all
    }

    /// The rows of a key in the overflow map, each as it was at one instant of its CPU: those that moved are read again. How
    /// many never stood still.
    fn over_rows(&self, times: &TimeMaps, key: u64, mut take: impl FnMut(&[u64; WORDS])) -> u64 {
        let seq = |cpu: usize| times.cpus.load(cpu, word!(CpuSlot, seq));
        let mut missing: Vec<usize> = (0..times.cpus.len()).collect();
        for _ in 0..TRIES {
            let before: Vec<u64> = missing.iter().map(|cpu| seq(*cpu)).collect();
            let Ok(values) = self.parts.overflow.get(&key, 0) else { return 0 };
            let mut before = before.into_iter();
            missing.retain(|cpu| {
                let still = before.next().is_some_and(|before| before.is_multiple_of(2) && seq(*cpu) == before);
                if let Some(row) = values.get(*cpu).filter(|_| still) {
                    take(row);
                }
                !still
            });
            if missing.is_empty() {
                break;
            }
        }
        missing.len() as u64
    }

    /// A copy of a row at one instant of its CPU; `None`: it never stood still.
    fn row(&self, times: &TimeMaps, cpu: usize, row: usize) -> Option<[u64; WORDS]> {
        let seq = || times.cpus.load(cpu, word!(CpuSlot, seq));
        let at = cpu * THREAD_ROWS as usize + row;
        (0..TRIES).find_map(|_| {
            let before = seq();
            let words = std::array::from_fn(|word| self.parts.threads.load(at, word));
            (before.is_multiple_of(2) && seq() == before).then_some(words)
        })
    }

    fn reading(&mut self, key: WorkKey, sums: &Sums, now: u64) -> ThreadsReading {
        ThreadsReading {
            key,
            states: sums.states(now),
            now: sums.threads(),
            running: sums.running,
            voluntary: sums.voluntary,
            involuntary: sums.involuntary,
            durations: sums.histograms.checked_sub(1).map(|row| self.durations(row, sums)),
        }
    }

    fn durations(&mut self, row: u32, sums: &Sums) -> ThreadDurations {
        let counts = self.widen(row);
        let part = |from: usize, len: usize| counts.get(from..from + len).unwrap_or_default().to_vec();
        let wait = Durations { sum: Nanos(sums.waited), counts: part(0, WAIT_BUCKETS) };
        let off = std::array::from_fn(|reason| Durations {
            sum: Nanos(sums.off.get(reason).copied().unwrap_or(0)),
            counts: part(WAIT_BUCKETS + reason * OFF_BUCKETS, OFF_BUCKETS),
        });
        ThreadDurations { wait, off }
    }

    /// The row's counts since it was taken, all stripes together.
    fn widen(&mut self, row: u32) -> Vec<u64> {
        let stripes: Vec<usize> = self.stripes(row).collect();
        let raw = (0..BUCKETS).map(|bucket| self.raw(&stripes, bucket)).collect();
        self.widened.entry(row).or_default().take(raw).to_vec()
    }

    fn raw(&self, stripes: &[usize], bucket: usize) -> u32 {
        let count = |at: &usize| half(self.parts.histograms.load(*at, bucket / 2), bucket);
        stripes.iter().map(count).fold(0, u32::wrapping_add)
    }

    fn stripes(&self, row: u32) -> impl Iterator<Item = usize> + use<> {
        let stripes = self.parts.stripes as usize;
        let first = row as usize * stripes;
        first..first + stripes
    }
}

impl Gathered {
    fn add(&mut self, key: WorkKey, change: impl FnOnce(&mut Sums)) {
        change(self.sums.entry(key).or_default());
    }

    /// The running task is on the CPU, and how it came in is still to be booked.
    fn note_running(&mut self, slot: &Slot) {
        if slot.running() != WorkKey::IDLE {
            self.add(slot.running(), |sums| sums.running += 1);
        }
        if let Some(wait) = &slot.wait {
            self.add(wait.key, |sums| sums.settle(wait));
        }
    }
}

/// Rows of a CPU that have a key.
fn rows(times: &TimeMaps, cpu: usize) -> Vec<(usize, WorkKey)> {
    let sets = TIME_SETS as usize;
    let places = (0..sets).flat_map(|set| (0..TIME_WAYS).map(move |way| (set, way)));
    let keyed = places.map(|(set, way)| {
        let key = times.time_word(cpu * sets + set, way, word!(TimeSlot, key));
        (set * TIME_WAYS + way, WorkKey(key))
    });
    keyed.filter(|(_, key)| *key != WorkKey::IDLE).collect()
}

/// Rows of the keys that have no place in the table.
fn special_rows() -> [(usize, WorkKey); 3] {
    let first = TIME_SETS as usize * TIME_WAYS;
    [WorkKey::KERNEL, WorkKey::NOBODY, WorkKey::REST].map(|key| (first + (key.0 & 3) as usize, key))
}
