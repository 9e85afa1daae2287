//! All that is read from the machine, opened once: kernel programs or what stands in for them, the
//! meter, the topology, the cgroup tree. Gathers; decides nothing about figures.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::event::{Timespec, poll};
use wattrace_common::sched::{Work, WorkKey};

use super::{files::Files, open::OpenConnections};
use crate::{
    clock,
    config::{self, Counting, SchedLevel},
    probes::{
        FileError,
        bpf::{CpuTotals, EventPlan, Programs},
        cgroupfs::{self, Finder},
        fdinfo, process, procfs,
        sys::HandleError,
        topology::{self, Topology},
    },
    samples::{CpuReading, Instant, Place, Reading},
    units::{Bytes, Nanos},
};

mod programs;
mod waiting;

/// How on-CPU time is measured.
pub enum Sched {
    /// By the kernel programs.
    Btf(Box<Programs>),
    /// From files, without the time on each CPU; the CPUs' totals come from `/proc/stat`.
    Files(Box<Files>),
}

/// Everything that is read.
pub struct Sources {
    /// Where `/proc` and `/sys` are.
    pub root: PathBuf,
    /// On-CPU time.
    pub sched: Sched,
    /// The mount of the unified hierarchy, or why there is none.
    pub cgroups: Result<PathBuf, String>,
    /// Kernel memory of the kernel programs and their maps, which are as large as they will be; `None`: unknown, or
    /// there are none.
    pub kernel_memory: Option<Bytes>,
    /// Of it, each map's, by name.
    pub map_memory: Vec<(String, Bytes)>,
    /// What kernel programs count of threads: what was asked for may not be had here.
    pub level: SchedLevel,
    finder: Option<Finder>,
    /// Connections that are open; `None`: connections are not counted.
    pub open: Option<OpenConnections>,
    topology: Topology,
    /// Whether any core had two threads since the start.
    has_siblings: bool,
    /// Places of CPUs by number, also of those that went offline.
    places: BTreeMap<u32, Place>,
    /// Busy time in `/proc/stat` when a CPU was first seen there: the file counts from boot.
    busy_before: BTreeMap<u32, Nanos>,
    hz: u64,
}

/// The CPUs' totals at an instant.
pub struct Glance {
    /// When.
    pub at: Instant,
    /// Per CPU.
    pub cpus: Vec<CpuReading>,
}

/// One count of what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Where and why, `sched.full`.
    pub name: String,
    /// How often since the start.
    pub count: u64,
    /// Whether something is missing from the books for it.
    pub loses: bool,
}

/// What became of a cgroup that was looked up by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has this path.
    Path(String),
    /// It was removed.
    Gone,
    /// It cannot be told.
    Unknown,
}

/// Why nothing can be measured at all.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// No CPU topology.
    #[error("cannot tell the CPUs of this machine: {0}")]
    Topology(FileError),
    /// No `/proc/stat`, and no kernel programs either.
    #[error("cannot read how busy the CPUs are: {0}")]
    Stat(FileError),
}

impl Sources {
    /// Opens everything below `root`. Without `kernel_programs`, or where they cannot be had, files stand in for them.
    pub fn open(
        root: &Path,
        kernel_programs: bool,
        probes: config::Probes,
        events: EventPlan,
    ) -> Result<Self, SourcesError> {
        let topology = topology::read(root).map_err(SourcesError::Topology)?;
        let cgroups = cgroupfs::mount(root).map_err(|error| error.to_string());
        // What is open before the programs are there, they do not see begin.
        let counts_tcp = kernel_programs && probes.tcp == Counting::On;
        let open = counts_tcp.then(OpenConnections::begin);
        let sched = if kernel_programs {
            programs::load(root, &topology, cgroups.as_deref().ok(), (probes, events))
        } else {
            Err("switched off by --no-bpf".to_owned())
        };
        let hz = procfs::user_hz();
        let files = |reason| Sched::Files(Box::new(Files::open(root, cgroups.as_deref().ok(), hz, reason)));
        let sched = sched.unwrap_or_else(files);
        let finder = cgroups.as_ref().ok().and_then(|mount| Finder::open(mount).ok());
        let places = topology.cpus.iter().map(|(cpu, found)| (*cpu, found.place)).collect();
        let kernel_memory = if matches!(sched, Sched::Btf(_)) { fdinfo::kernel_memory(root) } else { None };
        let map_memory = programs::map_memory(root, &sched);
        let (root, busy_before) = (root.to_owned(), BTreeMap::new());
        let has_siblings = topology.has_siblings();
        let is_full = matches!(&sched, Sched::Btf(programs) if programs.threads.is_ok());
        let level = if is_full { SchedLevel::Full } else { SchedLevel::Lean };
        Ok(Self {
            root,
            sched,
            cgroups,
            kernel_memory,
            map_memory,
            level,
            finder,
            open,
            topology,
            has_siblings,
            places,
            busy_before,
            hz,
        })
    }

    /// Whether it is told how much of its time a workload shared a core: where kernel programs count, and cores have two
    /// threads.
    pub fn tells_shared(&self) -> bool {
        self.has_siblings && matches!(self.sched, Sched::Btf(_))
    }

    /// Sockets that have an online CPU.
    pub fn sockets(&self) -> u32 {
        self.topology.sockets()
    }

    /// Where this thread runs right now.
    pub fn here(&self) -> Option<Place> {
        self.places.get(&u32::try_from(rustix::thread::sched_getcpu()).ok()?).copied()
    }

    /// On-CPU times, with the CPU totals that belong to them: as they stood when the meter of each CPU was read, by
    /// `metered`. `glance` was taken just before that; nothing closer is had without kernel programs.
    pub fn read(&mut self, glance: Glance, metered: impl Fn(Place) -> Option<Nanos>) -> Result<Reading, SourcesError> {
        self.follow_hotplug()?;
        if let Sched::Files(files) = &mut self.sched {
            let files = Some(files.read(&self.root));
            return Ok(Reading { at: glance.at, cpus: glance.cpus, files, ..Reading::default() });
        }
        Ok(self.read_programs(metered))
    }

    /// CPU totals alone: a few loads per CPU, however many workloads there are.
    pub fn glance(&mut self) -> Result<Glance, SourcesError> {
        self.follow_hotplug()?;
        let cpus = match &mut self.sched {
            Sched::Btf(programs) => {
                programs::settle(programs, &self.root);
                let totals = programs.times.totals(clock::monotonic, |cpu| self.topology.cpus.contains_key(&cpu));
                self.placed(&totals)
            }
            Sched::Files(_) => self.stat()?,
        };
        Ok(Glance { at: clock::now(), cpus })
    }

    fn placed(&self, totals: &[CpuTotals]) -> Vec<CpuReading> {
        let online = |cpu| self.topology.cpus.contains_key(&cpu);
        let placed = |cpu: &CpuTotals| CpuReading {
            cpu: cpu.cpu,
            place: self.places.get(&cpu.cpu).copied().unwrap_or_default(),
            busy: cpu.busy_idle.map(|(busy, _)| busy),
            idle: cpu.busy_idle.filter(|_| online(cpu.cpu)).map(|(_, idle)| idle),
            shared: cpu.shared,
            online: online(cpu.cpu),
        };
        totals.iter().map(placed).collect()
    }

    /// The totals that the kernel keeps by itself.
    fn stat(&mut self) -> Result<Vec<CpuReading>, SourcesError> {
        let stat = procfs::cpu_times(&self.root, self.hz).map_err(SourcesError::Stat)?;
        let cpus = stat.iter().map(|cpu| CpuReading {
            cpu: cpu.cpu,
            place: self.places.get(&cpu.cpu).copied().unwrap_or_default(),
            busy: Some(cpu.busy.saturating_sub(*self.busy_before.entry(cpu.cpu).or_insert(cpu.busy))),
            idle: Some(cpu.idle),
            shared: Nanos(0),
            online: true,
        });
        Ok(cpus.collect())
    }

    fn follow_hotplug(&mut self) -> Result<(), SourcesError> {
        let online = topology::online(&self.root).map_err(SourcesError::Topology)?;
        if !online.iter().eq(self.topology.cpus.keys()) {
            self.topology = topology::read(&self.root).map_err(SourcesError::Topology)?;
            if let Sched::Btf(programs) = &self.sched {
                programs.times.set_siblings(&self.topology.siblings());
            }
            self.places.extend(self.topology.cpus.iter().map(|(cpu, found)| (*cpu, found.place)));
        }
        Ok(())
    }

    /// The path of a cgroup that no event named, by its id.
    pub fn find_cgroup(&self, id: u64) -> Found {
        match self.finder.as_ref().map(|finder| finder.find(id)) {
            Some(Ok(path)) => Found::Path(path),
            Some(Err(HandleError::Gone { .. })) => Found::Gone,
            Some(Err(_)) | None => Found::Unknown,
        }
    }

    /// The name of a process whose key came without one; zeros when it is gone, or no process.
    pub fn comm(&self, key: WorkKey) -> [u8; 16] {
        match key.decode() {
            Work::Process { tgid, start } => process::comm(&self.root, tgid, start).unwrap_or_default(),
            _ => [0; 16],
        }
    }
}

/// Waits without anything to wait for.
pub fn pause(span: Duration) {
    poll(&mut [], Timespec::try_from(span).ok().as_ref()).ok();
}

/// `CLOCK_MONOTONIC` now, for deadlines of the loop.
pub fn monotonic() -> Nanos {
    clock::monotonic()
}
