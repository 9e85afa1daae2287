//! The loop: tick, read, advance; at the end of an interval attribute, footprint, post.
//!
//! The one module that knows every stage. What a stage keeps between intervals lives here, in
//! [`Pipeline`]; the edges are in `sources.rs` and `meter.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use wattrace_common::sched::WorkKey;

use crate::{
    attribution::{
        books::{Attribution, Usage, attribute},
        functional::FunctionalUnit,
        idle::IdleTracker,
        ledger::{Entry, Ledger},
        reserved::IdlePolicy,
        weight::{Method, SmtGain},
    },
    carbon::footprint::{Factors, Footprint, footprint},
    clock,
    config::Config,
    identity::{Registry, Triplet},
    probes::{bpf::EventPlan, cgroupfs, host, procfs},
    samples::{
        ZoneKey, disk::DiskSample, load::LoadTracker, process::ProcessTracker, tcp::TcpTracker,
        threads::ThreadsTracker, usage::UsageTracker, zone::ZoneTracker,
    },
    units::{Grams, MicroCpus, Nanos, Watts},
};

mod counted;
pub mod disks;
mod events;
pub mod factors;
pub mod files;
mod floors;
mod interval;
pub mod meter;
pub mod open;
mod own;
mod owners;
mod polls;
mod pressure;
mod processes;
mod reserved;
mod resume;
pub mod sources;
pub mod stages;
pub mod state;
pub mod watch;
pub mod witness;

use disks::Disks;
use events::Events;
use factors::FactorsError;
pub use interval::Interval;
use meter::Chosen;
use own::Own;
use polls::{Metered, Polls};
pub use pressure::Pressures;
use pressure::Waits;
pub use processes::ToldApart;
use processes::Watched;
use reserved::Reserved;
use sources::{Glance, Sources, SourcesError};
use stages::{Stage, Stages};
use state::{Saved, SavedFloors};
use watch::Watch;

/// The longest time between two ticks: idle floors are sampled by the second, and rings must not fill.
const LONGEST_TICK: Nanos = Nanos::from_secs(1);

/// The shortest: a zone that asks for more can wrap within what no reader keeps up with, and its steps are gaps.
const SHORTEST_TICK: Nanos = Nanos::from_millis(10);

/// What the operator chose.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Configuration.
    pub config: Config,
    /// Whether kernel programs are loaded.
    pub kernel_programs: bool,
    /// Which events they send.
    pub events: EventPlan,
}

/// Why there is no pipeline.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing can be measured.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// A factor is wrong.
    #[error(transparent)]
    Factors(#[from] FactorsError),
}

/// All stages and what they keep.
pub struct Pipeline {
    /// What is read.
    pub sources: Sources,
    /// The meter, and what was passed over for it.
    pub meter: Chosen,
    /// What turns joules into grams.
    pub factors: Factors,
    /// Totals so far.
    pub ledger: Ledger,
    /// What workloads' operations are; `None`: nothing was configured.
    pub functional_unit: Option<FunctionalUnit>,
    /// How long the stages take.
    pub stages: Stages,
    /// Identities of cgroups.
    pub registry: Registry,
    own: Own,
    usage: UsageTracker,
    threads: ThreadsTracker,
    disks: Disks,
    tcp: TcpTracker,
    processes: ProcessTracker,
    events: Events,
    /// Where processes are told apart: then all events are for that.
    watched: Option<Watched>,
    /// Whether events of processes tell their energy.
    tells_process_energy: bool,
    load: LoadTracker,
    zones: ZoneTracker,
    watch: Watch,
    polls: Polls,
    /// What is to be said of the meter.
    remarks: Vec<String>,
    idle: BTreeMap<ZoneKey, IdleTracker>,
    idle_watts: Option<Watts>,
    gain: SmtGain,
    reserved: Reserved,
    waits: Waits,
    crowded_since: BTreeSet<WorkKey>,
    /// How full the kernel's tables were left by the last reading of everything.
    filled: [f64; 4],
    /// Workloads by the last interval in which they ran, did what is counted, or had threads, open connections or reserved CPUs.
    seen: BTreeMap<Triplet, u64>,
    intervals: u64,
}

impl Pipeline {
    /// Opens everything below `root` and takes the first reading: counting starts when this returns.
    pub fn start(root: &Path, options: &Options) -> Result<Self, StartError> {
        Self::begin(root, options, None, None)
    }

    /// As [`Pipeline::start`], knowing the idle floors that an earlier agent measured.
    pub fn start_with(root: &Path, options: &Options, floors: Option<&SavedFloors>) -> Result<Self, StartError> {
        Self::begin(root, options, None, floors)
    }

    /// As [`Pipeline::start`], going on from what an earlier agent left: its totals, and, within the same
    /// boot, what the meters counted since.
    pub fn start_from(root: &Path, options: &Options, saved: Option<&Saved>) -> Result<Self, StartError> {
        Self::begin(root, options, saved, saved.and_then(|saved| saved.floors.as_ref()))
    }

    fn begin(
        root: &Path,
        options: &Options,
        saved: Option<&Saved>,
        floors: Option<&SavedFloors>,
    ) -> Result<Self, StartError> {
        let sources = Sources::open(root, options.kernel_programs, options.config.probes, options.events)?;
        let meter = meter::choose(root, &options.config.energy);
        let factors = factors::factors(root, &options.config.carbon)?;
        let idle = floors::idle_trackers(root, &meter, floors);
        let mut registry = Registry::new(&host::id_or_unknown(root));
        if let Ok(mount) = &sources.cgroups {
            cgroupfs::walk(mount).found.iter().for_each(|(id, path)| registry.learn(*id, path));
        }
        let disks = Disks::begin(&sources);
        let (reserved, remark) = Reserved::new(options.config.energy.idle_policy, &sources);
        let mut pipeline = Self {
            sources,
            meter,
            factors,
            functional_unit: options.config.agent.functional_unit,
            registry,
            idle,
            tells_process_energy: options.config.events.energy,
            idle_watts: options.config.energy.idle,
            gain: options.config.energy.smt_gain,
            reserved,
            waits: Waits::default(),
            ledger: Ledger::default(),
            stages: Stages::default(),
            own: Own::begin(),
            usage: UsageTracker::default(),
            threads: ThreadsTracker::default(),
            disks,
            tcp: TcpTracker::default(),
            processes: ProcessTracker::default(),
            events: Events::default(),
            watched: None,
            load: LoadTracker::default(),
            zones: ZoneTracker::default(),
            watch: Watch::default(),
            polls: Polls::default(),
            remarks: remark.into_iter().collect(),
            crowded_since: BTreeSet::new(),
            filled: [0.0; 4],
            seen: BTreeMap::new(),
            intervals: 0,
        };
        if let Some(saved) = saved {
            pipeline.resume(saved, host::boot_id(root).as_deref());
        }
        pipeline.read_usage()?;
        pipeline.waits.read_node(root, Nanos(0));
        if saved.is_some() {
            pipeline.post_downtime();
        }
        Ok(pipeline)
    }

    /// Whose idle energy is.
    pub fn idle_policy(&self) -> IdlePolicy {
        self.reserved.policy
    }

    /// How active energy is shared out.
    pub fn method(&self) -> Method {
        if self.sources.tells_shared() { Method::CpuTimeSmt(self.gain) } else { Method::CpuTime }
    }

    fn nobody(&self, attribution: &Attribution, footprint: &Footprint, disk: &DiskSample) -> Entry {
        Entry {
            workload: self.registry.unattributed(),
            cgroup: None,
            cpu: attribution.unattributed,
            operational: footprint.unattributed,
            threads: None,
            disk: self.disks.nobodys(disk),
            tcp: None,
            open: None,
            processes: None,
        }
    }

    /// How long to wait at most between two ticks.
    pub fn longest_tick(&self) -> Nanos {
        self.meter.meter.longest_poll().map_or(LONGEST_TICK, |poll| poll.clamp(SHORTEST_TICK, LONGEST_TICK))
    }

    /// Waits until `deadline` on the monotonic clock, ticking on the way.
    pub fn run_until(&mut self, deadline: Nanos) -> Result<(), SourcesError> {
        self.run_while(deadline, || true)
    }

    /// As [`Pipeline::run_until`], but ends with a last reading once `go_on` says no: it is asked at least once a second.
    pub fn run_while(&mut self, deadline: Nanos, go_on: impl Fn() -> bool) -> Result<(), SourcesError> {
        let mut next_tick = (sources::monotonic() + self.longest_tick()).min(deadline);
        loop {
            let is_over = !go_on();
            let now = sources::monotonic();
            if is_over || now >= deadline {
                return self.read();
            }
            if now >= next_tick {
                self.tick()?;
                // What was missed meanwhile cannot be made up for by reading more often now.
                next_tick = (next_tick + self.longest_tick()).max(now).min(deadline);
                continue;
            }
            self.await_changes((next_tick - now).into());
        }
    }

    /// Reads the meter, and how busy the CPUs were meanwhile. Who kept them busy is asked only when the kernel's
    /// tables fill up: it is the dear part of a reading, and the totals are still there at the interval's end.
    pub fn tick(&mut self) -> Result<(), SourcesError> {
        if self.is_filling() {
            return self.read();
        }
        self.take_changes();
        self.glance(false).map(|_| ())
    }

    /// One reading of everything.
    pub fn read(&mut self) -> Result<(), SourcesError> {
        self.stages.begin(clock::monotonic());
        self.take_changes();
        self.read_usage()?;
        self.own.read();
        self.relieve();
        // Who was read was born before it, maybe after the changes were taken above: if it is gone again, only the event
        // names it. Not earlier: who is now known to be dead may have run since the reading, and keeps its slot.
        self.take_changes();
        self.stages.end(Stage::Read, clock::monotonic());
        Ok(())
    }

    /// Reads the CPUs' totals, and then `all` zones or those that are awake.
    fn glance(&mut self, all: bool) -> Result<(Glance, Metered), SourcesError> {
        let glance = self.sources.glance()?;
        let load = self.load.observe(glance.at, &glance.cpus);
        let metered = self.read_meter(&load, all);
        Ok((glance, metered))
    }

    /// The meter first: that it takes longer to ask who ran than what was used does no harm, because who is still
    /// running ran at the meter's instant, too.
    fn read_usage(&mut self) -> Result<(), SourcesError> {
        let (glance, metered) = self.glance(true)?;
        let reading = self.sources.read(glance, |place| metered.at(place))?;
        self.usage.observe(&reading);
        self.threads.observe(&reading);
        self.disks.observe(&reading);
        self.tcp.observe(&reading);
        self.processes.observe(&reading);
        Ok(())
    }

    fn await_changes(&mut self, span: std::time::Duration) {
        let changes = self.sources.wait(span);
        self.learn(changes);
        let events = self.sources.take_events();
        match &mut self.watched {
            Some(watched) => watched.lives.take(events),
            None => self.events.take(events),
        }
    }

    fn take_changes(&mut self) {
        self.await_changes(std::time::Duration::ZERO);
    }

    /// Ends the interval: attributes it and adds it to the ledger.
    pub fn close(&mut self) -> Interval {
        self.stages.begin(clock::monotonic());
        let usage = self.usage.close();
        let zones = self.zones.close();
        let threads = self.threads.close();
        let (disk, disks) = self.disks.close(&self.sources.root);
        let counted = self.close_counted();
        let (entries, times, reserved) = self.identify(&usage, threads.as_ref(), &disk, &counted);
        let by_place = Usage { busy: usage.busy.clone(), work: times, gain: self.gain };
        let floors = self.floors(&zones);
        let floor = |key| floors.get(&key).map_or(Watts(0.0), |floor| floor.watts);
        let mut attribution = attribute(&zones, floor, &by_place);
        if self.idle_policy() == IdlePolicy::ByRequest {
            attribution.hand_out_idle(&reserved, MicroCpus::whole(usage.cpus));
        }
        let footprint = footprint(&attribution, &self.factors, usage.span());
        let grams = footprint.workloads.iter().copied().chain(std::iter::repeat(Grams(0.0)));
        let entries: Vec<Entry> =
            entries.into_iter().zip(grams).map(|(entry, operational)| Entry { operational, ..entry }).collect();
        let events = self.happened(&entries, &attribution, usage.to.monotonic);
        let nobody = self.nobody(&attribution, &footprint, &disk);
        self.ledger.post(&attribution, &entries, &nobody);
        self.note_seen(&entries);
        self.registry.expire(usage.to.monotonic);
        let pressures = self.waits.read(&self.sources, &entries, usage.span(), &self.registry);
        let own = self.own_energy(&usage, &attribution, &entries);
        let alive = || procfs::threads(&self.sources.root).ok();
        let threads = threads.map(|threads| threads.machine(usage.span(), alive()));
        let hardware = zones.into_iter().filter(|zone| !zone.key.kind.is_attributed()).collect();
        self.stages.end(Stage::Attribute, clock::monotonic());
        let meter = self.watch.close();
        let open = counted.open(&entries, &self.ledger);
        Interval {
            usage,
            attribution,
            footprint,
            threads,
            disks,
            open,
            floors,
            hardware,
            own,
            pressures,
            events,
            meter,
        }
    }

    /// Ends the last interval: what a failed read leaves open stays unknown.
    pub fn finish(&mut self) -> Interval {
        self.zones.give_up();
        self.close()
    }
}
