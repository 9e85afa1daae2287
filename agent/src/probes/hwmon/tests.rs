use super::*;
use crate::samples::{Scope, ZoneKey, ZoneKind};

fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        write(root.path(), path, text);
    }
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join("sys/class/hwmon").join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, text).expect("a file");
}

fn at(seconds: u64) -> Instant {
    Instant { monotonic: Nanos::from_secs(seconds), boottime: Nanos::from_secs(seconds), wall: Nanos(0) }
}

fn keys(hwmon: &Hwmon) -> Vec<(ZoneKind, Scope)> {
    hwmon.zones().iter().map(|zone| (zone.key.kind, zone.key.scope)).collect()
}

const EPYC: [(&str, &str); 9] = [
    ("hwmon0/name", "nvme\n"),
    ("hwmon0/energy1_input", "1\n"),
    ("hwmon10/name", "amd_energy\n"),
    ("hwmon10/energy1_label", "Ecore000\n"),
    ("hwmon10/energy1_input", "7\n"),
    ("hwmon10/energy2_label", "Esocket0\n"),
    ("hwmon10/energy2_input", "1000\n"),
    ("hwmon10/energy3_label", "Esocket1\n"),
    ("hwmon10/energy3_input", "2000\n"),
];

const GRACE: [(&str, &str); 6] = [
    ("hwmon1/name", "power_meter\n"),
    ("hwmon1/power1_oem_info", "Grace Power Socket 0\n"),
    ("hwmon1/power1_average", "50000000\n"),
    ("hwmon2/name", "power_meter\n"),
    ("hwmon2/power1_oem_info", "CPU Power Socket 0\n"),
    ("hwmon2/power1_average", "30000000\n"),
];

#[test]
fn sockets_are_packages_and_cores_and_disks_are_not() {
    let root = machine(&EPYC);
    let mut hwmon = discover(root.path()).expect("sensors");
    assert_eq!(keys(&hwmon), [(ZoneKind::Package, Scope::Socket(0)), (ZoneKind::Package, Scope::Socket(1))]);
    assert_eq!(hwmon.zones()[1].hw_id, "hwmon10/energy3");
    let counters = |hwmon: &mut Hwmon, second| {
        hwmon.read(|| at(second), &|_| true).into_iter().map(|zone| zone.counter).collect::<Vec<_>>()
    };
    assert_eq!(counters(&mut hwmon, 0), [Ok(Microjoules(1_000)), Ok(Microjoules(2_000))]);
    write(root.path(), "hwmon10/energy2_input", "nothing\n");
    fs::remove_file(root.path().join("sys/class/hwmon/hwmon10/energy3_input")).expect("removed");
    assert_eq!(counters(&mut hwmon, 1), [Err(ZoneError::Retry), Err(ZoneError::Gone)]);
    write(root.path(), "hwmon10/energy2_input", "1500\n");
    assert_eq!(counters(&mut hwmon, 2), [Ok(Microjoules(1_500)), Err(ZoneError::Gone)]);
    assert_eq!(hwmon.read(|| at(3), &|_| false), [], "counters can wait");
}

#[test]
fn powers_are_added_up_over_the_time_between_readings() {
    let root = machine(&GRACE);
    let mut hwmon = discover(root.path()).expect("sensors");
    assert_eq!(keys(&hwmon), [(ZoneKind::Package, Scope::Socket(0)), (ZoneKind::Core, Scope::Socket(0))]);
    let mut package = |second| hwmon.read(|| at(second), &|_| false).remove(0).counter;
    assert_eq!(package(0), Ok(Microjoules(0)));
    assert_eq!(package(2), Ok(Microjoules(100_000_000)));
    write(root.path(), "hwmon1/power1_average", "10000000\n");
    assert_eq!(package(3), Ok(Microjoules(110_000_000)));
    write(root.path(), "hwmon1/power1_average", "\n");
    assert_eq!(package(4), Err(ZoneError::Retry));
    write(root.path(), "hwmon1/power1_average", "10000000\n");
    assert_eq!(package(60), Err(ZoneError::Restarted), "nobody knows what was drawn meanwhile");
    assert_eq!(package(61), Ok(Microjoules(120_000_000)));
}

#[test]
fn a_meter_of_the_whole_machine_is_not_added_to_its_packages() {
    let whole = [("hwmon3/name", "power_meter\n"), ("hwmon3/power1_average", "200000000\n")];
    let alone = discover(machine(&whole).path()).expect("a sensor");
    assert_eq!(keys(&alone), [(ZoneKind::Server, Scope::Machine)]);
    let beside = discover(machine(&[&whole[..], &EPYC].concat()).path()).expect("sensors");
    let platform = ZoneKey { kind: ZoneKind::Platform, scope: Scope::Machine };
    assert_eq!(beside.zones().iter().filter(|zone| zone.key == platform).count(), 1);
    assert!(beside.zones().iter().all(|zone| zone.key.kind != ZoneKind::Server));
}

#[test]
fn sensors_of_something_else_are_no_meter() {
    let empty = tempfile::tempdir().expect("a directory");
    assert!(matches!(discover(empty.path()), Err(HwmonError::NoSensor { .. })));
    let unknown = [
        ("hwmon0/name", "amdgpu\n"),
        ("hwmon0/power1_average", "9000000\n"),
        ("hwmon1/name", "power_meter\n"),
        ("hwmon1/power1_oem_info", "Rack 7\n"),
        ("hwmon1/power1_average", "9000000\n"),
        ("hwmon2/name", "amd_energy\n"),
        ("hwmon2/energyx_input", "1\n"),
    ];
    assert!(matches!(discover(machine(&unknown).path()), Err(HwmonError::NoSensor { .. })));
    // Parts of a package alone cannot be shared out.
    assert!(matches!(discover(machine(&GRACE[3..]).path()), Err(HwmonError::NoSensor { .. })));
}
