//! One interval as it is shown: everything a figure must say beside itself, gathered in one value.

use std::collections::BTreeMap;

use crate::{
    attribution::{
        by_process::Part,
        functional::{self, FunctionalUnit},
        idle::Floor,
        ledger::{Account, Ledger, ZoneAccount},
        reserved::IdlePolicy,
        weight::Method,
    },
    carbon::footprint::{Factors, Footprint},
    identity::Triplet,
    samples::{
        EnergySource, ZoneKey, ZoneKind, disk::MachineDisks, tcp::OpenNow, threads::MachineThreads, usage::UsageSample,
        zone::ZoneSample,
    },
    units::{Joules, Microjoules, Nanos},
};

/// What `once` shows.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Who used the CPUs.
    pub usage: &'a UsageSample,
    /// Workloads and zones.
    pub ledger: &'a Ledger,
    /// Grams of the node.
    pub footprint: &'a Footprint,
    /// What turned joules into grams.
    pub factors: &'a Factors,
    /// The machine's threads; `None`: they are not counted.
    pub threads: Option<MachineThreads>,
    /// The machine's block devices.
    pub disks: &'a MachineDisks,
    /// Whether connections are counted.
    pub tcp: bool,
    /// Connections that are open at the end, of whom that is known.
    pub open: &'a BTreeMap<Triplet, OpenNow>,
    /// Whether processes are counted.
    pub processes: bool,
    /// Idle floors in use.
    pub floors: &'a BTreeMap<ZoneKey, Floor>,
    /// Zones that contain, or lie inside, one that is shared out: shown, never added.
    pub hardware: &'a [ZoneSample],
    /// Whose idle energy is.
    pub idle_policy: IdlePolicy,
    /// How active energy was shared out.
    pub method: Method,
    /// What workloads' operations are; `None`: they are not shown.
    pub functional_unit: Option<FunctionalUnit>,
    /// Where the energy comes from.
    pub energy: EnergyNote,
    /// How on-CPU time was measured.
    pub sched: SchedNote,
    /// What is counted of block I/O: `off`, `total` or `device`.
    pub block: &'static str,
    /// Its processes; `None`: they are not to be told apart.
    pub by_process: Option<ByProcess<'a>>,
}

/// Processes of all workloads.
#[derive(Clone, Copy, Debug)]
pub struct ByProcess<'a> {
    /// Who used what, the largest first.
    pub parts: &'a [Part],
    /// Whether those are among them that were gone by the end.
    pub has_ended: bool,
    /// Of these, how many are missing all the same.
    pub lost: u64,
}

/// Where the energy comes from, for people.
#[derive(Clone, Debug)]
pub struct EnergyNote {
    /// The source.
    pub source: EnergySource,
    /// What it is: the row of the model's table, the powercap zones, or why there is none.
    pub description: String,
    /// Stated error as a share: 0.3 is ±30 %.
    pub uncertainty: Option<f64>,
    /// How well the model's row fits this machine.
    pub precision: Option<&'static str>,
}

/// How on-CPU time was measured.
#[derive(Clone, Debug)]
pub struct SchedNote {
    /// `btf`: by the kernel programs; `cgroupfs` or `procfs`: from files.
    pub mode: &'static str,
    /// How much the kernel programs count of threads; `None`: there are none.
    pub level: Option<&'static str>,
    /// Why not by the kernel programs; `None`: it is.
    pub reason: Option<String>,
    /// Counts by program and reason, those that are not 0.
    pub counts: Vec<(String, u64)>,
    /// Of them, those that mean something is missing from the books.
    pub lost: u64,
}

impl Report<'_> {
    /// Which parts of the machine the zones cover, `package+dram`.
    pub fn scope(&self) -> String {
        let mut kinds: Vec<ZoneKind> = self.ledger.zones().map(|zone| zone.key.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let names: Vec<&str> = kinds.into_iter().map(ZoneKind::name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join("+") }
    }

    /// Whether any energy is known of this interval: zero joules of an unread meter are no figure.
    pub fn energy_known(&self) -> bool {
        self.footprint.covered.0 > 0
    }

    /// Whether any zone of this kind told its energy, in any part of the interval.
    pub fn is_known(&self, kind: ZoneKind) -> bool {
        self.ledger.zones().any(|zone| zone.key.kind == kind && zone.covered.0 > 0)
    }

    /// A sum over all zones.
    pub fn sum(&self, part: impl Fn(&ZoneAccount) -> Microjoules) -> Microjoules {
        self.ledger.zones().map(part).sum()
    }

    /// Workloads by energy, what they have of idle included, then by time, largest first.
    pub fn ranked(&self) -> Vec<&Account> {
        let mut accounts: Vec<&Account> = self.ledger.accounts().collect();
        accounts.sort_by_key(|account| std::cmp::Reverse((total(account) + idle(account), account.cpu)));
        accounts
    }

    /// Whether it is known who did which block I/O: none by anybody would be no figure otherwise.
    pub fn disk_known(&self) -> bool {
        self.disks.work.is_some()
    }

    /// How often the workload did what is the functional unit; `None`: it is not known.
    pub fn operations(&self, account: &Account) -> Option<u64> {
        let is_counted = |unit: &FunctionalUnit| match unit {
            FunctionalUnit::DiskOperations => self.disk_known(),
            FunctionalUnit::ConnectionsClosed => self.tcp,
            FunctionalUnit::Execs => self.processes,
        };
        self.functional_unit.filter(is_counted).map(|unit| unit.count(account))
    }

    /// Active energy of these for each operation; `None`: one of the two is not known, or there was no operation.
    pub fn per_operation(&self, accounts: &[&Account]) -> Option<Joules> {
        let operations = accounts.iter().map(|account| self.operations(account)).sum::<Option<u64>>()?;
        let energy: Microjoules = accounts.iter().map(|account| total(account)).sum();
        functional::per_operation(energy.joules(), operations).filter(|_| self.energy_known())
    }

    /// Time whose energy is unknown, over all zones and reasons.
    pub fn unknown(&self) -> Nanos {
        self.ledger.zones().flat_map(|zone| zone.unknown.values()).copied().sum()
    }
}

/// An account's active energy over all zones.
pub fn total(account: &Account) -> Microjoules {
    account.energy.values().copied().sum()
}

/// An account's part of idle energy over all zones.
pub fn idle(account: &Account) -> Microjoules {
    account.idle.values().copied().sum()
}
