//! More devices and more owners than there is room for: counted together, and healed when some are gone.

use wattrace::{probes::bpf::BlockMode, samples::DiskReading};
use wattrace_common::{
    block::Direction,
    limits::{BLOCK_DEVICES, BLOCK_ROWS},
    loss::Reason,
    owner::OwnerKey,
};

use super::{
    disk::{Disk, cgroup, owner, run_in},
    probe::{Probe, work},
};
use crate::support::{Cgroup, live};

const READ: usize = Direction::Read as usize;

/// Devices that are made.
fn devices() -> usize {
    if wattrace_tests::is_long() { 200 } else { BLOCK_DEVICES as usize + 6 }
}

#[test]
fn more_devices_than_rows_are_counted_together_until_some_are_gone() {
    live!();
    let disks: Option<Vec<Disk>> = (0..devices()).map(|_| Disk::new(65_536)).collect();
    let Some(disks) = disks else { return };
    let cgroup = cgroup();
    let mut probe = Probe::start(BlockMode::Total);
    let read = |disks: &[Disk]| {
        for disk in disks {
            let file = disk.path.display().to_string();
            assert!(run_in(&cgroup, env!("CARGO_BIN_EXE_burn"), &["now", "disk", &file, "read", "4096", "3"]));
        }
    };
    read(&disks);
    let reading = probe.read();
    let known = own(&reading, &disks);
    println!("{} devices, {} with rows, {} requests of the others", disks.len(), known.len(), others(&reading));
    assert!(known.len() < BLOCK_DEVICES as usize && known.iter().all(|reads| *reads == 3));
    // Other disks of this machine may have had one before.
    assert!(others(&reading) >= 3 * (disks.len() - known.len()) as u64);
    assert!(probe.lost(Reason::NoDevice) >= (disks.len() - known.len()) as u64);
    // Those that came last have none. Of the first, twenty go.
    let gone: Vec<_> = disks[..20].iter().map(|disk| disk.number).collect();
    assert_eq!(own(&probe.read_without(&gone), &disks).len(), known.len(), "their last requests may be on their way");
    assert_eq!(own(&probe.read_without(&gone), &disks).len(), known.len() - 20);
    let last = &disks[disks.len() - 6..];
    read(last);
    assert_eq!(own(&probe.read(), last), [3; 6]);
}

/// Reads of the disks that have rows.
fn own(reading: &DiskReading, disks: &[Disk]) -> Vec<u64> {
    let found = |disk: &Disk| reading.devices.iter().find(|device| device.device == Some(disk.number));
    disks.iter().filter_map(found).map(|device| device.durations[READ].counts.iter().sum()).collect()
}

fn others(reading: &DiskReading) -> u64 {
    let others = reading.devices.iter().find(|device| device.device.is_none());
    others.map_or(0, |device| device.durations.iter().flat_map(|durations| &durations.counts).sum())
}

#[test]
fn more_owners_than_rows_have_sums_until_some_are_gone() {
    live!();
    let Some(disk) = Disk::new(65_536) else { return };
    let parent = cgroup();
    if owner(&parent) == OwnerKey::V1 {
        println!("SKIPPED: block I/O is in a version 1 hierarchy here: `cargo xtask vm live block::`");
        return;
    }
    std::fs::write(parent.path.join("cgroup.subtree_control"), "+io").unwrap();
    let home = parent.below("home");
    let many: Vec<Cgroup> = (0..BLOCK_ROWS + 40).map(|number| parent.below(&number.to_string())).collect();
    let mut probe = Probe::start(BlockMode::Total);
    read_in_each(&disk, &home, &many);
    let reading = probe.read();
    let found: Vec<_> = many.iter().map(|cgroup| work(&reading, owner(cgroup))).collect();
    assert!(found.iter().all(|work| work.totals.operations[READ] == 1 && work.totals.bytes[READ] == 4096));
    let without = found.iter().filter(|work| work.durations.is_none()).count();
    println!("{without} of {} without histograms", many.len());
    assert!(without >= 42, "two rows are never given away");
    assert_eq!((probe.lost(Reason::NoHistograms), probe.lost(Reason::Full)), (without as u64, 0));
    assert_eq!(probe.release(|_| true), 0, "what they did was new at the last reading");
    probe.read();
    let dead = |id: u64| many[..100].iter().any(|cgroup| cgroup.id == id);
    assert_eq!(probe.release(dead), 100);
    let news: Vec<Cgroup> = (0..20).map(|number| parent.below(&format!("new-{number}"))).collect();
    read_in_each(&disk, &home, &news);
    let reading = probe.read();
    assert!(news.iter().all(|cgroup| work(&reading, owner(cgroup)).durations.is_some()));
    assert!(many[..100].iter().all(|cgroup| work(&reading, owner(cgroup)).totals.operations[READ] == 0));
    for cgroup in many.iter().chain(&news).chain([&home]) {
        cgroup.remove();
    }
}

/// One read each, by one process that moves.
fn read_in_each(disk: &Disk, home: &Cgroup, cgroups: &[Cgroup]) {
    let steps = cgroups.iter().flat_map(|cgroup| {
        ["join".to_owned(), cgroup.path.display().to_string(), "read".to_owned(), "4096".to_owned(), "1".to_owned()]
    });
    let steps: Vec<String> = steps.collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    disk.load(home, &steps);
}
