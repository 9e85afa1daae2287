//! A workload's energy, told apart by its processes: an estimate, for the meter knows of no process. What they did not use of
//! the workload's CPU time stays as a rest, so that the parts add up to what the workload was billed.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::ledger::Account;
use crate::{
    identity::{Triplet, Workload},
    samples::{ZoneKind, lives::Lived, split::split},
    units::{Microjoules, Nanos},
};

/// How energy is shared out among the processes of a workload, in the word that outputs use.
pub const METHOD: &str = "cpu_time";

/// Energy by kind of zone, all sockets together.
pub type Energy = BTreeMap<ZoneKind, Microjoules>;

/// A part of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Whose.
    pub workload: Arc<Workload>,
    /// The process; `None`: what is not told apart, which is what processes used that nobody told of.
    pub lived: Option<Lived>,
    /// On-CPU time.
    pub cpu: Nanos,
    /// Its part of the workload's active energy; of no kind where the workload has no account.
    pub energy: Energy,
}

impl Part {
    /// Over all zones.
    pub fn total(&self) -> Microjoules {
        self.energy.values().copied().sum()
    }

    fn is_used(&self) -> bool {
        self.lived.is_some() || self.cpu.0 > 0 || self.total().0 > 0
    }
}

/// Shares each account's energy over its processes, by CPU time. Where their own clocks say more than the account, as they do
/// where that is counted in clock ticks, it is shared over what they say. The largest part is first.
pub fn by_process(accounts: &[&Account], processes: Vec<(Arc<Workload>, Lived)>) -> Vec<Part> {
    let mut of: BTreeMap<Triplet, Vec<Lived>> = BTreeMap::new();
    let mut workloads = BTreeMap::new();
    for (workload, lived) in processes {
        of.entry(workload.id.clone()).or_default().push(lived);
        workloads.entry(workload.id.clone()).or_insert(workload);
    }
    let mut parts = Vec::new();
    for account in accounts {
        share(account, of.remove(&account.workload.id).unwrap_or_default(), &mut parts);
    }
    for (id, workload) in workloads {
        let homeless = of.remove(&id).into_iter().flatten();
        parts.extend(homeless.map(|lived| part(&workload, lived)));
    }
    parts.retain(Part::is_used);
    parts.sort_by_key(|part| Reverse((part.total(), part.cpu)));
    parts
}

fn part(workload: &Arc<Workload>, lived: Lived) -> Part {
    Part { workload: Arc::clone(workload), lived: Some(lived), cpu: lived.seen.cpu, energy: Energy::new() }
}

fn share(account: &Account, processes: Vec<Lived>, into: &mut Vec<Part>) {
    let used = processes.iter().fold(0_u64, |sum, lived| sum.saturating_add(lived.seen.cpu.0));
    let rest = account.cpu.saturating_sub(Nanos(used));
    let mut parts: Vec<Part> = processes.into_iter().map(|lived| part(&account.workload, lived)).collect();
    parts.push(Part { workload: Arc::clone(&account.workload), lived: None, cpu: rest, energy: Energy::new() });
    let weights: Vec<u64> = parts.iter().map(|part| part.cpu.0).collect();
    for (zone, energy) in &account.energy {
        // Nobody ran: all of it is the rest's.
        let nobody_ran = || weights.iter().map(|_| 0).skip(1).chain([energy.0]).collect();
        let shares = split(energy.0, &weights).unwrap_or_else(nobody_ran);
        for (part, share) in parts.iter_mut().zip(shares) {
            part.energy.insert(*zone, Microjoules(share));
        }
    }
    into.append(&mut parts);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattrace_common::sched::WorkKey;

    use super::*;
    use crate::{
        identity::Kind,
        samples::lives::{ProcessId, Seen},
        units::Grams,
    };

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

    fn process(pid: u32, of: &str, cpu: u64) -> (Arc<Workload>, Lived) {
        let id = ProcessId { pid, start: Nanos(1) };
        let seen = Seen { id, comm: [b'x'; 16], cpu: Nanos(cpu), key: WorkKey::NOBODY };
        (workload(of), Lived { seen, end: None })
    }

    type Row<'a> = (&'a str, Option<u32>, u64, Vec<u64>);

    fn rows(parts: &[Part]) -> Vec<Row<'_>> {
        parts.iter().map(row).collect()
    }

    fn row(part: &Part) -> Row<'_> {
        let pid = part.lived.map(|lived| lived.seen.id.pid);
        (part.workload.name.as_str(), pid, part.cpu.0, part.energy.values().map(|energy| energy.0).collect())
    }

    #[test]
    fn energy_follows_cpu_time_and_the_rest_is_told() {
        let accounts = [account("a", 100, &[(ZoneKind::Package, 1_000), (ZoneKind::Dram, 10)]), account("b", 7, &[])];
        let parts =
            by_process(&accounts.each_ref(), vec![process(1, "a", 30), process(2, "a", 60), process(3, "c", 5)]);
        let expected = [
            ("a", Some(2), 60, vec![600, 6]),
            ("a", Some(1), 30, vec![300, 3]),
            ("a", None, 10, vec![100, 1]),
            ("b", None, 7, vec![]),
            ("c", Some(3), 5, vec![]),
        ];
        assert_eq!(rows(&parts), expected);
    }

    #[test]
    fn who_says_more_than_the_account_shares_all_of_it() {
        let accounts = [account("a", 10, &[(ZoneKind::Package, 90)])];
        let parts = by_process(&accounts.each_ref(), vec![process(1, "a", 20), process(2, "a", 10)]);
        assert_eq!(rows(&parts), [("a", Some(1), 20, vec![60]), ("a", Some(2), 10, vec![30])]);
    }

    #[test]
    fn energy_of_nobody_who_ran_is_the_rest() {
        let accounts = [account("a", 0, &[(ZoneKind::Package, 90)])];
        let parts = by_process(&accounts.each_ref(), vec![process(1, "a", 0), process(2, "a", 0)]);
        let expected = [("a", None, 0, vec![90]), ("a", Some(1), 0, vec![0]), ("a", Some(2), 0, vec![0])];
        assert_eq!(rows(&parts), expected);
        assert_eq!(by_process(&[&account("a", 0, &[(ZoneKind::Package, 0)])], Vec::new()), []);
    }

    proptest! {
        #[test]
        fn parts_and_rest_add_up(cpus in prop::collection::vec(0..1_u64 << 50, 0..40), cpu in 0..1_u64 << 56, energy: u64) {
            let accounts = [account("a", cpu, &[(ZoneKind::Package, energy)])];
            let processes = (1..).zip(&cpus).map(|(pid, cpu)| process(pid, "a", *cpu)).collect();
            let parts = by_process(&accounts.each_ref(), processes);
            let given: u128 = parts.iter().map(|part| u128::from(part.total().0)).sum();
            prop_assert_eq!(given, u128::from(energy));
            let used: u64 = cpus.iter().sum();
            let rest: u64 = parts.iter().filter(|part| part.lived.is_none()).map(|part| part.cpu.0).sum();
            prop_assert_eq!(rest, cpu.saturating_sub(used));
            prop_assert_eq!(parts.iter().filter(|part| part.lived.is_some()).count(), cpus.len());
        }
    }
}
