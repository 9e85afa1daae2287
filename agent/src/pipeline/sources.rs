//! All that is read from the machine, opened once: kernel programs or what stands in for them, the
//! meter, the topology, the cgroup tree. Gathers; decides nothing about figures.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::event::{Timespec, poll};
use wattrace_common::{
    owner::OwnerKey,
    sched::{Work, WorkKey},
};

use super::files::Files;
use crate::{
    clock,
    config::{self, BlockLevel, SchedLevel},
    probes::{
        FileError,
        bpf::{self, BlockMaps, BlockMode, CgroupEvents, CpuTotals, EventPlan, Programs, layout::Layouts},
        cgroupfs::{self, Finder},
        disks, fdinfo, lockdown, process, procfs,
        sys::HandleError,
        topology::{self, Topology},
    },
    samples::{CpuReading, Instant, Place, Reading},
    units::{Bytes, Nanos},
};

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
        let sched = if kernel_programs {
            load(root, &topology, cgroups.as_deref().ok(), (probes, events))
        } else {
            Err("switched off by --no-bpf".to_owned())
        };
        let hz = procfs::user_hz();
        let files = |reason| Sched::Files(Box::new(Files::open(root, cgroups.as_deref().ok(), hz, reason)));
        let sched = sched.unwrap_or_else(files);
        let finder = cgroups.as_ref().ok().and_then(|mount| Finder::open(mount).ok());
        let places = topology.cpus.iter().map(|(cpu, found)| (*cpu, found.place)).collect();
        let kernel_memory = if matches!(sched, Sched::Btf(_)) { fdinfo::kernel_memory(root) } else { None };
        let map_memory = map_memory(root, &sched);
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
        let programs = match &mut self.sched {
            Sched::Btf(programs) => programs,
            Sched::Files(files) => {
                let files = Some(files.read(&self.root));
                return Ok(Reading {
                    at: glance.at,
                    cpus: glance.cpus,
                    times: Vec::new(),
                    files,
                    threads: None,
                    disk: None,
                    tcp: None,
                    processes: None,
                });
            }
        };
        settle(programs, &self.root);
        let (at, places) = (clock::now(), &self.places);
        let as_of = |cpu| places.get(&cpu).and_then(|place| metered(*place)).unwrap_or(Nanos(u64::MAX));
        let read = programs.times.read(clock::monotonic, |cpu| self.topology.cpus.contains_key(&cpu), as_of);
        let threads = programs.threads.as_mut().ok();
        let threads = threads.map(|threads| threads.read(&programs.times, clock::monotonic, as_of));
        let is_there = |device| disks::is_there(&self.root, device);
        let disk = programs.block.as_mut().ok().map(|block| block.read(&programs.times, is_there));
        Ok(Reading {
            at,
            cpus: self.placed(&read.cpus),
            times: read.times,
            files: None,
            threads,
            disk,
            tcp: None,
            processes: None,
        })
    }

    /// CPU totals alone: a few loads per CPU, however many workloads there are.
    pub fn glance(&mut self) -> Result<Glance, SourcesError> {
        self.follow_hotplug()?;
        let cpus = match &mut self.sched {
            Sched::Btf(programs) => {
                settle(programs, &self.root);
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

    /// What was lost on the way from the kernel, or nearly.
    pub fn losses(&self) -> Vec<Loss> {
        let programs = match &self.sched {
            Sched::Btf(programs) => programs,
            Sched::Files(files) => return files.losses(),
        };
        let counted = programs.times.losses().into_iter();
        let counted = counted.map(|loss| Loss {
            name: format!("{}.{}", loss.program.name(), loss.reason.name()),
            count: loss.count,
            loses: loss.reason.loses(),
        });
        let malformed = programs.cgroups.as_ref().map_or(0, CgroupEvents::malformed);
        let torn_threads = programs.threads.as_ref().map_or(0, bpf::ThreadMaps::torn);
        let ours = [
            Loss { name: "sched.torn_threads".to_owned(), count: torn_threads, loses: false },
            Loss { name: "sched.torn".to_owned(), count: programs.times.torn(), loses: false },
            Loss { name: "cgroup_events.malformed".to_owned(), count: malformed, loses: true },
        ];
        let interrupted = programs.interruptible.iter().filter_map(|(name, descriptor)| {
            let count = fdinfo::missed_by(&self.root, *descriptor)?;
            Some(Loss { name: format!("{name}.interrupted"), count, loses: true })
        });
        counted.chain(ours).chain(interrupted).collect()
    }

    /// Gives the kernel's slots of dead keys back; returns those given.
    pub fn release(&mut self, dead: &BTreeSet<WorkKey>) -> BTreeSet<WorkKey> {
        match &mut self.sched {
            Sched::Btf(programs) => programs.times.release(dead, programs.threads.as_mut().ok()),
            Sched::Files(_) => BTreeSet::new(),
        }
    }

    /// What is counted of block I/O: what was asked for may not be had here.
    pub fn block_level(&self) -> BlockLevel {
        match &self.sched {
            Sched::Btf(programs) if programs.block.is_ok() && programs.issues.is_ok() => BlockLevel::Device,
            Sched::Btf(programs) if programs.block.is_ok() => BlockLevel::Total,
            Sched::Btf(_) | Sched::Files(_) => BlockLevel::Off,
        }
    }

    /// Gives the kernel's rows of block I/O back whose owners are dead, by the ids of their cgroups; returns those given.
    pub fn release_disk(&mut self, is_dead: impl Fn(u64) -> bool) -> BTreeSet<OwnerKey> {
        match &mut self.sched {
            Sched::Btf(programs) => programs.block.as_mut().map(|block| block.release(is_dead)).unwrap_or_default(),
            Sched::Files(_) => BTreeSet::new(),
        }
    }

    /// Share of the kernel's rows of block I/O that is taken, 0 to 1.
    pub fn disk_fullness(&self) -> f64 {
        match &self.sched {
            Sched::Btf(programs) => programs.block.as_ref().map_or(0.0, BlockMaps::fullness),
            Sched::Files(_) => 0.0,
        }
    }

    /// Share of the fullest CPU's table that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        match &self.sched {
            Sched::Btf(programs) => programs.times.fullness(),
            Sched::Files(_) => 0.0,
        }
    }
}

fn map_memory(root: &Path, sched: &Sched) -> Vec<(String, Bytes)> {
    let Sched::Btf(programs) = sched else { return Vec::new() };
    let maps = programs.descriptors.iter();
    maps.filter_map(|(name, descriptor)| Some((name.clone(), fdinfo::memory_of(root, *descriptor)?))).collect()
}

/// Has time that no switch told of shared out, before totals are read.
fn settle(programs: &Programs, root: &Path) {
    programs.times.settle_unreported(clock::monotonic, |pid| process::is_off_cpu(root, pid));
}

fn load(
    root: &Path,
    topology: &Topology,
    cgroups: Option<&Path>,
    (probes, events): (config::Probes, EventPlan),
) -> Result<Sched, String> {
    let btf = root.join("sys/kernel/btf/vmlinux");
    let layouts = Layouts::load(&btf).map_err(|error| error.to_string())?;
    let root_cgroup = cgroups.and_then(process::root_cgroup).unwrap_or(process::ROOT_CGROUP);
    let machine = bpf::Machine {
        btf,
        possible: topology.possible.iter().max().map_or(1, |last| last + 1),
        online: topology.cpus.keys().copied().collect(),
        root_cgroup,
        locked_down: lockdown::forbids_copies(root),
        time_runs: true,
        reorders: bpf::REORDERS,
        follows_threads: probes.sched == SchedLevel::Full,
        siblings: topology.siblings(),
        block: match probes.block {
            BlockLevel::Off => BlockMode::Off,
            BlockLevel::Total => BlockMode::Total,
            BlockLevel::Device => BlockMode::Device,
        },
        requests: disks::requests(root),
        tcp: false,
        process: false,
        events,
        me: process::expected(root, cgroups, root_cgroup),
    };
    let programs = bpf::load(&layouts, &machine).map_err(|error| error.to_string())?;
    Ok(Sched::Btf(Box::new(programs)))
}

/// Waits without anything to wait for.
pub fn pause(span: Duration) {
    poll(&mut [], Timespec::try_from(span).ok().as_ref()).ok();
}

/// `CLOCK_MONOTONIC` now, for deadlines of the loop.
pub fn monotonic() -> Nanos {
    clock::monotonic()
}
