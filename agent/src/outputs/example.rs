//! An interval made by hand, for the tests of the outputs: two workloads, one zone of three that told nothing.

use std::{collections::BTreeMap, sync::Arc};

use super::report::{ByProcess, EnergyNote, Report, SchedNote};
use crate::{
    attribution::{
        books::{Attribution, ZoneBooks},
        by_process::Part,
        functional::FunctionalUnit,
        idle::{Floor, IdleOrigin},
        ledger::{Cgroup, Entry, Ledger},
        reserved::IdlePolicy,
        weight::Method,
    },
    carbon::{
        footprint::{Factors, Footprint},
        intensity::at_location,
        operational::Pue,
    },
    identity::{Kind, Triplet, Workload},
    samples::{
        EnergySource, Instant, OnCpu, Place, ProcessTotals, RoleTotals, Scope, TcpDurations, TcpTotals, ZoneKey,
        ZoneKind,
        disk::{DiskUse, MachineDisks, Ownership},
        process::ProcessUse,
        tcp::{OpenNow, TcpUse},
        threads::{MachineThreads, ThreadUse},
        usage::UsageSample,
        zone::{UnknownReason, ZoneSample},
    },
    units::{Grams, MicroCpus, Microjoules, Nanos, Watts},
};

mod told;

/// A name that tries to clear the screen and to turn the line around.
pub(crate) const HOSTILE: &str = "evil\u{1b}[2J\n\u{9b}1A\u{202e}gpj";

const SPAN: Nanos = Nanos::from_secs(2);

/// What a report refers to.
pub(crate) struct Example {
    pub(crate) usage: UsageSample,
    pub(crate) ledger: Ledger,
    pub(crate) footprint: Footprint,
    pub(crate) factors: Factors,
    pub(crate) threads: Option<MachineThreads>,
    pub(crate) disks: MachineDisks,
    tcp: bool,
    pub(crate) open: BTreeMap<Triplet, OpenNow>,
    processes: bool,
    by_process: Option<(Vec<Part>, bool, u64)>,
    pub(crate) functional_unit: Option<FunctionalUnit>,
    pub(crate) floors: BTreeMap<ZoneKey, Floor>,
    pub(crate) hardware: Vec<ZoneSample>,
    idle_policy: IdlePolicy,
}

impl Example {
    /// The whole interval: 2 s of 4 CPUs on two sockets, and of the energy all but socket 1's.
    pub(crate) fn new() -> Self {
        Self::of(IdlePolicy::Separate)
    }

    /// The same, idle handed out: one CPU to the first workload, half a one to another of which nothing else is known.
    pub(crate) fn by_request() -> Self {
        Self::of(IdlePolicy::ByRequest)
    }

    fn of(idle_policy: IdlePolicy) -> Self {
        let zones = vec![
            books(PACKAGE[0], [30_000_000, 10_000_000], [12_000_001, 5_000_002, 2_999_997]),
            ZoneBooks { sample: unknown(PACKAGE[1]), ..books(PACKAGE[1], [0, 0], [0, 0, 0]) },
            books(DRAM, [3_000_000, 1_000_000], [1_200_000, 500_000, 300_000]),
        ];
        let mut entries = vec![
            entry(Kind::SystemdUnit, "ssh.service", 1_200, 0.001),
            Entry { cgroup: None, ..entry(Kind::Process, HOSTILE, 300, 0.0005) },
        ];
        let mut attribution = Attribution { zones, unattributed: OnCpu::default() };
        if idle_policy == IdlePolicy::ByRequest {
            entries.push(entry(Kind::SystemdUnit, "asleep.service", 0, 0.000_125));
            attribution.hand_out_idle(&[1_000_000, 0, 500_000].map(MicroCpus), MicroCpus::whole(4));
        }
        let nobody = Entry { cgroup: None, ..entry(Kind::Unattributed, "unattributed", 500, 0.00025) };
        let mut ledger = Ledger::default();
        ledger.post(&attribution, &entries, &nobody);
        let floor = Floor { watts: Watts(5.0), origin: IdleOrigin::Assumed };
        let platform = ZoneKey { kind: ZoneKind::Platform, scope: Scope::Machine };
        let core = ZoneKey { kind: ZoneKind::Core, scope: Scope::Die(Place { socket: 0, die: 1 }) };
        Self {
            usage: usage(),
            ledger,
            footprint: Footprint {
                operational: Grams(0.003),
                covered: Nanos::from_secs(4),
                embodied: None,
                ..Footprint::default()
            },
            factors: Factors {
                intensity: at_location(Some("DE")).unwrap(),
                pue: Pue::NOT_APPLIED,
                embodied: Err("the host is not known".to_owned()),
            },
            threads: None,
            disks: MachineDisks::default(),
            tcp: false,
            open: BTreeMap::new(),
            processes: false,
            by_process: None,
            functional_unit: None,
            floors: BTreeMap::from([(PACKAGE[0], floor)]),
            hardware: vec![known(platform, 100_000_000), unknown(core)],
            idle_policy,
        }
    }

    /// One more workload, that used nothing.
    pub(crate) fn slept(&mut self, name: &str, threads: Option<ThreadUse>) {
        let entries = [Entry { threads, ..entry(Kind::SystemdUnit, name, 0, 0.0) }];
        let nobody = Entry { cgroup: None, ..entry(Kind::Unattributed, "unattributed", 0, 0.0) };
        self.ledger.post(&Attribution::default(), &entries, &nobody);
    }

    /// Block I/O of the first workload, and of nobody.
    pub(crate) fn did_block_io(&mut self) {
        let did = |bytes: [u64; 2], operations: [u64; 3]| {
            let mut done = DiskUse::default();
            done.totals.bytes[..2].copy_from_slice(&bytes);
            done.totals.operations[..3].copy_from_slice(&operations);
            done
        };
        let done = did([24_690_000, 4_096], [300, 1, 2]);
        let entries = [Entry { disk: [(Ownership::Cgroup, done)].into(), ..first() }];
        let disk = [(Ownership::Root, did([0, 3_000], [0, 6, 0]))].into();
        let nobody = Entry { cgroup: None, disk, ..entry(Kind::Unattributed, "unattributed", 0, 0.0) };
        self.ledger.post(&Attribution::default(), &entries, &nobody);
        self.disks.work = Some(BTreeMap::new());
    }

    /// Connections of the first workload.
    pub(crate) fn connected(&mut self) {
        let client = RoleTotals {
            established: [30, 2],
            closed: 31,
            unmeasured: 1,
            aborted: 4,
            failures: [[7, 0, 0, 0, 0], [0, 0, 1, 0, 0]],
        };
        let roles = [client, RoleTotals::default()];
        let totals = TcpTotals { roles, unobserved: 3, sent: 12_000, received: 4_096, retransmits: 5 };
        self.first_did(Entry { tcp: Some(TcpUse { totals, durations: None }), ..first() });
        self.tcp = true;
    }

    /// And how long those took.
    pub(crate) fn connected_for(&mut self, durations: TcpDurations) {
        let tcp = TcpUse { durations: Some(durations), ..TcpUse::default() };
        self.first_did(Entry { tcp: Some(tcp), ..first() });
    }

    /// Processes of the first workload.
    pub(crate) fn started_programs(&mut self) {
        let exited_cpu = Nanos::from_millis(750);
        let totals =
            ProcessTotals { forks: 1_500, execs: 1_234, exits: [1_200, 0, 3, 0], short_lived: 1_100, exited_cpu };
        self.first_did(Entry { processes: Some(ProcessUse { totals }), ..first() });
        self.processes = true;
    }

    fn first_did(&mut self, done: Entry) {
        let nobody = Entry { cgroup: None, ..entry(Kind::Unattributed, "unattributed", 0, 0.0) };
        self.ledger.post(&Attribution::default(), &[done], &nobody);
    }

    /// As `once` shows it.
    pub(crate) fn report(&self) -> Report<'_> {
        Report {
            usage: &self.usage,
            ledger: &self.ledger,
            footprint: &self.footprint,
            factors: &self.factors,
            threads: self.threads,
            disks: &self.disks,
            tcp: self.tcp,
            open: &self.open,
            processes: self.processes,
            functional_unit: self.functional_unit,
            floors: &self.floors,
            hardware: &self.hardware,
            idle_policy: self.idle_policy,
            method: Method::CpuTime,
            energy: EnergyNote {
                source: EnergySource::RaplPowercap,
                description: "intel-rapl:0".to_owned(),
                uncertainty: Some(0.05),
                precision: None,
            },
            sched: SchedNote {
                mode: "btf",
                level: Some("full"),
                reason: None,
                counts: vec![("sched.map_full".to_owned(), 3)],
                lost: 3,
            },
            block: "total",
            by_process: self.by_process.as_ref().map(|(parts, has_ended, lost)| ByProcess {
                parts,
                has_ended: *has_ended,
                lost: *lost,
            }),
        }
    }
}

const PACKAGE: [ZoneKey; 2] = [
    ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(0) },
    ZoneKey { kind: ZoneKind::Package, scope: Scope::Socket(1) },
];
const DRAM: ZoneKey = ZoneKey { kind: ZoneKind::Dram, scope: Scope::Socket(0) };

fn usage() -> UsageSample {
    let at = |seconds| Instant { monotonic: Nanos::from_secs(seconds), ..Instant::default() };
    let place = |socket| Place { socket, die: 0 };
    UsageSample {
        from: at(10),
        to: at(12),
        cpus: 4,
        busy: BTreeMap::from(
            [(place(0), 1_500), (place(1), 500)].map(|(place, time)| (place, OnCpu::alone(Nanos::from_millis(time)))),
        ),
        idle: Nanos::from_millis(5_900),
        ..UsageSample::default()
    }
}

fn known(key: ZoneKey, energy: u64) -> ZoneSample {
    let unknown = UnknownReason::ALL.map(|reason| (reason, Nanos(0)));
    ZoneSample { key, energy: Microjoules(energy), covered: SPAN, unknown }
}

fn unknown(key: ZoneKey) -> ZoneSample {
    let mut sample = ZoneSample { covered: Nanos(0), ..known(key, 0) };
    sample.unknown[0].1 = SPAN;
    sample
}

/// Measured and idle; two workloads and nobody.
fn books(key: ZoneKey, [measured, idle]: [u64; 2], [first, second, nobody]: [u64; 3]) -> ZoneBooks {
    ZoneBooks {
        sample: known(key, measured),
        idle: Microjoules(idle),
        parts: vec![Microjoules(first), Microjoules(second)],
        unattributed: Microjoules(nobody),
        idle_parts: Vec::new(),
        excess: Nanos(0),
    }
}

/// The first workload, that does nothing.
fn first() -> Entry {
    entry(Kind::SystemdUnit, "ssh.service", 0, 0.0)
}

fn entry(kind: Kind, name: &str, millis: u64, grams: f64) -> Entry {
    let id = Triplet { namespace: "test".to_owned(), name: name.to_owned(), instance: name.to_owned() };
    Entry {
        workload: Arc::new(Workload { id, kind, name: name.to_owned() }),
        cgroup: Some(Cgroup { id: 4_711, path: format!("/system.slice/{name}") }),
        // A third of it shared, except nobody's.
        cpu: OnCpu::new(
            Nanos::from_millis(millis),
            Nanos::from_millis(if kind == Kind::Unattributed { 0 } else { millis / 3 }),
        ),
        operational: Grams(grams),
        threads: None,
        disk: BTreeMap::new(),
        tcp: None,
        open: None,
        processes: None,
    }
}
