//! The kernel programs as a source: what they are told, what they counted, what was lost, and rows that are given back.

use std::{collections::BTreeSet, path::Path};

use wattrace_common::{owner::OwnerKey, process::ActorKey, sched::WorkKey};

use super::{Loss, OpenConnections, Sched, Sources};
use crate::{
    clock,
    config::{self, BlockLevel, Counting, SchedLevel},
    probes::{
        bpf::{
            self, BlockMaps, BlockMode, CgroupEvents, EventPlan, ProcessMaps, Programs, Spares, TcpMaps, ThreadMaps,
            layout::Layouts,
        },
        disks, fdinfo, lockdown, process,
        topology::Topology,
    },
    samples::{OpenConnection, Place, Reading, TcpReading},
    units::{Bytes, Nanos},
};

impl Sources {
    /// What the kernel programs counted, as of when the meter of each CPU was read.
    pub(super) fn read_programs(&mut self, metered: impl Fn(Place) -> Option<Nanos>) -> Reading {
        let Sched::Btf(programs) = &mut self.sched else { return Reading::default() };
        settle(programs, &self.root);
        let (at, places) = (clock::now(), &self.places);
        let as_of = |cpu| places.get(&cpu).and_then(|place| metered(*place)).unwrap_or(Nanos(u64::MAX));
        let read = programs.times.read(clock::monotonic, |cpu| self.topology.cpus.contains_key(&cpu), as_of);
        let threads = programs.threads.as_mut().ok();
        let threads = threads.map(|threads| threads.read(&programs.times, clock::monotonic, as_of));
        let is_there = |device| disks::is_there(&self.root, device);
        let disk = programs.block.as_mut().ok().map(|block| block.read(&programs.times, is_there));
        // Ids that the kernel programs tell mean something here in its own namespace alone.
        if let Ok(processes) = &mut programs.processes
            && processes.is_time_to_look()
            && process::in_initial_pid_namespace(&self.root)
        {
            processes.forget_gone(|tgid| process::is_there(&self.root, tgid));
        }
        let processes = programs.processes.as_mut().ok().map(ProcessMaps::read);
        let work = programs.tcp.as_mut().ok().map(|tcp| tcp.read(&programs.times));
        // Only now: a connection that ends in between is to be missing in both, not told twice.
        let tcp = work.map(|work| TcpReading { work, open: self.open_connections() });
        let cpus = self.placed(&read.cpus);
        Reading { at, cpus, times: read.times, files: None, threads, disk, tcp, processes }
    }

    /// Connections that are open; `None`: that cannot be told.
    fn open_connections(&mut self) -> Option<Vec<OpenConnection>> {
        self.open.as_mut()?.read()
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
        let unseen = programs.processes.as_ref().map_or(0, ProcessMaps::unseen);
        let torn_threads = programs.threads.as_ref().map_or(0, ThreadMaps::torn);
        let ours = [
            Loss { name: "sched.torn_threads".to_owned(), count: torn_threads, loses: false },
            Loss { name: "sched.torn".to_owned(), count: programs.times.torn(), loses: false },
            Loss { name: "sched_process_exit.unseen".to_owned(), count: unseen, loses: true },
            Loss { name: "cgroup_events.malformed".to_owned(), count: malformed, loses: true },
        ];
        let interrupted = programs.interruptible.iter().filter_map(|(name, descriptor)| {
            let count = fdinfo::missed_by(&self.root, *descriptor)?;
            Some(Loss { name: format!("{name}.interrupted"), count, loses: true })
        });
        let open = self.open.iter().flat_map(OpenConnections::losses);
        counted.chain(ours).chain(interrupted).chain(open).collect()
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
        let block = self.programs_mut().and_then(|programs| programs.block.as_mut().ok());
        block.map(|block| block.release(is_dead)).unwrap_or_default()
    }

    /// Likewise those of connections.
    pub fn release_tcp(&mut self, is_dead: impl Fn(u64) -> bool) -> BTreeSet<OwnerKey> {
        let tcp = self.programs_mut().and_then(|programs| programs.tcp.as_mut().ok());
        tcp.map(|tcp| tcp.release(is_dead)).unwrap_or_default()
    }

    /// Likewise those of processes; those of names, too, that did nothing lately.
    pub fn release_processes(&mut self, is_dead: impl Fn(u64) -> bool) -> BTreeSet<ActorKey> {
        let processes = self.programs_mut().and_then(|programs| programs.processes.as_mut().ok());
        processes.map(|processes| processes.release(is_dead)).unwrap_or_default()
    }

    /// Share of the kernel's rows that is taken, 0 to 1: of block I/O, of connections, of processes.
    pub fn rows_fullness(&self) -> [f64; 3] {
        let Some(programs) = self.programs() else { return [0.0; 3] };
        [
            programs.block.as_ref().map_or(0.0, BlockMaps::fullness),
            programs.tcp.as_ref().map_or(0.0, TcpMaps::fullness),
            programs.processes.as_ref().map_or(0.0, ProcessMaps::fullness),
        ]
    }

    /// Share of the fullest CPU's table that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        self.programs().map_or(0.0, |programs| programs.times.fullness())
    }

    /// Share of the rows of histograms that is taken, 0 to 1.
    pub fn histograms_fullness(&self) -> f64 {
        self.programs().and_then(|programs| programs.threads.as_ref().ok()).map_or(0.0, ThreadMaps::fullness)
    }

    fn programs(&self) -> Option<&Programs> {
        match &self.sched {
            Sched::Btf(programs) => Some(programs),
            Sched::Files(_) => None,
        }
    }

    fn programs_mut(&mut self) -> Option<&mut Programs> {
        match &mut self.sched {
            Sched::Btf(programs) => Some(programs),
            Sched::Files(_) => None,
        }
    }
}

/// Kernel memory of each map, by name.
pub(super) fn map_memory(root: &Path, sched: &Sched) -> Vec<(String, Bytes)> {
    let Sched::Btf(programs) = sched else { return Vec::new() };
    let maps = programs.descriptors.iter();
    maps.filter_map(|(name, descriptor)| Some((name.clone(), fdinfo::memory_of(root, *descriptor)?))).collect()
}

/// Has time that no switch told of shared out, before totals are read.
pub(super) fn settle(programs: &Programs, root: &Path) {
    programs.times.settle_unreported(clock::monotonic, |pid| process::is_off_cpu(root, pid));
}

/// Loads the kernel programs and has them count what was asked for.
pub(super) fn load(
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
        tcp: probes.tcp == Counting::On,
        network: process::network(root),
        process: probes.process == Counting::On,
        events,
        spares: Spares::on(root),
        me: process::expected(root, cgroups, root_cgroup),
    };
    let programs = bpf::load(&layouts, &machine).map_err(|error| error.to_string())?;
    Ok(Sched::Btf(Box::new(programs)))
}
