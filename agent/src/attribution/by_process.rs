//! A workload's energy, told apart by its processes: an estimate, for the meter knows of no process. What they did not use of
//! the workload's CPU time stays as a rest, so that the parts add up to what the workload was billed.

use std::{collections::BTreeMap, sync::Arc};

use super::ledger::Account;
use crate::{
    identity::{Triplet, Workload},
    samples::{ZoneKind, split::split},
    units::{Microjoules, Nanos},
};

/// What one process used in the interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it was made, boot time.
    pub start: Nanos,
    /// Its name.
    pub comm: [u8; 16],
    /// Whose it is.
    pub workload: Arc<Workload>,
    /// On-CPU time of all its threads, those that ended included.
    pub cpu: Nanos,
    /// How it ended, as `wait` tells it; `None`: it is there.
    pub status: Option<u32>,
}

/// Energy by kind of zone, all sockets together.
pub type Energy = BTreeMap<ZoneKind, Microjoules>;

/// All workloads, told apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ByProcess {
    /// Processes with their part; without any where the workload has no account.
    pub processes: Vec<(Process, Energy)>,
    /// What is left of each workload: threads of the kernel, and processes that nobody told of.
    pub rests: Vec<(Arc<Workload>, Nanos, Energy)>,
}

/// Shares each account's energy over its processes, by CPU time. Where their own clocks say more than the account, as they do
/// where that is counted in clock ticks, it is shared over what they say.
pub fn by_process(accounts: &[&Account], processes: Vec<Process>) -> ByProcess {
    let mut of: BTreeMap<Triplet, Vec<Process>> = BTreeMap::new();
    for process in processes {
        of.entry(process.workload.id.clone()).or_default().push(process);
    }
    let mut told = ByProcess::default();
    for account in accounts {
        told.share(account, of.remove(&account.workload.id).unwrap_or_default());
    }
    told.processes.extend(of.into_values().flatten().map(|process| (process, Energy::new())));
    told
}

impl ByProcess {
    fn share(&mut self, account: &Account, processes: Vec<Process>) {
        let used = processes.iter().fold(0_u64, |sum, process| sum.saturating_add(process.cpu.0));
        let rest = account.cpu.saturating_sub(Nanos(used));
        let weights: Vec<u64> = processes.iter().map(|process| process.cpu.0).chain([rest.0]).collect();
        let mut energies = vec![Energy::new(); processes.len()];
        let mut left = Energy::new();
        for (zone, energy) in &account.energy {
            // Nobody ran: all of it is the rest's.
            let parts = split(energy.0, &weights).unwrap_or_default();
            let given: u64 = parts.iter().take(processes.len()).sum();
            for (of_process, part) in energies.iter_mut().zip(parts) {
                of_process.insert(*zone, Microjoules(part));
            }
            left.insert(*zone, energy.saturating_sub(Microjoules(given)));
        }
        self.processes.extend(processes.into_iter().zip(energies));
        self.rests.push((Arc::clone(&account.workload), rest, left));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{identity::Kind, units::Grams};

    fn workload(name: &str) -> Arc<Workload> {
        let id = Triplet { namespace: "test".to_owned(), name: name.to_owned(), instance: name.to_owned() };
        Arc::new(Workload { id, kind: Kind::SystemdUnit, name: name.to_owned() })
    }

    fn account(name: &str, cpu: u64, energy: &[(ZoneKind, u64)]) -> Account {
        Account {
            workload: workload(name),
            cgroup: None,
            cpu: Nanos(cpu),
            shared: Nanos(0),
            energy: energy.iter().map(|(zone, energy)| (*zone, Microjoules(*energy))).collect(),
            operational: Grams(0.0),
            idle: BTreeMap::new(),
            threads: None,
            disk: BTreeMap::new(),
            tcp: None,
            processes: None,
        }
    }

    fn process(pid: u32, of: &str, cpu: u64) -> Process {
        Process { pid, start: Nanos(1), comm: [b'x'; 16], workload: workload(of), cpu: Nanos(cpu), status: None }
    }

    #[test]
    fn energy_follows_cpu_time_and_the_rest_is_told() {
        let accounts = [account("a", 100, &[(ZoneKind::Package, 1_000), (ZoneKind::Dram, 10)]), account("b", 7, &[])];
        let told = by_process(&accounts.each_ref(), vec![process(1, "a", 60), process(2, "a", 30), process(3, "c", 5)]);
        let package: Vec<_> =
            told.processes.iter().map(|(of, energy)| (of.pid, energy.get(&ZoneKind::Package).copied())).collect();
        assert_eq!(package, [(1, Some(Microjoules(600))), (2, Some(Microjoules(300))), (3, None)]);
        let rests: Vec<_> =
            told.rests.iter().map(|(of, cpu, energy)| (of.name.as_str(), cpu.0, energy.len())).collect();
        assert_eq!(rests, [("a", 10, 2), ("b", 7, 0)]);
        assert_eq!(told.rests[0].2[&ZoneKind::Package], Microjoules(100));
    }

    #[test]
    fn who_says_more_than_the_account_shares_all_of_it() {
        let accounts = [account("a", 10, &[(ZoneKind::Package, 90)])];
        let told = by_process(&accounts.each_ref(), vec![process(1, "a", 20), process(2, "a", 10)]);
        let package: Vec<_> = told.processes.iter().map(|(_, energy)| energy[&ZoneKind::Package].0).collect();
        assert_eq!((package, told.rests[0].1), (vec![60, 30], Nanos(0)));
    }

    #[test]
    fn energy_of_nobody_who_ran_is_the_rest() {
        let accounts = [account("a", 0, &[(ZoneKind::Package, 90)])];
        let told = by_process(&accounts.each_ref(), vec![process(1, "a", 0)]);
        assert_eq!(told.rests[0].2[&ZoneKind::Package], Microjoules(90));
    }

    proptest! {
        #[test]
        fn parts_and_rest_add_up(cpus in prop::collection::vec(0..1_u64 << 50, 0..40), cpu in 0..1_u64 << 56, energy: u64) {
            let accounts = [account("a", cpu, &[(ZoneKind::Package, energy)])];
            let processes = (1..).zip(&cpus).map(|(pid, cpu)| process(pid, "a", *cpu)).collect();
            let told = by_process(&accounts.each_ref(), processes);
            let given: u128 =
                told.processes.iter().filter_map(|(_, of)| of.get(&ZoneKind::Package)).map(|of| u128::from(of.0)).sum();
            prop_assert_eq!(given + u128::from(told.rests[0].2[&ZoneKind::Package].0), u128::from(energy));
            let used: u64 = cpus.iter().sum();
            prop_assert_eq!(told.rests[0].1.0, cpu.saturating_sub(used));
            prop_assert_eq!(told.processes.len(), cpus.len());
        }
    }
}
