//! Loads the kernel programs with the running kernel's offsets, attaches them, hands out their maps.
//!
//! Offsets are frozen into the instructions; see `layout.rs` for where they come from. Every CPU is visited once
//! after attaching: so none starts blind, and each proves that it names this very process.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::PathBuf,
};

use aya::{
    Btf, Ebpf, EbpfLoader, Endianness,
    maps::{Map, RingBuf},
};
use wattrace_common::layout;

use super::{
    attach::{EXEC, TCP_STATE, attach, attach_both, interruptible},
    block::BlockMaps,
    cost::Fill,
    events::CgroupEvents,
    freeze::freeze,
    globals::Plan,
    layout::{Effect, Layouts},
    maps::{block_maps, event_ring, process_maps, take, tcp_maps, thread_maps, time_maps},
    memlock,
    own::Me,
    process::ProcessMaps,
    refusal::{LoadError, chain, denied_or},
    ring::EventRing,
    tcp::TcpMaps,
    threads::ThreadMaps,
    times::TimeMaps,
    visit,
    wanted::{BlockMode, EventPlan, Spares},
};

/// The built object; `cargo xtask ebpf` makes it from `agent-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../agent-ebpf/prebuilt/wattrace.bpf.o");

/// What the loader must know about the machine.
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
#[derive(Clone, Debug)]
pub struct Machine {
    /// The running kernel's BTF: programs name their tracepoint by it.
    pub btf: PathBuf,
    /// Possible CPUs: the kernel numbers them 0 to this.
    pub possible: u32,
    /// CPUs to visit.
    pub online: Vec<u32>,
    /// Cgroup id of the root of the unified hierarchy.
    pub root_cgroup: u64,
    /// Whether lockdown forbids programs to copy kernel memory.
    pub locked_down: bool,
    /// Whether the programs time some of their own runs.
    pub time_runs: bool,
    /// Whether a CPU may see another one's stores in another order, see `order.rs`.
    pub reorders: bool,
    /// Whether threads are followed off the CPU: level full.
    pub follows_threads: bool,
    /// What is counted of block I/O.
    pub block: BlockMode,
    /// Requests that block devices can have at once.
    pub requests: u32,
    /// Whether connections are counted.
    pub tcp: bool,
    /// Number of the agent's own network namespace; 0: it is not known.
    pub network: u32,
    /// Whether processes are counted.
    pub process: bool,
    /// Which events are sent.
    pub events: EventPlan,
    /// Which programs stand in for others.
    pub spares: Spares,
    /// CPUs that share their core with one other, and that other.
    pub siblings: BTreeMap<u32, u32>,
    /// What the kernel must call this process.
    pub me: Me,
}

/// Attached programs and their maps.
#[expect(clippy::struct_excessive_bools, reason = "what was asked for, each by itself")]
pub struct Programs {
    /// On-CPU time.
    pub times: TimeMaps,
    /// Births and deaths of cgroups, or why there are none.
    pub cgroups: Result<CgroupEvents, String>,
    /// Whether tasks that are moved while they run are seen; if not, why, and what follows.
    pub moves: Result<(), String>,
    /// Where threads are off the CPU, or why that is not counted.
    pub threads: Result<ThreadMaps, String>,
    /// Whether waits for a CPU after being woken are told; if not, why, and what follows.
    pub waits: Result<(), String>,
    /// Block I/O, or why it is not counted.
    pub block: Result<BlockMaps, String>,
    /// Connections, or why they are not counted.
    pub tcp: Result<TcpMaps, String>,
    /// Processes, or why they are not counted.
    pub processes: Result<ProcessMaps, String>,
    /// Events, or why there are none.
    pub events: Result<EventRing, String>,
    /// Whether requests are timed from when their driver got them; if not, why.
    pub issues: Result<(), String>,
    /// Whether requests name whose they are; if not, why, and what follows.
    pub owners: Result<(), String>,
    /// Whether a reading has whole switches only; if not, why.
    pub order: Result<(), String>,
    /// Descriptors of the maps, by name: for as long as this lives.
    pub descriptors: Vec<(String, RawFd)>,
    /// Likewise of the programs that an interrupt, or who takes the CPU from them, may start while they run, which the kernel does
    /// not do.
    pub interruptible: Vec<(&'static str, RawFd)>,
    /// Whether threads were to be followed off the CPU.
    is_full_wanted: bool,
    /// Whether block I/O was to be counted.
    is_block_wanted: bool,
    /// Whether sockets name whose they are; if not, why, and what follows.
    pub sock_owners: Result<(), String>,
    /// Whether connections were to be counted.
    is_tcp_wanted: bool,
    /// Whether processes were to be counted.
    is_process_wanted: bool,
    /// What the programs must call this process, whichever cgroup it is moved to.
    pub(super) me: Me,
    /// Owns the programs and their links: they end when it is dropped.
    _ebpf: Ebpf,
}

/// Loads and attaches everything that the layouts allow.
///
/// # Errors
/// [`LoadError`], when `sched_switch` cannot be measured. A failing cgroup program is no error: its
/// reason stands in [`Programs::cgroups`], and paths are then found by walking.
pub(super) fn load(layouts: &Layouts, machine: &Machine) -> Result<Programs, LoadError> {
    let sched = layouts.sched.as_ref().map_err(|error| LoadError::Layout(error.to_string()))?;
    memlock::raise();
    // It parses the kernel's types by itself, 10 MB of them: given back before ours are parsed.
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    let btf = Btf::parse_file(&machine.btf, Endianness::default()).map_err(|error| LoadError::Layout(chain(&error)))?;
    let plan = Plan::new(sched, layouts, machine);
    let mut ebpf = open(loader, &plan, &btf)?;
    let descriptors = ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), descriptor(map)?))).collect();
    let times = time_maps(&mut ebpf, &plan)?;
    let threads = threads(&mut ebpf, &plan, layouts)?;
    let waits = plan.threads.map_or(Ok(()), |threads| threads.queued.as_ref().map(|_| ()).map_err(ToString::to_string));
    // What threads leave behind at their last switch is counted from the first on.
    let processes = ready(&plan, layouts).and_then(|()| process_maps(&mut ebpf).map_err(|error| error.to_string()));
    attach(&mut ebpf, "sched_switch", &btf)?;
    visit_cpus(&times, machine)?;
    let cgroups = match &layouts.cgroup {
        Ok(_) => cgroup_events(&mut ebpf, &btf).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let moves = match &layouts.moves {
        Ok(_) => {
            attach(&mut ebpf, "cgroup_attach_task", &btf).map_err(|error| format!("{error}: {}", Effect::MovesLate))
        }
        Err(error) => Err(error.to_string()),
    };
    let block = block(&mut ebpf, &plan, layouts, &btf);
    let processes = processes.and_then(|maps| attach_processes(&mut ebpf, &btf, machine.spares).map(|()| maps));
    let tcp = tcp(&mut ebpf, &plan, layouts, &btf);
    let sock_owners = sock_owners(&tcp, &plan);
    let events = events(&mut ebpf, machine.events, &processes, &tcp);
    let (owners, issues) = (owners(&block, layouts), issues(&block, machine.block));
    let interruptible = interruptible(&ebpf, machine.spares);
    let me = Me { cgroup: None, ..machine.me };
    Ok(Programs {
        times,
        cgroups,
        moves,
        threads,
        waits,
        block,
        tcp,
        sock_owners,
        is_tcp_wanted: machine.tcp,
        processes,
        events,
        issues,
        owners,
        order: Ok(()),
        descriptors,
        interruptible,
        is_full_wanted: machine.follows_threads,
        is_block_wanted: machine.block != BlockMode::Off,
        is_process_wanted: machine.process,
        me,
        _ebpf: ebpf,
    })
}

impl Programs {
    /// What is not counted although it was asked for: in sentences, what follows among them.
    pub fn shortcomings(&self) -> impl Iterator<Item = &String> {
        let threads = self.threads.as_ref().err().filter(|_| self.is_full_wanted);
        let block = self.block.as_ref().err().filter(|_| self.is_block_wanted);
        let others = [&self.moves, &self.waits, &self.order, &self.owners, &self.sock_owners]
            .map(|result| result.as_ref().err());
        let processes = self.processes.as_ref().err().filter(|_| self.is_process_wanted);
        let tcp = self.tcp.as_ref().err().filter(|_| self.is_tcp_wanted);
        others.into_iter().flatten().chain(threads).chain(block).chain(processes).chain(tcp)
    }

    /// How full the maps are whose room may run out.
    pub fn fills(&self) -> Vec<Fill> {
        let threads = self.threads.iter().flat_map(|threads| threads.fills(&self.times));
        let block = self.block.iter().flat_map(|block| block.fills(&self.times));
        let processes = self.processes.iter().flat_map(ProcessMaps::fills);
        let tcp = self.tcp.iter().flat_map(|tcp| tcp.fills(&self.times));
        self.times.fills().into_iter().chain(threads).chain(block).chain(processes).chain(tcp).collect()
    }
}

/// Before anything is attached: rows of histograms must be there when the first switch asks for one.
fn threads(ebpf: &mut Ebpf, plan: &Plan<'_>, layouts: &Layouts) -> Result<Result<ThreadMaps, String>, LoadError> {
    if plan.threads.is_some() {
        return thread_maps(ebpf, plan).map(Ok);
    }
    let why = layouts.threads.as_ref().err().filter(|_| plan.machine.follows_threads);
    let lean = || "the level is lean: threads are not followed off the CPU".to_owned();
    Ok(Err(why.map_or_else(lean, ToString::to_string)))
}

fn open(loader: EbpfLoader<'_>, plan: &Plan<'_>, btf: &Btf) -> Result<Ebpf, LoadError> {
    let object = freeze(OBJECT, &plan.frozen())?;
    let mut loader = loader;
    loader.btf(Some(btf));
    for (name, entries) in plan.sizes() {
        loader.map_max_entries(name, entries);
    }
    loader.load(object.bytes()).map_err(|error| denied_or(&error, LoadError::Object))
}

/// `None` for a kind of map that the object does not have.
fn descriptor(map: &Map) -> Option<RawFd> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data)
        | Map::Stack(data) => Some(data.fd().as_fd().as_raw_fd()),
        _ => None,
    }
}

/// Whether requests name whose they are.
fn owners(block: &Result<BlockMaps, String>, layouts: &Layouts) -> Result<(), String> {
    let layout = layouts.block.as_ref().ok().filter(|_| block.is_ok());
    layout.map_or(Ok(()), |layout| layout.owner.as_ref().map(|_| ()).map_err(ToString::to_string))
}

/// Whether requests are timed from when their driver got them.
fn issues(block: &Result<BlockMaps, String>, mode: BlockMode) -> Result<(), String> {
    match (block, mode) {
        (Ok(_), BlockMode::Device) => Ok(()),
        (Ok(_), _) => Err("requests are timed from when the kernel made them".to_owned()),
        (Err(why), _) => Err(why.clone()),
    }
}

/// Whether the kernel has what it takes to count processes.
fn ready(plan: &Plan<'_>, layouts: &Layouts) -> Result<(), String> {
    if plan.process.is_some() {
        return Ok(());
    }
    let why = layouts.process.as_ref().err().filter(|_| plan.machine.process);
    Err(why.map_or_else(|| "processes are not to be counted".to_owned(), ToString::to_string))
}

/// Ends first: what begins to end after that is seen to.
fn attach_processes(ebpf: &mut Ebpf, btf: &Btf, spares: Spares) -> Result<(), String> {
    let mut attached = || {
        attach(ebpf, "sched_process_exit", btf)?;
        attach_both(ebpf, EXEC, spares, btf)?;
        attach(ebpf, "sched_wakeup_new", btf)
    };
    attached().map_err(|error| format!("{error}: {}", Effect::ProcessOff))
}

/// Connections are counted from the moment they are attached to: the maps must be ready then.
fn tcp(ebpf: &mut Ebpf, plan: &Plan<'_>, layouts: &Layouts, btf: &Btf) -> Result<TcpMaps, String> {
    if plan.tcp.is_none() {
        let why = layouts.tcp.as_ref().err().filter(|_| plan.machine.tcp);
        return Err(why.map_or_else(|| "connections are not to be counted".to_owned(), ToString::to_string));
    }
    let attached =
        tcp_maps(ebpf).and_then(|maps| attach_both(ebpf, TCP_STATE, plan.machine.spares, btf).map(|()| maps));
    attached.map_err(|error| format!("{error}: {}", Effect::TcpOff))
}

/// Whether sockets name whose they are.
fn sock_owners(tcp: &Result<TcpMaps, String>, plan: &Plan<'_>) -> Result<(), String> {
    let Some(layout) = plan.tcp.filter(|_| tcp.is_ok()) else { return Ok(()) };
    let owner = layout.owner.as_ref().map_err(ToString::to_string)?;
    if owner.is_tagged && plan.machine.locked_down {
        return Err(format!("lockdown forbids programs to copy kernel memory: {}", Effect::NoSockOwner));
    }
    Ok(())
}

/// The ring of events, where any are asked for that can be sent.
fn events(
    ebpf: &mut Ebpf,
    plan: EventPlan,
    processes: &Result<ProcessMaps, String>,
    tcp: &Result<TcpMaps, String>,
) -> Result<EventRing, String> {
    if !(plan.exec || plan.exit || plan.closed) {
        return Err("no events are asked for".to_owned());
    }
    let of_processes = (plan.exec || plan.exit).then(|| processes.as_ref().err());
    let of_connections = plan.closed.then(|| tcp.as_ref().err());
    let reasons: Vec<_> = of_processes.into_iter().chain(of_connections).collect();
    if let Some(Some(why)) = reasons.first().filter(|_| reasons.iter().all(Option::is_some)) {
        return Err(format!("{why}: {}", Effect::EventsOff));
    }
    event_ring(ebpf).map_err(|error| format!("{error}: {}", Effect::EventsOff))
}

/// Completions are counted from the moment they are attached to: the maps must be ready then.
fn block(ebpf: &mut Ebpf, plan: &Plan<'_>, layouts: &Layouts, btf: &Btf) -> Result<BlockMaps, String> {
    if plan.block.is_none() {
        let why = layouts.block.as_ref().err().filter(|_| plan.machine.block != BlockMode::Off);
        return Err(why.map_or_else(|| "block I/O is not to be counted".to_owned(), ToString::to_string));
    }
    let mut attached = || {
        let maps = block_maps(ebpf)?;
        if plan.machine.block == BlockMode::Device {
            attach(ebpf, "block_rq_issue", btf)?;
        }
        attach(ebpf, "block_rq_requeue", btf)?;
        attach(ebpf, "block_rq_complete", btf)?;
        Ok(maps)
    };
    attached().map_err(|error: LoadError| format!("{error}: {}", Effect::BlockOff))
}

fn cgroup_events(ebpf: &mut Ebpf, btf: &Btf) -> Result<CgroupEvents, LoadError> {
    let ring =
        RingBuf::try_from(take(ebpf, layout::MAP_CGROUP_EVENTS)?).map_err(|error| LoadError::Object(chain(&error)))?;
    attach(ebpf, "cgroup_mkdir", btf)?;
    attach(ebpf, "cgroup_rmdir", btf)?;
    Ok(CgroupEvents::new(ring))
}

/// Looks at a CPU's state before it is taken as it is.
const LOOKS: u32 = 1_000;

/// Moves over the CPUs: each takes a clock pair, starts its first slice, and must name this process.
fn visit_cpus(times: &TimeMaps, machine: &Machine) -> Result<(), LoadError> {
    times.ask_for_clock_pairs();
    visit::each_cpu(&machine.online, |cpu| {
        let mut found = None;
        for _ in 0..LOOKS {
            found = times.running_task(cpu);
            if found.is_some_and(|(key, tid)| machine.me.is(key, tid)) {
                return Ok(());
            }
            // No switch was seen yet, or the one to this process was not reported: some kernels keep tasks
            // from tracing, and the earlier task still stands there. Wrong offsets stay wrong.
            visit::switch_once();
        }
        let (found, expected) = found.map_or_else(
            || ("no switch was seen".to_owned(), "one per sleep".to_owned()),
            |(key, tid)| (format!("{:?}, thread {tid}", key.decode()), format!("{:?}", machine.me)),
        );
        Err(LoadError::SelfTest { cpu, found, expected })
    })
}
