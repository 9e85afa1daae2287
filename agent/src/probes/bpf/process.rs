//! Reads what was counted of processes, and gives rows of owners that are gone or quiet back.
//!
//! Rows are read while the kernel counts in them: what is under way shows at the next reading. Names come and go with the
//! processes that bear them, and one may come back while its row is given away: so that takes two steps, a reading apart. First
//! the row is found no more, and who comes back gets another; what was on its way to the old one is there at the next
//! reading.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use aya::maps::{HashMap, MapData, MapError, Stack};
use wattrace_common::{
    events::Limiter,
    layout,
    limits::{PROCESS_ROWS, THREAD_GROUPS},
    process::{Actor, ActorKey, EXIT_REASONS, FIXED_ACTORS, ProcessRow, ThreadGroup},
};

use super::{cost::Fill, mapped::Mapped, slot::word};
use crate::{
    samples::{ActorReading, ProcessTotals},
    units::Nanos,
};

/// Words of a row that only rise: the figures, then the events that each limiter dropped.
const SUMS: [usize; 10] = {
    const { assert!(word!(ProcessRow, cpu) == word!(ProcessRow, forks) + 7) };
    let (first, dropped) = (word!(ProcessRow, forks), word!(Limiter, dropped));
    [
        first,
        first + 1,
        first + 2,
        first + 3,
        first + 4,
        first + 5,
        first + 6,
        first + 7,
        word!(ProcessRow, exec_limiter) + dropped,
        word!(ProcessRow, exit_limiter) + dropped,
    ]
};

type Sums = [u64; SUMS.len()];

/// Readings from one look for notes of processes that are gone to the next: each takes a few system calls per process of several
/// threads, and a note that is left takes no more than its place.
const LOOK_EACH: u64 = 12;

/// Words of a process's note in the kernel.
pub(super) type GroupWords = [u64; size_of::<ThreadGroup>() / 8];

/// The maps of processes.
pub struct ProcessMaps {
    parts: ProcessParts,
    /// Sums of each row at the last reading, and whether they were the same at the one before.
    last: BTreeMap<usize, (Sums, bool)>,
    /// Rows that are found no more; whether they were read since.
    leaving: BTreeMap<usize, bool>,
    /// Of rows that were given back, by owners that came again meanwhile.
    kept: BTreeMap<ActorKey, Sums>,
    /// What the last reading told.
    told: BTreeMap<ActorKey, Sums>,
    /// How many readings there were.
    readings: u64,
    /// Processes with a note that were gone the last time.
    gone: BTreeSet<u32>,
    /// Processes whose end was not seen.
    unseen: u64,
}

/// The maps, as the loader has them.
pub(super) struct ProcessParts {
    pub(super) work: Mapped<ProcessRow>,
    pub(super) row_of: HashMap<MapData, u64, u32>,
    pub(super) free_rows: Stack<MapData, u32>,
    pub(super) groups: HashMap<MapData, u32, GroupWords>,
    /// The descriptor behind the mapping.
    pub(super) _data: MapData,
}

impl ProcessMaps {
    pub(super) fn new(mut parts: ProcessParts) -> Result<Self, MapError> {
        for (row, key) in (0..).zip(FIXED_ACTORS) {
            parts.row_of.insert(key.0, row, 0)?;
            store(&parts.work, row as usize, word!(ProcessRow, key), key.0);
        }
        // The highest is taken first.
        for row in (FIXED_ACTORS.len()..PROCESS_ROWS as usize).rev() {
            parts.free_rows.push(u32::try_from(row).unwrap_or(0), 0)?;
        }
        let (last, leaving, kept) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { parts, last, leaving, kept, told: BTreeMap::new(), readings: 0, gone: BTreeSet::new(), unseen: 0 })
    }

    /// What the processes of every owner did.
    pub fn read(&mut self) -> Vec<ActorReading> {
        self.readings += 1;
        let mut all = self.kept.clone();
        let mut names = BTreeMap::new();
        let mut last = BTreeMap::new();
        for (row, key) in self.rows() {
            let sums = self.sums(row);
            let is_quiet = self.last.get(&row).is_some_and(|(before, _)| *before == sums);
            last.insert(row, (sums, is_quiet));
            add(all.entry(key).or_default(), &sums);
            names.insert(key, self.name(row));
        }
        self.last = last;
        for is_read in self.leaving.values_mut() {
            *is_read = true;
        }
        all.retain(|key, sums| !FIXED_ACTORS.contains(key) || *sums != Sums::default());
        self.told = all;
        let comm = |key| names.get(key).copied().unwrap_or_default();
        self.told.iter().map(|(key, sums)| reading(*key, comm(key), sums)).collect()
    }

    /// Rows that are taken.
    fn rows(&self) -> impl Iterator<Item = (usize, ActorKey)> {
        let key = |row| ActorKey(self.parts.work.load(row, word!(ProcessRow, key)));
        (0..self.parts.work.len()).map(move |row| (row, key(row))).filter(|(_, key)| key.0 != 0)
    }

    fn sums(&self, row: usize) -> Sums {
        SUMS.map(|word| self.parts.work.load(row, word))
    }

    fn name(&self, row: usize) -> [u8; 16] {
        let half = |at| self.parts.work.load(row, word!(ProcessRow, comm) + at).to_ne_bytes();
        let (mut comm, [first, rest]) = ([0; 16], [half(0), half(1)]);
        for (byte, from) in comm.iter_mut().zip(first.into_iter().chain(rest)) {
            *byte = from;
        }
        comm
    }

    /// Share of the rows of owners that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        self.rows().count() as f64 / f64::from(PROCESS_ROWS)
    }

    /// Gives the rows of owners back that did nothing between the last two readings, or since, and that are dead cgroups, or
    /// names. Should one of them do something after all, it begins anew: whoever keeps its last values must forget them.
    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> BTreeSet<ActorKey> {
        self.clear_left();
        let is_over = |key: ActorKey| match key.decode() {
            Actor::Named => true,
            Actor::Cgroup(id) => is_dead(id),
            Actor::Nobody | Actor::Kernel => false,
        };
        let rows: Vec<(usize, ActorKey)> = self.rows().filter(|(_, key)| is_over(*key)).collect();
        for (row, key) in rows {
            let is_quiet = self.last.get(&row).is_some_and(|(sums, is_quiet)| *is_quiet && *sums == self.sums(row));
            if is_quiet && !self.leaving.contains_key(&row) && self.parts.row_of.remove(&key.0).is_ok() {
                self.leaving.insert(row, false);
            }
        }
        self.forget_kept()
    }

    /// Frees the rows that nothing finds since a reading ago.
    fn clear_left(&mut self) {
        let (read, news): (BTreeMap<_, _>, _) = std::mem::take(&mut self.leaving).into_iter().partition(|row| row.1);
        self.leaving = news;
        for row in read.into_keys() {
            let key = ActorKey(self.parts.work.load(row, word!(ProcessRow, key)));
            let sums = self.sums(row);
            add(self.kept.entry(key).or_default(), &sums);
            for word in 0..size_of::<ProcessRow>() / 8 {
                store(&self.parts.work, row, word, 0);
            }
            self.last.remove(&row);
            // As many fit as there are rows.
            drop(self.parts.free_rows.push(u32::try_from(row).unwrap_or(0), 0));
        }
    }

    /// Forgets what owners did that have no row any more, once it is told.
    fn forget_kept(&mut self) -> BTreeSet<ActorKey> {
        let with_row: BTreeSet<ActorKey> = self.rows().map(|(_, key)| key).collect();
        let is_over = |(key, sums): &(&ActorKey, &Sums)| !with_row.contains(key) && self.told.get(key) == Some(sums);
        let over: BTreeSet<ActorKey> = self.kept.iter().filter(is_over).map(|(key, _)| *key).collect();
        self.kept.retain(|key, _| !over.contains(key));
        over
    }

    /// Whether it is time for [`Self::forget_gone`].
    pub const fn is_time_to_look(&self) -> bool {
        self.readings.is_multiple_of(LOOK_EACH)
    }

    /// Takes out the notes of processes of which `is_there` denies that they are, twice in a row: the switch of a thread that
    /// ended was not told.
    pub fn forget_gone(&mut self, is_there: impl Fn(u32) -> bool) {
        let gone: BTreeSet<u32> = self.parts.groups.keys().flatten().filter(|tgid| !is_there(*tgid)).collect();
        for tgid in self.gone.intersection(&gone) {
            if self.parts.groups.remove(tgid).is_ok() {
                self.unseen += 1;
            }
        }
        self.gone = gone;
    }

    /// Processes whose end was not seen: they count in no figure of exits.
    pub const fn unseen(&self) -> u64 {
        self.unseen
    }

    /// How full the maps are whose room may run out.
    pub fn fills(&self) -> [Fill; 2] {
        let groups = self.parts.groups.keys().flatten().count();
        [
            Fill { map: layout::MAP_PROCESS_ROW, used: self.rows().count() as u64, limit: u64::from(PROCESS_ROWS) },
            Fill { map: layout::MAP_THREAD_GROUPS, used: groups as u64, limit: u64::from(THREAD_GROUPS) },
        ]
    }
}

fn store(rows: &Mapped<ProcessRow>, row: usize, word: usize, value: u64) {
    if let Some(word) = rows.word(row, word) {
        word.store(value, Ordering::Release);
    }
}

fn add(sums: &mut Sums, more: &Sums) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.wrapping_add(*more);
    }
}

fn reading(key: ActorKey, comm: [u8; 16], sums: &Sums) -> ActorReading {
    const { assert!(EXIT_REASONS.len() == 4) };
    let [forks, execs, normal, error, signal, oom, short_lived, cpu, exec_dropped, exit_dropped] = *sums;
    let exits = [normal, error, signal, oom];
    let totals = ProcessTotals { forks, execs, exits, short_lived, exited_cpu: Nanos(cpu) };
    ActorReading { key, comm, totals, dropped_events: exec_dropped + exit_dropped }
}
