//! Any accounts, whether they can come about or not: what is written must come back.

use super::*;

pub(super) fn whole() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(0), Just(u64::MAX), Just((1 << 53) + 1)]
}

pub(super) fn account() -> impl Strategy<Value = Account> {
    let kinds =
        vec![Kind::K8sContainer, Kind::K8sPod, Kind::SystemdUnit, Kind::Process, Kind::Unattributed, Kind::Other];
    let text = || prop_oneof![any::<String>(), "[a-z]{1,20}"];
    let workload =
        (text(), text(), text(), prop::sample::select(kinds)).prop_map(|(namespace, name, instance, kind)| {
            Arc::new(Workload { name: name.clone(), id: Triplet { namespace, name, instance }, kind })
        });
    let cgroup = prop::option::of((whole(), text()).prop_map(|(id, path)| Cgroup { id, path }));
    let by_kind =
        || prop::collection::btree_map(zone_key().prop_map(|key| key.kind), whole().prop_map(Microjoules), 0..4);
    let grams = prop::num::f64::POSITIVE | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let all = (
        workload,
        cgroup,
        whole(),
        by_kind(),
        grams,
        by_kind(),
        prop::option::of(threads::any_use()),
        disk::any(),
        counted::any(),
    );
    all.prop_map(|(workload, cgroup, cpu, energy, grams, idle, threads, disk, (tcp, processes))| Account {
        workload,
        cgroup,
        cpu: Nanos(cpu),
        shared: Nanos(cpu / 2),
        energy,
        operational: Grams(grams.abs()),
        idle,
        threads: threads.map(Box::new),
        disk,
        tcp: tcp.map(Box::new),
        processes: processes.map(Box::new),
    })
}

fn zone_key() -> impl Strategy<Value = ZoneKey> {
    use ZoneKind::{Core, Dram, Package, Platform, Server, Uncore};
    let kind = prop::sample::select(vec![Package, Dram, Server, Platform, Core, Uncore]);
    let die = |(socket, die)| Scope::Die(Place { socket, die });
    let scope =
        prop_oneof![Just(Scope::Machine), any::<u32>().prop_map(Scope::Socket), any::<(u32, u32)>().prop_map(die)];
    (kind, scope).prop_map(|(kind, scope)| ZoneKey { kind, scope })
}

pub(super) fn zone_account() -> impl Strategy<Value = ZoneAccount> {
    let reasons = UnknownReason::ALL.to_vec();
    let unknown = prop::collection::btree_map(prop::sample::select(reasons), whole().prop_map(Nanos), 0..4);
    let account = |(key, measured, idle, idle_handed_out, residual, covered, unknown)| ZoneAccount {
        key,
        measured: Microjoules(measured),
        idle: Microjoules(idle),
        idle_handed_out: Microjoules(idle_handed_out),
        residual: Microjoules(residual),
        covered: Nanos(covered),
        unknown,
    };
    (zone_key(), whole(), whole(), whole(), whole(), whole(), unknown).prop_map(account)
}
