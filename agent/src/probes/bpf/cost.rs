//! What the kernel programs cost, and how full their maps are.

use wattrace_common::{
    cost::{Cost, CpuCost, RunCost},
    layout,
    limits::{OVERFLOW_KEYS, TIME_SETS, TIME_WAYS},
    loss::{PROGRAMS, Program, Reason},
    sched::CpuSlot,
};

use super::{slot::word, times::TimeMaps};

/// How full a map is, in entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The map.
    pub map: &'static str,
    /// Entries in use.
    pub used: u64,
    /// Entries there are.
    pub limit: u64,
}

impl TimeMaps {
    /// Runs of every program and the time of those that were timed.
    pub fn costs(&self) -> Vec<RunCost> {
        PROGRAMS.iter().map(|program| self.cost(*program)).collect()
    }

    fn cost(&self, program: Program) -> RunCost {
        let first = program as usize * (size_of::<Cost>() / 8);
        let words = |word: usize| (0..self.costs.len()).map(move |cpu| self.costs.load(cpu, first + word));
        let sum = |word| words(word).fold(0_u64, u64::wrapping_add);
        let sums = Cost { timed: sum(word!(Cost, timed)), time: sum(word!(Cost, time)), ..Cost::default() };
        let runs = match program {
            Program::Sched => (0..self.cpus.len()).map(|cpu| self.cpus.load(cpu, word!(CpuSlot, seq)) / 2).sum(),
            _ => sum(word!(Cost, runs)),
        };
        RunCost { program, runs, sums }
    }

    /// How full the maps are whose room may run out. The time table is that of the CPU where it is fullest: each CPU
    /// has a part of its own.
    pub fn fills(&self) -> [Fill; 2] {
        let overflowed = self.lost(Program::Sched, Reason::Busy) > 0;
        // As long as it was never used, no system call is made for it.
        let keys = if overflowed { self.overflow.keys().flatten().count() } else { 0 };
        [
            Fill {
                map: layout::MAP_TIMES,
                used: self.fullest() as u64,
                limit: u64::from(TIME_SETS) * TIME_WAYS as u64,
            },
            Fill { map: layout::MAP_OVERFLOW, used: keys as u64, limit: u64::from(OVERFLOW_KEYS) },
        ]
    }
}

const _: () = assert!(std::mem::offset_of!(CpuCost, programs) == 0);
