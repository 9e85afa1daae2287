//! How many and how much, by direction and by device.

use wattrace::probes::bpf::BlockMode;
use wattrace_common::block::Direction;

use super::{
    disk::Disk,
    probe::{Probe, counts, device},
};
use crate::support::{Cgroup, live};

#[test]
fn direct_reads_and_writes_are_those_of_diskstats() {
    live!();
    let Some(disk) = Disk::new(8 << 20) else { return };
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(BlockMode::Total);
    let (before, stats) = (device(&probe.read(), disk.number), disk.stats());
    disk.load(&cgroup, &["write", "65536", "100", "read", "4096", "300"]);
    let stats = disk.stats().since(stats);
    let reading = probe.read();
    let ours = device(&reading, disk.number);
    println!("{stats:?} {:?}", reading.work);
    assert_eq!((stats.reads, stats.writes), (300, 100));
    assert_eq!(counts(&ours)[Direction::Read as usize] - counts(&before)[Direction::Read as usize], 300);
    assert_eq!(counts(&ours)[Direction::Write as usize] - counts(&before)[Direction::Write as usize], 100);
}
