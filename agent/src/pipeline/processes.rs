//! Processes told apart, for who asks for that: a walk over `/proc` at both ends of an interval, and the kernel's word for those
//! that are gone by then. What is left of a workload, nobody told of.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use wattrace_common::{
    process::ActorKey,
    sched::{START_SHIFT, Work, WorkKey},
};

use super::{
    Interval, Pipeline,
    files::Processes,
    sources::{Sched, Sources},
};
use crate::{
    attribution::by_process::{Part, by_process},
    identity::Workload,
    probes::{process, procfs, sys},
    samples::{
        files::ProcessReading,
        lives::{Lives, ProcessId, Seen, work_key},
        usage::UsageSample,
    },
    units::Nanos,
};

/// A closed interval with its processes.
#[derive(Clone, Debug)]
pub struct ToldApart {
    /// Who used what, all of each workload.
    pub parts: Vec<Part>,
    /// Why those that were gone by the end are missing; `None`: they are not.
    pub without_ends: Option<String>,
    /// Ends that are missing all the same, by the reason.
    pub lost_ends: Vec<(&'static str, u64)>,
    /// Processes of which it cannot be told whose they are.
    pub homeless: u64,
    /// Times a process that is there, or all of them, could not be read.
    pub unreadable: u64,
}

impl ToldApart {
    /// Without joules, for who may not see what single processes cost.
    pub fn hide_energy(&mut self) {
        self.parts.iter_mut().for_each(|part| part.energy.clear());
        self.parts.sort_by_key(|part| std::cmp::Reverse(part.cpu));
        self.parts.retain(|part| part.cpu.0 > 0);
    }
}

/// What is kept while an interval goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) lives: Lives,
    unreadable: u64,
}

/// A process, and what it used.
type Found = (ProcessReading, ProcessId, Nanos);

/// A look at all processes.
struct Walk<'a> {
    root: &'a Path,
    hz: u64,
    /// Whether their clocks can be read: ids must mean the same to the kernel when this process says them. Else there are whole
    /// clock ticks.
    has_clocks: bool,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path) -> Self {
        let has_clocks = process::in_initial_pid_namespace(root) && procfs::is_real(root);
        Self { root, hz: procfs::user_hz(), has_clocks }
    }

    fn tick(&self) -> Nanos {
        Nanos(1_000_000_000 / self.hz.max(1))
    }

    /// All that are there, in the order of `/proc`: then each is looked at as long after the beginning of the walk as before.
    /// And how many could not be read.
    fn all(&self) -> (Vec<Found>, u64) {
        let Ok(pids) = procfs::pids(self.root) else { return (Vec::new(), 1) };
        let (mut found, mut unreadable) = (Vec::with_capacity(pids.len()), 0);
        for pid in pids {
            match procfs::process(self.root, pid, self.hz) {
                Ok(reading) => found.extend(reading.map(|reading| self.timed(pid, reading))),
                Err(_) => unreadable += 1,
            }
        }
        (found, unreadable)
    }

    fn timed(&self, pid: u32, reading: ProcessReading) -> Found {
        let id = ProcessId { pid, start: reading.started.saturating_sub(self.tick()) };
        let clock = if self.has_clocks { sys::process_cpu(pid).ok() } else { None };
        (reading, id, clock.unwrap_or(reading.time))
    }
}

/// Under which key the time of processes is booked, by the paths of their cgroups.
struct Homes<'a> {
    sources: &'a Sources,
    mount: Option<&'a PathBuf>,
    root_cgroup: Option<u64>,
    ids: HashMap<String, Option<u64>>,
}

impl<'a> Homes<'a> {
    fn new(sources: &'a Sources) -> Self {
        let mount = sources.cgroups.as_ref().ok();
        let root_cgroup = mount.and_then(|mount| process::root_cgroup(mount));
        Self { sources, mount, root_cgroup, ids: HashMap::new() }
    }

    /// `None`: it is gone meanwhile.
    fn key(&mut self, pid: u32, reading: &ProcessReading) -> Option<WorkKey> {
        let by_itself = if reading.is_kernel { WorkKey::KERNEL } else { reading.process };
        let files = match &self.sources.sched {
            Sched::Files(files) => Some(files.processes),
            Sched::Btf(_) => None,
        };
        if files == Some(Processes::All) {
            return Some(by_itself);
        }
        let root = &self.sources.root;
        let path = process::unified_cgroup(root, pid);
        if path.is_none() && !process::is_there(root, pid) {
            return None;
        }
        // Without a line of its own the unified hierarchy is not there: then all are in its root.
        let path = path.unwrap_or_else(|| "/".to_owned());
        let id = self.id(&path);
        let is_root = id.map_or(path == "/" && self.mount.is_none(), |id| Some(id) == self.root_cgroup);
        let key = match id {
            _ if is_root && files == Some(Processes::Hidden) => WorkKey::NOBODY,
            _ if is_root => by_itself,
            Some(id) => WorkKey::cgroup(id),
            None => WorkKey::NOBODY,
        };
        Some(key)
    }

    fn id(&mut self, path: &str) -> Option<u64> {
        let mount = self.mount?;
        let look_up = || process::cgroup_id_below(mount, path);
        *self.ids.entry(path.to_owned()).or_insert_with(look_up)
    }
}

impl Pipeline {
    /// From here on processes are told apart: to be called when the first reading was just taken.
    pub fn watch_processes(&mut self) {
        let walk = Walk::new(&self.sources.root);
        let (found, unreadable) = walk.all();
        self.watched = Some(Watched {
            lives: Lives::begin(walk.tick(), found.into_iter().map(|(_, id, cpu)| (id, cpu))),
            unreadable,
        });
    }

    /// Ends the last interval as [`Pipeline::finish`] does, right after its last reading, and tells its processes apart.
    pub fn finish_by_process(&mut self) -> (Interval, ToldApart) {
        let (after, unreadable) = self.processes_now();
        // After the walk: who was gone by then has its end told.
        self.take_changes();
        let Watched { lives, unreadable: before } = self.watched.take().unwrap_or_default();
        let workloads = self.workloads_of(&after, &lives);
        let interval = self.finish();
        let lost = self.sources.dropped_events().into_iter().chain([("memory", lives.dropped())]);
        let lost_ends = lost.filter(|(_, count)| *count > 0).collect();
        let lived = lives.close(&after, [interval.usage.from, interval.usage.to]).into_iter();
        let (known, homeless): (Vec<_>, Vec<_>) =
            lived.filter(|one| one.seen.cpu.0 > 0).partition(|one| one.seen.key != WorkKey::NOBODY);
        let comms = Comms::of(&interval.usage);
        let processes = known.into_iter().map(|one| (self.whose_process(&one.seen, &workloads, &comms), one)).collect();
        let accounts: Vec<_> = self.ledger.accounts().collect();
        let told = ToldApart {
            parts: by_process(&accounts, processes),
            without_ends: self.sources.without_events().map(str::to_owned),
            lost_ends,
            homeless: homeless.len() as u64,
            unreadable: before + unreadable,
        };
        (interval, told)
    }

    fn processes_now(&self) -> (Vec<Seen>, u64) {
        let (found, unreadable) = Walk::new(&self.sources.root).all();
        let mut homes = Homes::new(&self.sources);
        // Of one that is gone meanwhile, its end is told.
        let seen =
            |(reading, id, cpu): Found| Some(Seen { id, comm: reading.comm, cpu, key: homes.key(id.pid, &reading)? });
        (found.into_iter().filter_map(seen).collect(), unreadable)
    }

    /// Workloads of cgroups, while those that are gone are known.
    fn workloads_of(&mut self, after: &[Seen], lives: &Lives) -> BTreeMap<WorkKey, Arc<Workload>> {
        let ended = lives.ends().iter().map(|exit| work_key(ActorKey(exit.head.key), &exit.who));
        let keys = after.iter().map(|seen| seen.key).chain(ended);
        let keys: BTreeSet<WorkKey> = keys.filter(|key| matches!(key.decode(), Work::Cgroup(_))).collect();
        self.repair(&keys, crate::clock::monotonic());
        keys.into_iter().filter_map(|key| Some((key, self.registry.resolve(key, &[0; 16])?.workload))).collect()
    }

    fn whose_process(
        &mut self,
        seen: &Seen,
        workloads: &BTreeMap<WorkKey, Arc<Workload>>,
        comms: &Comms<'_>,
    ) -> Arc<Workload> {
        let of_cgroup = workloads.get(&seen.key).cloned();
        let comm = comms.get(seen.id).unwrap_or(seen.comm);
        let by_name = || self.registry.resolve(seen.key, &comm).map(|resolved| resolved.workload);
        of_cgroup.or_else(by_name).unwrap_or_else(|| self.registry.unattributed())
    }
}

/// Names under which processes of the root cgroup were booked: a process may have another one since.
struct Comms<'a>(BTreeMap<u32, Vec<(Nanos, &'a [u8; 16])>>);

impl<'a> Comms<'a> {
    fn of(usage: &'a UsageSample) -> Self {
        let mut of: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, comm) in &usage.comms {
            if let Work::Process { tgid, start } = key.decode() {
                of.entry(tgid).or_default().push((Nanos(start << START_SHIFT), comm));
            }
        }
        Self(of)
    }

    /// A key knows the start less exactly, and neither rounds up.
    fn get(&self, id: ProcessId) -> Option<[u8; 16]> {
        let starts = self.0.get(&id.pid)?;
        let nearest = starts.iter().min_by_key(|(start, _)| start.0.abs_diff(id.start.0))?;
        process::is_same_moment(nearest.0, id.start).then_some(*nearest.1)
    }
}
