use std::fs;

use super::*;
use crate::{
    samples::{Place, Scope, ZoneKey, ZoneKind},
    units::Watts,
};

const EVENTS: [(&str, &str); 4] = [("pkg", "0x02"), ("ram", "0x03"), ("cores", "0x01"), ("psys", "0x05")];
const PMU: &str = "sys/bus/event_source/devices/power";

/// Two CPUs for each die of each socket, and a PMU that counts on `mask`.
fn machine(sockets: u32, dies: u32, mask: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    let cpus = sockets * dies * 2;
    write(root.path(), "sys/devices/system/cpu/possible", &format!("0-{}\n", cpus - 1));
    write(root.path(), "sys/devices/system/cpu/online", &format!("0-{}\n", cpus - 1));
    for cpu in 0..cpus {
        let topology = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        write(root.path(), &format!("{topology}/physical_package_id"), &format!("{}\n", cpu / (2 * dies)));
        write(root.path(), &format!("{topology}/die_id"), &format!("{}\n", cpu / 2 % dies));
    }
    write(root.path(), &format!("{PMU}/type"), "23\n");
    write(root.path(), &format!("{PMU}/cpumask"), mask);
    for (name, config) in EVENTS {
        let event = format!("{PMU}/events/energy-{name}");
        write(root.path(), &event, &format!("event={config}\n"));
        write(root.path(), &format!("{event}.unit"), "Joules\n");
        write(root.path(), &format!("{event}.scale"), "2.3283064365386962890625e-10\n");
    }
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, text).expect("a file");
}

fn describe(root: &tempfile::TempDir) -> Result<pmu::Pmu, PerfError> {
    pmu::describe(root.path(), &root.path().join(PMU))
}

fn ids(pmu: &pmu::Pmu) -> Vec<(&str, Option<&str>, u64)> {
    let id = |event: &pmu::Counted| event.config;
    pmu.events.iter().map(|event| (event.info.hw_id.as_str(), event.info.parent.as_deref(), id(event))).collect()
}

#[test]
fn every_package_has_its_zones_and_the_platform_is_one() {
    let pmu = describe(&machine(2, 1, "0,2\n")).expect("a PMU");
    assert_eq!(pmu.kind, 23);
    assert_eq!(pmu.leaders, Leaders::from([(Scope::Socket(0), 0), (Scope::Socket(1), 2)]));
    let expected = [
        ("energy-pkg:0", None, 2),
        ("energy-pkg:1", None, 2),
        ("energy-ram:0", Some("energy-pkg:0"), 3),
        ("energy-ram:1", Some("energy-pkg:1"), 3),
        ("energy-cores:0", Some("energy-pkg:0"), 1),
        ("energy-cores:1", Some("energy-pkg:1"), 1),
        ("energy-psys", None, 5),
    ];
    assert_eq!(ids(&pmu), expected);
    let platform = pmu.events.last().expect("a platform");
    assert_eq!(platform.info.key, ZoneKey { kind: ZoneKind::Platform, scope: Scope::Machine });
    assert_eq!((platform.leader, platform.info.max_power), (Scope::Socket(0), Watts(2_000.0)));
    assert!(pmu.skipped.is_empty());
}

#[test]
fn dies_that_count_for_themselves_are_zones_of_their_own() {
    let die = |socket, die| Scope::Die(Place { socket, die });
    let per_die = describe(&machine(2, 2, "0,2,4,6\n")).expect("a PMU");
    let scopes: Vec<Scope> = per_die.leaders.keys().copied().collect();
    assert_eq!(scopes, [die(0, 0), die(0, 1), die(1, 0), die(1, 1)]);
    assert_eq!(per_die.events[0].info.hw_id, "energy-pkg:0:0");
    let per_package = describe(&machine(2, 2, "0,4\n")).expect("a PMU");
    let scopes: Vec<Scope> = per_package.leaders.keys().copied().collect();
    assert_eq!(scopes, [Scope::Socket(0), Scope::Socket(1)]);
}

#[test]
fn an_event_that_is_not_understood_costs_no_other() {
    for (file, text, why) in [
        ("energy-ram", "event=2\n", "an event such as"),
        ("energy-ram.scale", "much\n", "a decimal number"),
        ("energy-ram.unit", "Watts\n", "unit is \"Watts\""),
    ] {
        let root = machine(1, 1, "0\n");
        write(root.path(), &format!("{PMU}/events/{file}"), text);
        let pmu = describe(&root).expect("a PMU");
        assert_eq!(pmu.events.len(), 3, "{file}");
        let skipped = pmu.skipped[0].to_string();
        assert!(skipped.starts_with("energy-ram: ") && skipped.contains(why), "{skipped}");
    }
    let root = machine(1, 1, "0\n");
    fs::remove_file(root.path().join(PMU).join("events/energy-ram")).expect("removed");
    let pmu = describe(&root).expect("a PMU");
    assert_eq!((pmu.events.len(), pmu.skipped.len()), (3, 0), "a counter that a CPU does not have is no fault");
}

#[test]
fn without_the_pmu_it_says_so() {
    let root = tempfile::tempdir().expect("a directory");
    let absent = describe(&root).expect_err("nothing is there");
    assert!(matches!(absent, PerfError::Absent { .. }) && absent.to_string().contains("modprobe"), "{absent}");
}

#[test]
fn a_package_without_cpus_has_no_leader() {
    let root = machine(2, 1, "0\n");
    write(root.path(), "sys/devices/system/cpu/online", "0-1\n");
    let leaders = pmu::leaders(root.path(), &root.path().join(PMU)).expect("leaders");
    assert_eq!(leaders, Leaders::from([(Scope::Socket(0), 0)]));
}

#[test]
fn errors_say_what_to_do_next() {
    let rows = [
        (Errno::NODEV, ZoneError::Gone),
        (Errno::NXIO, ZoneError::Gone),
        (Errno::ACCESS, ZoneError::Denied),
        (Errno::PERM, ZoneError::Denied),
        (Errno::INVAL, ZoneError::Retry),
        (Errno::NOENT, ZoneError::Retry),
    ];
    for (errno, expected) in rows {
        assert_eq!(zone_error(&errno.into()), expected, "{errno}");
    }
}
