//! A machine made of numbers, told an interval at a time.

use proptest::{collection::vec, prelude::*};

use super::super::*;
use crate::{
    attribution::{
        books::{Usage, attribute},
        ledger::{Cgroup, Entry},
    },
    carbon::{footprint::footprint, intensity, operational::Pue},
    samples::{
        OnCpu, Place, Scope, ZoneKey,
        disk::{DiskUse, Ownership},
        process::ProcessUse,
        tcp::TcpUse,
        threads::ThreadUse,
        zone::UnknownReason,
    },
    units::{Grams, MicroCpus, Watts},
};

pub(super) const POD: &str = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0f1e2d3c_4b5a_4968_8776_655443322110.slice/cri-containerd-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope";

fn host() -> Host {
    Host { id: "h".to_owned(), name: Some("node-1".to_owned()) }
}

fn factors() -> Factors {
    let intensity = intensity::at_location(None).expect("the world");
    Factors { intensity, pue: Pue::NOT_APPLIED, embodied: Err("a guest".to_owned()) }
}

pub(super) fn instant(seconds: u64) -> Instant {
    let at = Nanos::from_secs(seconds);
    Instant { monotonic: at, boottime: at, wall: at + Nanos::from_secs(1_000_000) }
}

fn zone(kind: ZoneKind, socket: u32) -> ZoneInfo {
    ZoneInfo {
        key: ZoneKey { kind, scope: Scope::Socket(socket) },
        hw_id: format!("{}:{socket}", kind.name()),
        parent: (kind == ZoneKind::Dram).then(|| format!("package:{socket}")),
        range: Microjoules(u64::MAX),
        unit: Microjoules(1),
        max_power: Watts(1_000.0),
    }
}

fn zones() -> Vec<ZoneInfo> {
    use ZoneKind::{Core, Dram, Package, Platform};
    vec![zone(Package, 0), zone(Package, 1), zone(Dram, 0), zone(Core, 0), zone(Platform, 0)]
}

/// A container, a unit, one that was made of many units, the kernel and this agent.
fn workloads() -> Vec<(Arc<Workload>, Option<Cgroup>)> {
    let seen = |path: &str| Some(Cgroup { id: 7, path: path.to_owned() });
    let at = |path: &str| (Arc::new(Workload::of_path(path, "h")), seen(path));
    vec![
        at(POD),
        at("/system.slice/ssh.service"),
        at("/system.slice/run-u17.service"),
        (Arc::new(Workload::kernel("h")), None),
        at("/system.slice/wattrace.service"),
    ]
}

/// A machine, an interval at a time.
pub(super) struct Machine {
    seconds: u64,
    pub(super) ledger: Ledger,
    pub(super) telemetry: Telemetry,
    pub(super) factors: Factors,
    pub(super) health: Health,
    pub(super) own: Option<Microjoules>,
    pub(super) method: Method,
    pub(super) pressure: Vec<(Resource, Pressure)>,
    pub(super) waits: BTreeMap<Triplet, Pressure>,
    pub(super) open: BTreeMap<Triplet, OpenNow>,
    pub(super) threads: Option<MachineThreads>,
    pub(super) disks: MachineDisks,
    pub(super) functional_unit: Option<FunctionalUnit>,
}

/// What happens in an interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// µJ of each zone; `None`: it could not be read.
    pub(super) energy: Vec<Option<u64>>,
    /// Nanoseconds each workload ran on each of two sockets.
    pub(super) time: Vec<(u64, u64)>,
    /// Whether each lives.
    pub(super) live: Vec<bool>,
    /// Nanoseconds nobody owns.
    pub(super) nobody: u64,
    /// What each has reserved; empty: idle is the node's.
    pub(super) reserved: Vec<MicroCpus>,
    /// What the threads of each did.
    pub(super) threads: Option<ThreadUse>,
    /// The block I/O of each.
    pub(super) disk: BTreeMap<Ownership, DiskUse>,
    /// The connections of each.
    pub(super) tcp: Option<TcpUse>,
    /// The processes of each.
    pub(super) processes: Option<ProcessUse>,
    /// And of nobody.
    pub(super) nobodys_disk: BTreeMap<Ownership, DiskUse>,
}

impl Step {
    fn policy(&self) -> IdlePolicy {
        if self.reserved.is_empty() { IdlePolicy::Separate } else { IdlePolicy::ByRequest }
    }
}

impl Machine {
    pub(super) fn new() -> Self {
        let (ledger, telemetry) = (Ledger::default(), Telemetry::new(instant(0)));
        Self {
            seconds: 0,
            ledger,
            telemetry,
            factors: factors(),
            health: Health::default(),
            own: None,
            method: Method::CpuTime,
            pressure: Vec::new(),
            waits: BTreeMap::new(),
            open: BTreeMap::new(),
            threads: None,
            disks: MachineDisks::default(),
            functional_unit: None,
        }
    }

    /// Tells an interval, and retires whom it says.
    pub(super) fn tell(&mut self, step: &Step) -> Snapshot {
        let (from, to) = (instant(self.seconds), instant(self.seconds + 15));
        self.seconds += 15;
        let zones = zones();
        let read: Vec<_> = zones.iter().zip(&step.energy).map(|(zone, energy)| sample(zone.key, *energy)).collect();
        let usage = usage(step);
        let mut attribution = attribute(&read, |_| Watts(3.0), &usage);
        if step.policy() == IdlePolicy::ByRequest {
            attribution.hand_out_idle(&step.reserved, MicroCpus::whole(2));
        }
        let footprint = footprint(&attribution, &self.factors, Nanos::from_secs(15));
        self.post(step, &attribution, &footprint);
        let hardware: Vec<_> = read.into_iter().filter(|zone| !zone.key.kind.is_attributed()).collect();
        let live = workloads().into_iter().zip(&step.live).filter(|(_, live)| **live);
        let unavailable = step.energy.is_empty().then_some("no meter");
        let source = if step.energy.is_empty() { EnergySource::None } else { EnergySource::RaplPowercap };
        let told = self.telemetry.tell(&View {
            usage: &UsageSample { from, to, cpus: 2, busy: usage.busy, ..UsageSample::default() },
            attribution: &attribution,
            footprint: &footprint,
            threads: self.threads,
            disks: &self.disks,
            functional_unit: self.functional_unit,
            hardware: &hardware,
            ledger: &self.ledger,
            factors: &self.factors,
            meter: MeterView { source, unavailable, zones: &zones },
            idle_policy: step.policy(),
            method: self.method,
            pressure: &self.pressure,
            waits: &self.waits,
            open: &self.open,
            host: &host(),
            live: &live.map(|((workload, _), _)| workload.id.clone()).collect(),
            own: self.own,
            health: &self.health,
        });
        told.forgotten.iter().for_each(|id| self.ledger.retire(id));
        told.snapshot
    }

    fn post(&mut self, step: &Step, attribution: &Attribution, footprint: &Footprint) {
        let entry = |(((workload, cgroup), (one, other)), grams): (((_, _), &(u64, u64)), &Grams)| Entry {
            workload,
            cgroup,
            cpu: OnCpu::new(Nanos(one + other), Nanos(if self.method == Method::CpuTime { 0 } else { one / 4 })),
            operational: *grams,
            threads: step.threads.clone(),
            disk: step.disk.clone(),
            tcp: step.tcp.clone(),
            open: None,
            processes: step.processes.clone(),
        };
        // Whoever has reserved CPUs is there, whether anybody knows that it ran.
        let mut time = step.time.clone();
        time.resize(time.len().max(step.reserved.len()), (0, 0));
        let none = vec![Grams(0.0); time.len()];
        let grams = if footprint.workloads.is_empty() { &none } else { &footprint.workloads };
        let entries: Vec<_> = workloads().into_iter().zip(&time).zip(grams).map(entry).collect();
        let nobody = Entry {
            workload: Arc::new(Workload::unattributed("h")),
            cgroup: None,
            cpu: attribution.unattributed,
            operational: footprint.unattributed,
            threads: None,
            disk: step.nobodys_disk.clone(),
            tcp: None,
            open: None,
            processes: None,
        };
        self.ledger.post(attribution, &entries, &nobody);
    }
}

fn sample(key: ZoneKey, energy: Option<u64>) -> ZoneSample {
    let lost = |reason, span| (reason, Nanos(span));
    let (covered, error) = if energy.is_some() { (15_000_000_000, 0) } else { (0, 15_000_000_000) };
    let unknown = UnknownReason::ALL.map(|reason| lost(reason, if reason == UnknownReason::Error { error } else { 0 }));
    ZoneSample { key, energy: Microjoules(energy.unwrap_or(0)), covered: Nanos(covered), unknown }
}

fn usage(step: &Step) -> Usage {
    let place = |socket| Place { socket, die: 0 };
    let times = |(one, other): &(u64, u64)| {
        BTreeMap::from([(place(0), OnCpu::alone(Nanos(*one))), (place(1), OnCpu::alone(Nanos(*other)))])
    };
    let work: Vec<_> = step.time.iter().map(times).collect();
    let busy = [0, 1].map(|socket| {
        let time: OnCpu = work.iter().filter_map(|times| times.get(&place(socket))).copied().sum();
        (place(socket), time + OnCpu::alone(Nanos(step.nobody)))
    });
    Usage { busy: busy.into(), work, ..Usage::default() }
}

pub(super) fn busy() -> Step {
    let energy = vec![Some(90_000_000), Some(60_000_000), Some(15_000_000), Some(30_000_000), Some(200_000_000)];
    Step { energy, time: vec![(1_000_000_000, 0); 5], live: vec![true; 5], nobody: 0, ..Step::default() }
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let energy = vec(prop_oneof![6 => (0..400_000_000_u64).prop_map(Some), 1 => Just(None)], zones().len());
    let time = vec((0..9_000_000_000_u64, 0..9_000_000_000_u64), 5);
    let cpus = prop_oneof![Just(0), 0..3_000_000_u64].prop_map(MicroCpus);
    let reserved = prop_oneof![Just(Vec::new()), vec(cpus, 5)];
    let strategy = (energy, time, vec(prop::bool::weighted(0.7), 5), 0..1_000_u64, reserved);
    strategy.prop_map(|(energy, time, live, nobody, reserved)| {
        // The dead do not run.
        let time = time.into_iter().zip(&live).map(|(time, live)| if *live { time } else { (0, 0) }).collect();
        Step { energy, time, live, nobody, reserved, ..Step::default() }
    })
}
