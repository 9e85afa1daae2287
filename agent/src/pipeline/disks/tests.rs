//! Whose block I/O is, as far as owners and files tell; devices get their names.

use std::fs;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::samples::{DiskDeviceReading, DiskReading, DiskWorkReading};

const ROOT: u64 = 1;

fn reads(owner: OwnerKey, count: u64) -> DiskWorkReading {
    let mut reading = DiskWorkReading { owner, ..DiskWorkReading::default() };
    reading.totals.operations[0] = count;
    reading
}

fn disks() -> Disks {
    Disks { root_cgroup: ROOT, ..Disks::default() }
}

/// A sample of these.
fn sample(
    disks: &mut Disks,
    work: Vec<DiskWorkReading>,
    devices: Vec<DiskDeviceReading>,
    root: &Path,
) -> (DiskSample, MachineDisks) {
    for disk in [DiskReading::default(), DiskReading { work, devices }] {
        disks.observe(&Reading { disk: Some(disk), ..Reading::default() });
    }
    disks.close(root)
}

#[test]
fn who_cannot_be_named_is_nobody_and_it_is_said_why() {
    let mut disks = disks();
    let nowhere = tempfile::tempdir().unwrap();
    let work = [OwnerKey::cgroup(7), OwnerKey::cgroup(ROOT), OwnerKey::V1, OwnerKey::NOBODY];
    let work = work.into_iter().zip(1..).map(|(owner, count)| reads(owner, count)).collect();
    let (sample, machine) = sample(&mut disks, work, Vec::new(), nowhere.path());
    let told: Vec<_> = disks.nobodys(&sample).iter().map(|(of, done)| (of.name(), done.totals.requests())).collect();
    assert_eq!(told, [("root", 2), ("v1", 3), ("none", 4)]);
    assert_eq!(machine, MachineDisks { work: Some(BTreeMap::new()), loads: BTreeMap::new() });
    assert_eq!(disks.close(nowhere.path()).0, DiskSample::default());
}

#[test]
fn a_cgroup_that_is_gone_stood_for_whom_it_last_did() {
    let (folder, nowhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("cgroup.stat", "nr_descendants 1\nnr_dying_descendants 0\n");
    write("cgroup.subtree_control", "cpu\n");
    let directory = || Some(folder.path().to_owned());
    let mut disks = disks();
    assert_eq!(disks.ownership(7, directory()), Ownership::Ancestor);
    assert_eq!(disks.ownership(8, None), Ownership::Unknown, "its path is not known");
    disks.close(nowhere.path());
    fs::remove_file(folder.path().join("cgroup.stat")).unwrap();
    assert_eq!(disks.ownership(7, directory()), Ownership::Ancestor);
    disks.close(nowhere.path());
    write("cgroup.stat", "nr_descendants 1\n");
    write("cgroup.subtree_control", "cpu io\n");
    assert_eq!(disks.ownership(7, directory()), Ownership::Cgroup);
    disks.close(nowhere.path());
    disks.close(nowhere.path());
    fs::remove_file(folder.path().join("cgroup.stat")).unwrap();
    assert_eq!(disks.ownership(7, directory()), Ownership::Unknown, "nothing is kept of who did nothing");
}

#[test]
fn only_so_many_cgroups_are_looked_at() {
    let mut disks = disks();
    for id in 10..10 + MOST_GROUPS as u64 {
        disks.ownership(id, None);
    }
    disks.asked.insert(10, Some(GroupFacts { has_children: false, enables_io: false }));
    assert_eq!(disks.ownership(9, None), Ownership::Unknown);
    assert_eq!((disks.ownership(10, None), disks.asked.len()), (Ownership::Cgroup, MOST_GROUPS));
}

#[test]
fn devices_have_the_names_that_they_had() {
    let root = tempfile::tempdir().unwrap();
    let sda = root.path().join("sys/block/sda");
    fs::create_dir_all(&sda).unwrap();
    fs::write(sda.join("dev"), "8:0\n").unwrap();
    let mut disks = disks();
    disks.close(root.path());
    let device = |number: Option<(u32, u32)>, requeues| DiskDeviceReading {
        device: number.map(|(major, minor)| DeviceNumber { major, minor }),
        requeues,
        ..DiskDeviceReading::default()
    };
    // Gone before the interval's end.
    fs::remove_dir_all(&sda).unwrap();
    let devices = vec![device(Some((8, 0)), 1), device(Some((8, 16)), 2), device(None, 3)];
    let (_, machine) = sample(&mut disks, Vec::new(), devices, root.path());
    let told: Vec<_> = machine.work.unwrap().into_iter().map(|(name, done)| (name, done.requeues)).collect();
    assert_eq!(told, [("8:16".to_owned(), 2), ("other".to_owned(), 3), ("sda".to_owned(), 1)]);
}

#[test]
fn it_is_said_where_nobody_can_be_named() {
    let mount = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(mount.path().join(name), text).unwrap();
    let told = || shortcoming(Ok(mount.path())).unwrap_or_default();
    write("cgroup.controllers", "cpu memory\n");
    assert!(told().contains("has no io controller"), "{}", told());
    write("cgroup.controllers", "cpu io memory\n");
    write("cgroup.stat", "nr_descendants 3\n");
    write("cgroup.subtree_control", "cpu memory\n");
    assert!(told().contains("`unattributed`") && told().ends_with("/cgroup.subtree_control"), "{}", told());
    write("cgroup.subtree_control", "cpu io\n");
    assert_eq!(told(), "");
    assert_eq!(shortcoming(Err("no mount")), Some("whose block I/O is cannot be told: no mount".to_owned()));
}

proptest! {
    #[test]
    fn workloads_and_nobody_have_all_there_is(counts in vec((0_u64..6, 0_u64..1_000), 0..20)) {
        let mut disks = disks();
        let owner = |kind| match kind {
            0 => OwnerKey::NOBODY,
            1 => OwnerKey::V1,
            other => OwnerKey::cgroup(other - 1),
        };
        let mut rows: BTreeMap<OwnerKey, u64> = BTreeMap::new();
        for (kind, count) in counts {
            *rows.entry(owner(kind)).or_default() += count;
        }
        let all: u64 = rows.values().sum();
        let work = rows.into_iter().map(|(owner, count)| reads(owner, count)).collect();
        let nowhere = tempfile::tempdir().unwrap();
        let (sample, _) = sample(&mut disks, work, Vec::new(), nowhere.path());
        let nobody: u64 = disks.nobodys(&sample).values().map(|done| done.totals.requests()).sum();
        let named = sample.work.iter().filter(|(owner, _)| disks.named(**owner).is_ok());
        prop_assert_eq!(nobody + named.map(|(_, done)| done.totals.requests()).sum::<u64>(), all);
    }
}
