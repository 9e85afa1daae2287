//! What is known of cgroup ids over time: their paths, their workloads, their deaths. Pure.
//!
//! The caller feeds it from a walk and from events, and repairs what [`Registry::wants`] to be told. It never asks
//! the kernel, and never gives an id a workload that no path spoke for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use wattrace_common::sched::{Work, WorkKey};

use super::{Workload, path::text};
use crate::units::Nanos;

/// How long a removed cgroup keeps its identity, for I/O and connections that end after it.
pub const DEAD_FOR: Nanos = Nanos(600 * 1_000_000_000);

/// Most ids that are known at once. As paths and names are bounded, an id takes 2 kB at most.
pub const KNOWN_MAX: usize = 100_000;

/// Most executable names whose workloads are kept ready.
const COMMS_MAX: usize = 4_096;

/// Whose a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Who is charged.
    pub workload: Arc<Workload>,
    /// Path of the cgroup, escaped and bounded by [`super::PATH_MAX`]; `None` for what is no cgroup or not known.
    pub path: Option<Arc<str>>,
}

/// A cgroup that was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Living<'a> {
    /// Its id.
    pub id: u64,
    /// Its path, escaped and bounded as in [`Resolved::path`].
    pub path: &'a Arc<str>,
    /// Who is charged.
    pub workload: &'a Arc<Workload>,
}

/// How much is known, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ids that have an identity.
    pub known: usize,
    /// Of these, the removed ones.
    pub dead: usize,
    /// Times an id had no identity, so that its work went to `unattributed`.
    pub unresolved: u64,
    /// Ids that were refused because [`KNOWN_MAX`] are alive.
    pub refused: u64,
    /// Removed ids forgotten before [`DEAD_FOR`] to make room.
    pub forgotten: u64,
}

/// Cgroup id → path and workload.
#[derive(Debug)]
pub struct Registry {
    host_id: String,
    cgroups: HashMap<u64, Cgroup>,
    /// Removed ids in the order of their death. An id that came back stands here in vain.
    deaths: VecDeque<(u64, Nanos)>,
    dead: usize,
    comms: HashMap<[u8; 16], Arc<Workload>>,
    own: Own,
    counts: Counts,
    known_max: usize,
}

#[derive(Debug)]
struct Cgroup {
    /// `None`: it was gone before anybody could read its path.
    path: Option<Arc<str>>,
    workload: Arc<Workload>,
    died: Option<Nanos>,
}

/// The workloads that are no cgroup's.
#[derive(Debug)]
struct Own {
    kernel: Arc<Workload>,
    unattributed: Arc<Workload>,
    other: Arc<Workload>,
}

impl Registry {
    /// Knows nothing yet. `host_id` goes into the keys of workloads.
    pub fn new(host_id: &str) -> Self {
        Self::with_capacity(host_id, KNOWN_MAX)
    }

    fn with_capacity(host_id: &str, known_max: usize) -> Self {
        let own = Own {
            kernel: Arc::new(Workload::kernel(host_id)),
            unattributed: Arc::new(Workload::unattributed(host_id)),
            other: Arc::new(Workload::other(host_id)),
        };
        Self {
            host_id: host_id.to_owned(),
            cgroups: HashMap::new(),
            deaths: VecDeque::new(),
            dead: 0,
            comms: HashMap::new(),
            own,
            counts: Counts::default(),
            known_max,
        }
    }

    /// The cgroup `id` exists and is at `path`: seen by a walk or through a handle.
    pub fn learn(&mut self, id: u64, path: &str) {
        if self.cgroups.get_mut(&id).and_then(|known| known.died.take()).is_some() {
            self.dead -= 1;
        }
        self.put(id, path);
    }

    /// The cgroup `id` was made at `at`. An event that comes after that of its death brings no one back.
    pub fn born(&mut self, id: u64, path: &str, at: Nanos) {
        if self.cgroups.get(&id).and_then(|known| known.died).is_some_and(|died| died >= at) {
            self.put(id, path);
        } else {
            self.learn(id, path);
        }
    }

    /// The cgroup `id` was removed at `at`, or turned out to be gone. It keeps its identity for [`DEAD_FOR`]; one
    /// that never had any stays nobody's, and is not asked for again in that time.
    pub fn died(&mut self, id: u64, at: Nanos) {
        if !self.cgroups.contains_key(&id) && !self.make_room() {
            return;
        }
        let nobody = &self.own.unattributed;
        let nameless = || Cgroup { path: None, workload: Arc::clone(nobody), died: None };
        let cgroup = self.cgroups.entry(id).or_insert_with(nameless);
        if cgroup.died.is_none() {
            cgroup.died = Some(at);
            self.dead += 1;
            self.deaths.push_back((id, at));
        }
    }

    /// Forgets those removed [`DEAD_FOR`] ago or longer.
    pub fn expire(&mut self, now: Nanos) {
        while let Some((id, at)) = self.deaths.front().copied() {
            if now.0.saturating_sub(at.0) < DEAD_FOR.0 {
                break;
            }
            self.deaths.pop_front();
            self.forget(id, at);
        }
    }

    /// Who is charged for the work of `key`; `comm` counts for keys of processes. `None`: the idle task, which is
    /// nobody's work. An id that is not known is `unattributed` until somebody tells its path.
    pub fn resolve(&mut self, key: WorkKey, comm: &[u8; 16]) -> Option<Resolved> {
        let workload = match key.decode() {
            Work::Idle => return None,
            Work::Kernel => Arc::clone(&self.own.kernel),
            Work::Nobody => Arc::clone(&self.own.unattributed),
            Work::Rest => Arc::clone(&self.own.other),
            Work::Process { .. } => self.process(comm),
            Work::Cgroup(id) => return Some(self.cgroup(id)),
        };
        Some(Resolved { workload, path: None })
    }

    /// Whether the path of `id` is worth looking up: then [`Registry::learn`] it, or tell that it
    /// [`Registry::died`]. No for what is known, and while there is no room for more.
    pub fn wants(&self, id: u64) -> bool {
        !self.cgroups.contains_key(&id) && (self.cgroups.len() < self.known_max || self.dead > 0)
    }

    /// Whose work it is that nobody owns.
    pub fn unattributed(&self) -> Arc<Workload> {
        Arc::clone(&self.own.unattributed)
    }

    /// All cgroups that were not removed and whose path is known, in no order.
    pub fn living(&self) -> impl Iterator<Item = Living<'_>> {
        let alive = self.cgroups.iter().filter(|(_, known)| known.died.is_none());
        alive.filter_map(|(id, known)| {
            known.path.as_ref().map(|path| Living { id: *id, path, workload: &known.workload })
        })
    }

    /// The workloads of all cgroups that were not removed.
    pub fn alive(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.cgroups.values().filter(|known| known.died.is_none()).map(|known| &known.workload)
    }

    /// Whether `id` was removed: no task runs in it any more.
    pub fn is_dead(&self, id: u64) -> bool {
        self.cgroups.get(&id).is_some_and(|known| known.died.is_some())
    }

    /// Sizes and losses.
    pub fn counts(&self) -> Counts {
        Counts { known: self.cgroups.len(), dead: self.dead, ..self.counts }
    }

    fn put(&mut self, id: u64, path: &str) {
        let known = self.cgroups.get(&id);
        let path: Arc<str> = text::bounded(path, text::PATH_MAX).into();
        if known.is_some_and(|known| known.path.as_deref() == Some(&*path)) || known.is_none() && !self.make_room() {
            return;
        }
        let workload = Arc::new(Workload::of_path(&path, &self.host_id));
        let died = self.cgroups.get(&id).and_then(|known| known.died);
        self.cgroups.insert(id, Cgroup { path: Some(path), workload, died });
    }

    /// Whether one more id may be known; the longest dead gives way.
    fn make_room(&mut self) -> bool {
        while self.cgroups.len() >= self.known_max {
            let Some((id, at)) = self.deaths.pop_front() else {
                self.counts.refused += 1;
                return false;
            };
            self.counts.forgotten += u64::from(self.forget(id, at));
        }
        true
    }

    /// Forgets `id` if it is still dead since `at`.
    fn forget(&mut self, id: u64, at: Nanos) -> bool {
        let is_dead = self.cgroups.get(&id).is_some_and(|known| known.died == Some(at));
        if is_dead {
            self.cgroups.remove(&id);
            self.dead -= 1;
        }
        is_dead
    }

    fn cgroup(&mut self, id: u64) -> Resolved {
        if let Some(known) = self.cgroups.get(&id) {
            self.counts.unresolved += u64::from(known.path.is_none());
            return Resolved { workload: Arc::clone(&known.workload), path: known.path.clone() };
        }
        self.counts.unresolved += 1;
        Resolved { workload: Arc::clone(&self.own.unattributed), path: None }
    }

    fn process(&mut self, comm: &[u8; 16]) -> Arc<Workload> {
        if let Some(ready) = self.comms.get(comm) {
            return Arc::clone(ready);
        }
        if self.comms.len() >= COMMS_MAX {
            self.comms.clear();
        }
        let made = Arc::new(Workload::process(&self.host_id, comm));
        self.comms.insert(*comm, Arc::clone(&made));
        made
    }
}

#[cfg(test)]
mod tests;
