//! Single processes: from what was seen of them at both ends of an interval, and how those ended that are gone, to what each
//! used in between.
//!
//! A process is its id and its start, since ids are given again. What nobody saw is told of nobody: a process that is older than
//! the interval counts from where it was first seen, and not at all without that. It stops at kernel keys.

use std::collections::BTreeMap;

use wattrace_common::{
    events::{ExitEvent, Who},
    process::{Actor, ActorKey, EXIT_REASONS, ExitReason},
    sched::WorkKey,
};

use super::{Event, Instant};
use crate::units::Nanos;

/// Most ends that are kept, some 25 MB of them.
const MOST: usize = 1 << 18;

/// A process and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// Its id.
    pub pid: u32,
    /// When it was made, boot time, down to a whole clock tick: `/proc` knows no better.
    pub start: Nanos,
}

/// A process as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub id: ProcessId,
    /// Its name.
    pub comm: [u8; 16],
    /// On-CPU time of all its threads so far, those that ended included.
    pub cpu: Nanos,
    /// Under which key its time is booked; of nobody where that cannot be told.
    pub key: WorkKey,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Why; `None`: for a reason that is not known here.
    pub reason: Option<ExitReason>,
    /// As `wait` tells it.
    pub status: u32,
}

/// A process of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lived {
    /// Which, with its name, its key, and what it used in the interval.
    pub seen: Seen,
    /// How it ended; `None`: it was there at the end.
    pub end: Option<End>,
}

/// What is kept while an interval goes on.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    tick: Nanos,
    before: BTreeMap<ProcessId, Nanos>,
    ends: Vec<ExitEvent>,
    dropped: u64,
}

impl Lives {
    /// At the beginning of the interval these were there. `tick` is the kernel's clock tick.
    pub fn begin(tick: Nanos, seen: impl IntoIterator<Item = (ProcessId, Nanos)>) -> Self {
        Self { tick, before: seen.into_iter().collect(), ..Self::default() }
    }

    /// Takes what came meanwhile; other events than ends say nothing here.
    pub fn take(&mut self, events: Vec<Event>) {
        for event in events {
            let Event::Exit(exit) = event else { continue };
            if self.ends.len() < MOST {
                self.ends.push(exit);
            } else {
                self.dropped += 1;
            }
        }
    }

    /// The ends that came so far.
    pub fn ends(&self) -> &[ExitEvent] {
        &self.ends
    }

    /// Ends for which there was no room.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What each process used between two instants, where `after` were there at the later one. Both ends of an interval are
    /// looked at a little later than they are: what was made after its end, or was gone before its beginning, is not in it.
    pub fn close(self, after: &[Seen], [from, to]: [Instant; 2]) -> Vec<Lived> {
        let mut there = BTreeMap::new();
        for seen in after.iter().filter(|seen| seen.id.start <= to.boottime) {
            let latest = Nanos(seen.id.start.0.saturating_add(self.tick.0));
            if let Some(base) = self.base(seen.id, [seen.id.start, latest], from) {
                let cpu = seen.cpu.saturating_sub(base);
                there.insert(seen.id, Lived { seen: Seen { cpu, ..*seen }, end: None });
            }
        }
        // By their exact start: an id may be given again within a tick.
        let mut gone = BTreeMap::new();
        for exit in self.ends.iter().filter(|exit| exit.head.at >= from.monotonic.0) {
            let start = Nanos(exit.who.start);
            let id = ProcessId { pid: exit.who.tgid, start: self.floor(start) };
            // It outlived the interval, if only by the time it takes to look at all processes.
            let was_there = exit.head.at > to.monotonic.0 && there.contains_key(&id);
            if was_there || start > to.boottime {
                continue;
            }
            if let Some(base) = self.base(id, [start, start], from) {
                let cpu = Nanos(exit.cpu).saturating_sub(base);
                let seen = Seen { id, comm: exit.who.comm, cpu, key: work_key(ActorKey(exit.head.key), &exit.who) };
                // Else it was there because nobody has waited for it.
                there.remove(&id);
                gone.insert((id.pid, start), Lived { seen, end: Some(End::of(exit)) });
            }
        }
        there.into_values().chain(gone.into_values()).collect()
    }

    /// The beginning of the clock tick in which an instant lies.
    fn floor(&self, at: Nanos) -> Nanos {
        Nanos(at.0 - at.0.checked_rem(self.tick.0).unwrap_or(0))
    }

    /// What a process had used when the interval began; `None`: it is older, and was not seen then. `start` is the earliest and
    /// the latest instant at which it can have been made.
    fn base(&self, id: ProcessId, [earliest, latest]: [Nanos; 2], from: Instant) -> Option<Nanos> {
        if earliest >= from.boottime {
            return Some(Nanos(0));
        }
        self.before.get(&id).copied().or((latest >= from.boottime).then_some(Nanos(0)))
    }
}

impl End {
    fn of(exit: &ExitEvent) -> Self {
        let reason = EXIT_REASONS.into_iter().find(|reason| *reason as u32 == exit.reason);
        Self { reason, status: exit.status }
    }
}

/// The key under which the time of a process is booked whose owner is this.
pub const fn work_key(owner: ActorKey, who: &Who) -> WorkKey {
    match owner.decode() {
        Actor::Nobody => WorkKey::NOBODY,
        Actor::Kernel => WorkKey::KERNEL,
        Actor::Cgroup(id) => WorkKey::cgroup(id),
        Actor::Named => WorkKey::process(who.tgid, who.start),
    }
}

#[cfg(test)]
mod tests;
