//! Reads who was on which CPU for how long, while the kernel goes on counting.
//!
//! Per CPU: its slot (sequence number, open slice), then its part of the table, then the slot again.
//! Slices that ended meanwhile are short, except the one that was open at the start; so the entries
//! of the keys that were open before and after are read again together with the slot, under an
//! unchanged sequence number. Whatever else moved shows up in the next reading: counters only grow,
//! nothing is read twice.

use std::collections::BTreeMap;

use aya::maps::{MapData, PerCpuHashMap};
use wattrace_common::{
    cost::CpuCost,
    limits::{TIME_SETS, TIME_WAYS},
    loss::{COUNTERS_PER_CPU, PROGRAMS, Program, REASONS, Reason, index},
    moves::CpuMoves,
    sched::{CpuSlot, TimeSet, TimeSlot, WorkKey},
};

use super::{
    entries::Entries,
    mapped::Mapped,
    slot::{Slot, word},
};
use crate::{samples::TimeReading, units::Nanos};

type Overflow = PerCpuHashMap<MapData, u64, [u64; 4]>;

/// The maps of `sched_switch`.
pub struct TimeMaps {
    pub(super) cpus: Mapped<CpuSlot>,
    pub(super) times: Mapped<TimeSet>,
    /// One word where no CPU has a sibling.
    pub(super) shared: Mapped<u64>,
    pub(super) moves: Mapped<CpuMoves>,
    lost: Mapped<u64>,
    pub(super) costs: Mapped<CpuCost>,
    pub(super) overflow: Overflow,
    /// Run-queue clock up to which each CPU was accounted: an estimate never falls behind it.
    reached: Vec<u64>,
    /// CPUs that were offline at the last reading and have not switched since, with their sequence number then.
    stopped: BTreeMap<u32, u64>,
    /// Readings of a CPU whose state kept changing: its open slice is one reading late.
    torn: u64,
    /// The descriptors behind the mappings; the programs hold the maps too.
    _data: Vec<MapData>,
}

/// The maps, as the loader has them.
pub(super) struct Maps {
    pub(super) cpus: Mapped<CpuSlot>,
    pub(super) times: Mapped<TimeSet>,
    pub(super) shared: Mapped<u64>,
    pub(super) moves: Mapped<CpuMoves>,
    pub(super) lost: Mapped<u64>,
    pub(super) costs: Mapped<CpuCost>,
    pub(super) overflow: Overflow,
    pub(super) data: Vec<MapData>,
}

/// What one CPU did since the program was attached, open slice included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTotals {
    /// CPU number.
    pub cpu: u32,
    /// `None`: no switch seen yet.
    pub busy_idle: Option<(Nanos, Nanos)>,
    /// Of busy, while the sibling was busy, too.
    pub shared: Nanos,
}

/// One reading of all CPUs.
#[derive(Clone, Debug, Default)]
pub struct TimesReading {
    /// Per CPU.
    pub cpus: Vec<CpuTotals>,
    /// Per CPU and key.
    pub times: Vec<TimeReading>,
}

/// One loss counter, summed over CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Who lost.
    pub program: Program,
    /// Why.
    pub reason: Reason,
    /// How often since the program was attached.
    pub count: u64,
}

/// Reads of a slot before giving up: a CPU would have to switch in the middle of each.
pub(super) const TRIES: u32 = 1_000;
/// Scans of a CPU's table before giving up, each interrupted for longer than [`LONG_SCAN`].
const RESCANS: u32 = 16;
/// Nanoseconds of a scan after which slices that ended meanwhile are no longer short.
const LONG_SCAN: u64 = 200_000;
/// Nanoseconds more for each key of the overflow map: two system calls.
const LOOK_UP: u64 = 5_000;

impl TimeMaps {
    pub(super) fn new(maps: Maps) -> Self {
        let Maps { cpus, times, shared, moves, lost, costs, overflow, data } = maps;
        let reached = vec![0; cpus.len()];
        let stopped = BTreeMap::new();
        Self { cpus, times, shared, moves, lost, costs, overflow, reached, stopped, torn: 0, _data: data }
    }

    /// Tells each CPU which other one shares its core.
    pub fn set_siblings(&self, siblings: &BTreeMap<u32, u32>) {
        for (number, cpu) in (0u32..).zip(0..self.cpus.len()) {
            if let Some(word) = self.cpus.word(cpu, word!(CpuSlot, sibling)) {
                let sibling = siblings.get(&number).map_or(0, |sibling| u64::from(*sibling) + 1);
                word.store(sibling, std::sync::atomic::Ordering::Release);
            }
        }
    }

    /// Asks each CPU for a clock pair at its next switch.
    pub fn ask_for_clock_pairs(&self) {
        for cpu in 0..self.cpus.len() {
            if let Some(want) = self.cpus.word(cpu, word!(CpuSlot, want)) {
                want.store(1, std::sync::atomic::Ordering::Release);
            }
        }
    }

    /// Whose slice is open on a CPU; `None` before its first switch.
    pub fn running(&self, cpu: u32) -> Option<WorkKey> {
        self.running_task(cpu).map(|(key, _)| key)
    }

    /// Key and thread id of the running task; `None` before the CPU's first switch.
    pub(super) fn running_task(&self, cpu: u32) -> Option<(WorkKey, u64)> {
        let slot = self.slot(usize::try_from(cpu).ok()?, || Nanos(0))?;
        (slot.last != 0).then(|| (slot.running(), slot.pid))
    }

    /// Every key that some of a CPU's open slice belongs to.
    pub(super) fn open_keys(&self, cpu: usize) -> Vec<WorkKey> {
        self.slot(cpu, || Nanos(0)).map_or_else(Vec::new, |slot| slot.keys().collect())
    }

    /// Readings of a CPU that could not be made at one instant: its open slice was one reading late.
    pub const fn torn(&self) -> u64 {
        self.torn
    }

    /// Losses by program and reason.
    pub fn losses(&self) -> Vec<Loss> {
        let all = PROGRAMS.iter().flat_map(|program| REASONS.iter().map(|reason| (*program, *reason)));
        all.map(|(program, reason)| Loss { program, reason, count: self.lost(program, reason) }).collect()
    }

    pub(super) fn lost(&self, program: Program, reason: Reason) -> u64 {
        let first = index(program, reason) as usize;
        (first..self.lost.len()).step_by(COUNTERS_PER_CPU as usize).map(|at| self.lost.load(at, 0)).sum()
    }

    /// Reads every CPU. `monotonic` reads `CLOCK_MONOTONIC`: it is called inside each CPU's reading. Slices that are open
    /// count up to the instant that `as_of` names for their CPU, if it is past. The last switch of a CPU that goes offline
    /// is not told: what was open then is over.
    pub fn read(
        &mut self,
        monotonic: impl Fn() -> Nanos,
        is_online: impl Fn(u32) -> bool,
        as_of: impl Fn(u32) -> Nanos,
    ) -> TimesReading {
        let mut reading = TimesReading::default();
        for (number, cpu) in (0u32..).zip(0..self.cpus.len()) {
            let is_running = self.is_running(number, &is_online);
            let (slot, entries) = self.read_cpu(cpu, &|| if is_running { monotonic() } else { Nanos(0) });
            match slot {
                Some(slot) => self.finish(number, &slot.back_at(as_of(number)), entries, &mut reading),
                None => reading.cpus.push(CpuTotals { cpu: number, busy_idle: None, shared: Nanos(0) }),
            }
        }
        self.ask_for_clock_pairs();
        reading
    }

    /// What every CPU did, whoever kept it busy.
    pub fn totals(&mut self, monotonic: impl Fn() -> Nanos, is_online: impl Fn(u32) -> bool) -> Vec<CpuTotals> {
        let cpus = 0..self.cpus.len();
        let totals = (0u32..).zip(cpus).map(|(number, cpu)| {
            let is_running = self.is_running(number, &is_online);
            let slot = self.slot(cpu, || if is_running { monotonic() } else { Nanos(0) });
            let slot = slot.filter(|slot| slot.last != 0);
            slot.map_or(CpuTotals { cpu: number, busy_idle: None, shared: Nanos(0) }, |slot| {
                self.totals_of(number, &slot).0
            })
        });
        let totals = totals.collect();
        self.ask_for_clock_pairs();
        totals
    }

    /// Whether time passes in a CPU's open slice: it is online, and has switched since it was last seen offline.
    fn is_running(&mut self, number: u32, is_online: impl Fn(u32) -> bool) -> bool {
        let seq = self.cpus.load(number as usize, word!(CpuSlot, seq));
        if !is_online(number) {
            self.stopped.insert(number, seq);
            return false;
        }
        let is_running = self.stopped.get(&number) != Some(&seq);
        if is_running {
            self.stopped.remove(&number);
        }
        is_running
    }

    /// A CPU's slot and what its table holds, at one instant; no slot before its first switch.
    fn read_cpu(&mut self, cpu: usize, monotonic: &impl Fn() -> Nanos) -> (Option<Slot>, Entries) {
        let number = u32::try_from(cpu).unwrap_or(u32::MAX);
        let mut entries = Entries::new(number);
        let Some(mut before) = self.slot(cpu, monotonic).filter(|slot| slot.last != 0) else {
            return (None, entries);
        };
        for _ in 0..RESCANS {
            entries = Entries::new(number);
            let overflowed = self.scan_overflow(cpu, &mut entries);
            self.scan(cpu, &mut entries);
            let Some(after) = self.settle(cpu, &before, &mut entries, monotonic) else { break };
            if after.now.saturating_sub(before.now) < LONG_SCAN + overflowed * LOOK_UP {
                return (Some(after), entries);
            }
            before = after;
        }
        self.torn += 1;
        (Some(Slot { now: before.last, ..before }), entries)
    }

    /// Reads the slot and the entries of the keys open before and now, until nothing moved meanwhile.
    fn settle(&self, cpu: usize, before: &Slot, entries: &mut Entries, monotonic: &impl Fn() -> Nanos) -> Option<Slot> {
        (0..TRIES).find_map(|_| {
            let slot = self.slot(cpu, monotonic)?;
            for key in before.keys().chain(slot.keys()) {
                if let Some(time) = self.lookup(cpu, key) {
                    entries.set(time);
                }
            }
            (self.cpus.load(cpu, word!(CpuSlot, seq)) == slot.seq).then_some(slot)
        })
    }

    /// Adds the open slice and the per-CPU words to what the table held.
    fn finish(&mut self, cpu: u32, slot: &Slot, mut entries: Entries, reading: &mut TimesReading) {
        let (totals, until) = self.totals_of(cpu, slot);
        for (key, slices) in slot.special {
            if slices.0 > 0 || slot.key == key {
                entries.push(key, slices, [0; 16]);
            }
        }
        if slot.key != WorkKey::IDLE {
            slot.open_parts(until).into_iter().for_each(|(key, open)| entries.add(key, open));
        }
        reading.cpus.push(totals);
        reading.times.append(&mut entries.into_list());
    }

    /// Totals with the open slice, and the instant of the run-queue clock up to which they are.
    fn totals_of(&mut self, cpu: u32, slot: &Slot) -> (CpuTotals, u64) {
        let index = cpu as usize;
        let reached = self.reached.get(index).copied().unwrap_or(0);
        let now = slot.now.max(slot.last).max(reached);
        if let Some(reached) = self.reached.get_mut(index) {
            *reached = now;
        }
        let open = now - slot.last;
        let (busy, idle) =
            if slot.key == WorkKey::IDLE { (slot.busy, slot.idle + open) } else { (slot.busy + open, slot.idle) };
        let shared = Nanos(slot.shared + slot.open_overlap(now));
        (CpuTotals { cpu, busy_idle: Some((Nanos(busy), Nanos(idle))), shared }, now)
    }

    fn scan(&self, cpu: usize, entries: &mut Entries) {
        let sets = TIME_SETS as usize;
        for set in cpu * sets..(cpu + 1) * sets {
            for way in 0..TIME_WAYS {
                let key = WorkKey(self.time_word(set, way, word!(TimeSlot, key)));
                if key != WorkKey::IDLE {
                    let time = self.time_word(set, way, word!(TimeSlot, time));
                    entries.push(key, (time, self.shared_of(set, way)), self.comm(set, way));
                }
            }
        }
    }

    pub(super) fn time_word(&self, set: usize, way: usize, word: usize) -> u64 {
        self.times.load(set, way * size_of::<TimeSlot>() / 8 + word)
    }

    /// 0 where no CPU has a sibling.
    fn shared_of(&self, set: usize, way: usize) -> u64 {
        if self.shared.len() > 1 { self.shared.load(set * TIME_WAYS + way, 0) } else { 0 }
    }

    fn comm(&self, set: usize, way: usize) -> [u8; 16] {
        let first = word!(TimeSlot, comm);
        join(self.time_word(set, way, first), self.time_word(set, way, first + 1))
    }

    /// The entry of one key on one CPU, wherever it stands.
    fn lookup(&self, cpu: usize, key: WorkKey) -> Option<TimeReading> {
        let number = u32::try_from(cpu).ok()?;
        let set = cpu * TIME_SETS as usize + key.set() as usize;
        let found = (0..TIME_WAYS).find(|way| self.time_word(set, *way, word!(TimeSlot, key)) == key.0);
        if let Some(way) = found.filter(|_| key != WorkKey::IDLE) {
            let time = Nanos(self.time_word(set, way, word!(TimeSlot, time)));
            let shared = Nanos(self.shared_of(set, way));
            return Some(TimeReading { cpu: number, key, time, shared, comm: self.comm(set, way) });
        }
        if self.lost(Program::Sched, Reason::Busy) == 0 {
            return None;
        }
        let values = self.overflow.get(&key.0, 0).ok()?;
        values.get(cpu).filter(|[time, ..]| *time > 0).map(|value| overflow_reading(number, key, value))
    }

    /// Reads a CPU's values of the overflow map; returns how many keys it holds. No system call as long as
    /// it was never used.
    fn scan_overflow(&self, cpu: usize, entries: &mut Entries) -> u64 {
        if self.lost(Program::Sched, Reason::Busy) == 0 {
            return 0;
        }
        let number = u32::try_from(cpu).unwrap_or(u32::MAX);
        let mut keys = 0;
        for (key, values) in self.overflow.iter().flatten() {
            keys += 1;
            if let Some(value) = values.get(cpu).filter(|[time, ..]| *time > 0) {
                entries.set(overflow_reading(number, WorkKey(key), value));
            }
        }
        keys
    }
}

fn overflow_reading(cpu: u32, key: WorkKey, &[time, a, b, shared]: &[u64; 4]) -> TimeReading {
    TimeReading { cpu, key, time: Nanos(time), shared: Nanos(shared), comm: join(a, b) }
}

fn join(a: u64, b: u64) -> [u8; 16] {
    (u128::from(a) | u128::from(b) << 64).to_le_bytes()
}
