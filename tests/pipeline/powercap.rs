//! Powercap discovery and reading on the trees of typical machines.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

use rustix::thread::{CapabilitySet, CapabilitySets};
use wattrace::{
    probes::powercap::{PowercapError, SkipReason, discover},
    samples::{EnergySource, Instant, Place, Scope, ZoneError, ZoneInfo},
    units::Microjoules,
};
use wattrace_tests::powercap_tree::{LAYOUTS, Layout, Row, build, cpuinfo, rows};

fn at() -> Instant {
    Instant::default()
}

/// What the fixture's row says the zone must look like.
fn check(zone: &ZoneInfo, row: &Row, all: &[Row], context: &str) {
    assert_eq!(zone.range, Microjoules(row.range), "{context}");
    assert_eq!(zone.key.kind.is_attributed(), row.attributed, "{context}");
    let parent_name = row.parent.split(' ').next().unwrap_or_default();
    let parent = all.iter().find(|other| other.name == parent_name && other.path != row.path);
    assert_eq!(zone.parent, parent.map(|parent| parent.path.clone()), "{context}");
    let kind = row.name.split('-').next().unwrap_or_default();
    assert_eq!(zone.key.kind.name(), if kind == "psys" { "platform" } else { kind }, "{context}");
    let scope = match row.package() {
        Some((socket, None)) => Scope::Socket(socket),
        Some((socket, Some(die))) => Scope::Die(Place { socket, die }),
        None => Scope::Machine,
    };
    assert_eq!(zone.key.scope, scope, "{context}");
    let limit = row.max_power.max(row.power_limit).unwrap_or(0) as f64 / 1e6;
    assert!((zone.max_power.0 - f64::max(1_000.0, 2.0 * limit)).abs() < 1e-9, "{context}");
    let unit = if row.range > 200_000_000_000 { 62 } else { 16 };
    assert_eq!(zone.unit, Microjoules(unit), "{context}");
}

#[test]
fn every_machine_in_every_layout() {
    let shapes: BTreeSet<_> = rows().expect("the fixture").into_iter().map(|row| row.shape).collect();
    assert_eq!(shapes.len(), 8, "a machine was added or lost: {shapes:?}");
    for (shape, layout) in shapes.iter().flat_map(|shape| LAYOUTS.map(|layout| (shape, layout))) {
        let root = tempfile::tempdir().expect("a directory");
        let all = build(root.path(), shape, layout).expect("a tree");
        let (kept, duplicates): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|row| !row.is_duplicate());
        let mut powercap = discover(root.path()).unwrap_or_else(|error| panic!("{shape} {layout:?}: {error}"));
        let ids: Vec<_> = powercap.zones().iter().map(|zone| zone.hw_id.as_str()).collect();
        assert_eq!(ids, kept.iter().map(|row| row.path.as_str()).collect::<Vec<_>>(), "{shape} {layout:?}");
        for (zone, row) in powercap.zones().iter().zip(&kept) {
            // "contains" is the other way round: no parent.
            let row = Row { parent: row.parent.replace("contains package-0", ""), ..row.clone() };
            check(zone, &row, &all, &format!("{shape} {layout:?} {}", row.path));
        }
        let skipped: Vec<_> = powercap.skipped().iter().map(|zone| zone.hw_id.as_str()).collect();
        assert_eq!(skipped, duplicates.iter().map(|row| row.path.as_str()).collect::<Vec<_>>(), "{shape} {layout:?}");
        assert!(powercap.skipped().iter().all(|zone| matches!(zone.reason, SkipReason::Duplicate(_))));
        let expected = if shape == "kvm-vrapl" { EnergySource::Vrapl } else { EnergySource::RaplPowercap };
        assert_eq!(powercap.source(), expected, "{shape}");
        let readings = powercap.read(at, &|_| true);
        assert_eq!(readings.len(), kept.len());
        assert!(readings.iter().all(|reading| reading.counter == Ok(Microjoules(1_000))), "{shape} {layout:?}");
    }
}

fn xeon() -> anyhow::Result<tempfile::TempDir> {
    let root = tempfile::tempdir()?;
    build(root.path(), "xeon-1s", Layout::Linked)?;
    Ok(root)
}

fn counter(root: &Path, zone: &str) -> std::path::PathBuf {
    root.join("sys/class/powercap").join(zone).join("energy_uj")
}

#[test]
fn a_masked_tree_says_what_to_do() {
    let root = tempfile::tempdir().expect("a directory");
    let absent = discover(root.path()).expect_err("nothing is there");
    assert!(matches!(absent, PowercapError::Absent { .. }), "{absent}");
    build(root.path(), "masked", Layout::Linked).expect("a tree");
    let empty = discover(root.path()).expect_err("an empty directory");
    assert!(matches!(empty, PowercapError::Masked { .. }), "{empty}");
    assert!(
        empty.to_string().contains("container runtimes mask it") && empty.to_string().contains("host's root"),
        "{empty}"
    );
    let root = xeon().expect("a tree");
    let devices = root.path().join("sys/devices/virtual/powercap");
    fs::remove_dir_all(&devices).expect("removed");
    fs::create_dir(&devices).expect("an empty mount");
    let dangling = discover(root.path()).expect_err("links into an empty directory");
    assert!(matches!(dangling, PowercapError::Masked { .. }), "{dangling}");
}

#[test]
fn one_broken_zone_costs_no_other_and_may_return() {
    let root = xeon().expect("a tree");
    let package = counter(root.path(), "intel-rapl:0");
    fs::remove_file(&package).expect("removed");
    let mut powercap = discover(root.path()).expect("the other zone");
    let counters = |powercap: &mut wattrace::probes::powercap::Powercap| {
        powercap.read(at, &|_| true).into_iter().map(|reading| reading.counter).collect::<Vec<_>>()
    };
    assert_eq!(counters(&mut powercap), [Err(ZoneError::Gone), Ok(Microjoules(1_000))]);
    fs::write(&package, "18446744073709551615\n").expect("written");
    assert_eq!(counters(&mut powercap), [Ok(Microjoules(u64::MAX)), Ok(Microjoules(1_000))]);
    fs::write(&package, "\n").expect("written");
    fs::write(counter(root.path(), "intel-rapl:0:0"), "1001\n").expect("written");
    assert_eq!(counters(&mut powercap), [Err(ZoneError::Retry), Ok(Microjoules(1_001))]);
}

#[test]
fn a_zone_that_returns_under_another_number_is_not_taken_for_the_one_that_had_it() {
    let root = tempfile::tempdir().expect("a directory");
    build(root.path(), "xeon-8s", Layout::Flat).expect("a tree");
    let class = root.path().join("sys/class/powercap");
    for socket in 0..2 {
        fs::remove_file(counter(root.path(), &format!("intel-rapl:{socket}"))).expect("removed");
    }
    let mut powercap = discover(root.path()).expect("the other zones");
    // package-1 is the first to return, and takes the lowest number.
    fs::remove_dir_all(class.join("intel-rapl:0")).expect("removed");
    fs::rename(class.join("intel-rapl:1"), class.join("intel-rapl:0")).expect("renamed");
    fs::write(counter(root.path(), "intel-rapl:0"), "77\n").expect("written");
    let counters: Vec<_> = powercap.read(at, &|_| true).into_iter().take(3).map(|reading| reading.counter).collect();
    assert_eq!(counters, [Err(ZoneError::Gone), Ok(Microjoules(77)), Ok(Microjoules(1_000))]);
}

#[test]
fn an_undescribed_zone_is_named() {
    let root = xeon().expect("a tree");
    fs::remove_file(root.path().join("sys/class/powercap/intel-rapl:0:0/max_energy_range_uj")).expect("removed");
    let powercap = discover(root.path()).expect("the package");
    assert_eq!(powercap.zones().len(), 1);
    assert!(powercap.skipped()[0].to_string().starts_with("intel-rapl:0:0: cannot read"), "{:?}", powercap.skipped());
    fs::write(root.path().join("sys/class/powercap/intel-rapl:0/name"), "gpu\n").expect("written");
    let unusable = discover(root.path()).expect_err("no zone is left").to_string();
    assert!(unusable.contains("no zone named \"gpu\" is known"), "{unusable}");
}

#[test]
fn an_emulated_counter_is_never_called_measured() {
    let root = xeon().expect("a tree");
    cpuinfo(root.path(), true).expect("written");
    assert_eq!(discover(root.path()).expect("zones").source().quality(), "modelled");
    fs::remove_file(root.path().join("proc/cpuinfo")).expect("removed");
    let unknown = discover(root.path()).expect_err("nobody can tell");
    assert!(matches!(unknown, PowercapError::Cpuinfo(_)), "{unknown}");
}

/// Takes from this thread the rights by which root reads everything.
fn drop_rights() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets)
}

#[test]
fn a_missing_right_is_named() {
    let root = xeon().expect("a tree");
    for zone in ["intel-rapl:0", "intel-rapl:0:0"] {
        fs::set_permissions(counter(root.path(), zone), fs::Permissions::from_mode(0o000)).expect("permissions");
    }
    let path = root.path().to_owned();
    let denied = std::thread::spawn(move || {
        drop_rights().expect("rights can always be given up");
        discover(&path).expect_err("no counter can be opened").to_string()
    });
    let denied = denied.join().expect("the thread ends");
    assert!(denied.contains("CAP_DAC_READ_SEARCH") && denied.contains("energy_uj"), "{denied}");
}

#[test]
fn a_counter_opened_with_rights_is_read_without_them() {
    let root = xeon().expect("a tree");
    fs::set_permissions(counter(root.path(), "intel-rapl:0"), fs::Permissions::from_mode(0o400)).expect("permissions");
    let mut powercap = discover(root.path()).expect("zones");
    fs::set_permissions(counter(root.path(), "intel-rapl:0"), fs::Permissions::from_mode(0o000)).expect("permissions");
    let reader = std::thread::spawn(move || {
        drop_rights().expect("rights can always be given up");
        powercap.read(at, &|_| true)
    });
    let readings = reader.join().expect("the thread ends");
    assert!(readings.iter().all(|reading| reading.counter == Ok(Microjoules(1_000))), "{readings:?}");
}
