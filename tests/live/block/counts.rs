//! How many and how much, by direction, owner and device.

use std::fs;

use wattrace::{probes::bpf::BlockMode, samples::DiskTotals};
use wattrace_common::{
    block::{Direction, Failure, OTHER},
    loss::Reason,
    owner::OwnerKey,
};

use super::{
    disk::{Disk, Stats, cgroup, io_stat, owner, run_in},
    probe::{Probe, device, since, timed, work},
};
use crate::support::{Cgroup, live};

const READ: usize = Direction::Read as usize;
const WRITE: usize = Direction::Write as usize;
const FLUSH: usize = Direction::Flush as usize;
const DISCARD: usize = Direction::Discard as usize;

/// What a load of one disk did, by us and by the kernel. Others use other disks meanwhile: of those only devices tell.
struct Seen {
    /// Of the load's owner.
    work: DiskTotals,
    /// Requests of the disk that were timed.
    timed: [u64; 4],
    requeues: u64,
    stats: Stats,
}

fn see(mode: BlockMode, disk: &Disk, load: impl FnOnce(&Cgroup)) -> Seen {
    let cgroup = cgroup();
    let mut probe = Probe::start(mode);
    let (before, stats) = (probe.read(), disk.stats());
    load(&cgroup);
    let (stats, reading) = (disk.stats().since(stats), probe.read());
    let owner = owner(&cgroup);
    let [now, then] = [&reading, &before].map(|reading| device(reading, disk.number));
    let seen = Seen {
        work: since(&work(&reading, owner).totals, &work(&before, owner).totals),
        timed: timed(&now, &then),
        requeues: now.requeues - then.requeues,
        stats,
    };
    println!("{stats:?}\nowner {owner:?}: {:?}, timed {:?}", seen.work, seen.timed);
    assert_eq!(probe.lost(Reason::Full), 0);
    seen
}

#[test]
fn direct_reads_and_writes_are_those_of_diskstats() {
    live!();
    for mode in [BlockMode::Total, BlockMode::Device] {
        let Some(disk) = Disk::new(8 << 20) else { return };
        let seen = see(mode, &disk, |cgroup| disk.load(cgroup, &["write", "65536", "100", "read", "4096", "300"]));
        assert_eq!((seen.stats.reads, seen.stats.writes), (300, 100));
        assert_eq!(seen.timed, [300, 100, 0, 0], "{mode:?}");
        assert!(seen.work.operations[READ] >= 300 && seen.work.operations[WRITE] >= 100);
        assert_eq!(seen.work.unmeasured, [0; 5]);
    }
}

#[test]
fn two_cgroups_have_what_they_asked_for() {
    live!();
    let Some(disk) = Disk::new(8 << 20) else { return };
    let [one, other] = [cgroup(), cgroup()];
    if owner(&one) == OwnerKey::V1 {
        println!("SKIPPED: block I/O is in a version 1 hierarchy here: `cargo xtask vm live block::`");
        return;
    }
    let mut probe = Probe::start(BlockMode::Total);
    disk.load(&one, &["read", "8192", "70", "write", "4096", "30"]);
    disk.load(&other, &["dirty", "1048576", "sync"]);
    let reading = probe.read();
    for cgroup in [&one, &other] {
        let ours = work(&reading, owner(cgroup)).totals;
        println!("{ours:?}");
        for (name, at) in [("rbytes", READ), ("wbytes", WRITE)] {
            assert_eq!(Some(ours.bytes[at]), io_stat(cgroup, disk.number, name), "{name}");
        }
    }
    let ours = work(&reading, owner(&one)).totals;
    assert_eq!((ours.operations[READ], ours.operations[WRITE]), (70, 30));
    assert_eq!((io_stat(&one, disk.number, "rios"), io_stat(&one, disk.number, "wios")), (Some(70), Some(30)));
}

/// What is written back in one piece was merged from many. Of its flush the kernel counts a write without bytes, too, which is
/// none.
#[test]
fn merged_writes_count_once_and_a_flush_apart() {
    live!();
    let Some(disk) = Disk::new(8 << 20) else { return };
    let seen = see(BlockMode::Total, &disk, |cgroup| disk.load(cgroup, &["dirty", "1048576", "sync"]));
    assert!(seen.stats.merges > 0);
    assert_eq!((seen.stats.written_bytes, seen.stats.flushes), (1 << 20, 1));
    assert_eq!(seen.timed[WRITE], seen.stats.writes - seen.stats.flushes);
    assert_eq!(seen.timed[FLUSH], 0, "a flush has no duration");
    assert!(seen.work.bytes[WRITE] >= 1 << 20);
}

#[test]
fn a_flush_is_nobodys_and_has_no_bytes() {
    live!();
    let Some(disk) = Disk::new(8 << 20) else { return };
    let cgroup = cgroup();
    let mut probe = Probe::start(BlockMode::Total);
    let (before, stats) = (work(&probe.read(), OwnerKey::NOBODY).totals, disk.stats());
    disk.load(&cgroup, &["dirty", "4096", "sync", "dirty", "4096", "sync", "dirty", "4096", "sync"]);
    let (stats, now) = (disk.stats().since(stats), work(&probe.read(), OwnerKey::NOBODY).totals);
    let ours = since(&now, &before);
    println!("{stats:?} {ours:?}");
    assert_eq!(stats.flushes, 3);
    assert!(ours.operations[FLUSH] >= 3);
    assert_eq!((ours.bytes[FLUSH], ours.unmeasured[FLUSH]), (0, 0));
}

#[test]
fn room_that_is_given_back_is_a_discard_and_zeroes_are_written() {
    live!();
    let Some(disk) = Disk::new(8 << 20) else { return };
    let path = disk.path.display().to_string();
    let mut ran = true;
    let seen = see(BlockMode::Device, &disk, |cgroup| {
        ran = run_in(cgroup, "blkdiscard", &["--offset", "65536", "--length", "131072", &path])
            && run_in(cgroup, "blkdiscard", &["--zeroout", "--offset", "0", "--length", "65536", &path]);
    });
    if !ran {
        return println!("SKIPPED: blkdiscard does not run here");
    }
    assert_eq!((seen.stats.discards, seen.stats.discarded_bytes), (1, 131_072));
    assert_eq!(seen.timed[DISCARD], 1);
    assert!(seen.work.operations[DISCARD] >= 1 && seen.work.bytes[DISCARD] >= 131_072);
    // Where it cannot write zeroes by itself it says so, and they are written.
    assert!(seen.stats.written_bytes >= 65_536 && seen.work.bytes[WRITE] >= seen.stats.written_bytes);
    assert_eq!(seen.timed[WRITE], seen.stats.writes - seen.stats.flushes);
    assert_eq!(seen.work.operations[OTHER], 0);
}

/// The kernel does not account for the device, and its stamp says nothing; that of its driver is ours.
#[test]
fn without_accounting_requests_count_and_their_time_is_not_known() {
    live!();
    for mode in [BlockMode::Total, BlockMode::Device] {
        let Some(disk) = Disk::new(8 << 20) else { return };
        disk.set("iostats", "0");
        let seen = see(mode, &disk, |cgroup| disk.load(cgroup, &["read", "4096", "200"]));
        disk.set("iostats", "1");
        assert_eq!(seen.stats, Stats::default());
        let [known, unknown] = if mode == BlockMode::Total { [0, 200] } else { [200, 0] };
        assert_eq!((seen.timed[READ], seen.work.unmeasured[READ]), (known, unknown));
        assert!(seen.work.operations[READ] >= 200 && seen.work.bytes[READ] >= 200 * 4096);
    }
}

/// The blocks end in the middle of what is read: a part comes, the rest is asked for again, and there is none.
#[test]
fn a_request_in_parts_counts_once_with_its_bytes_and_its_failure() {
    live!();
    let Some(disk) = Disk::below(&std::env::temp_dir(), 1 << 20) else { return };
    let file = disk.path.display().to_string();
    let mut is_read = true;
    let seen = see(BlockMode::Total, &disk, |cgroup| {
        let blocks = fs::OpenOptions::new().write(true).open(&disk.file).unwrap();
        blocks.set_len(32_768).unwrap();
        is_read = run_in(cgroup, env!("CARGO_BIN_EXE_burn"), &["now", "disk", &file, "read", "65536", "1"]);
    });
    assert!(!is_read, "half of it is not there");
    println!("{} requeues", seen.requeues);
    assert_eq!((seen.stats.reads, seen.stats.read_bytes), (1, 65_536));
    assert_eq!((seen.timed[READ], seen.requeues), (1, 1));
    assert!(seen.work.bytes[READ] >= 65_536 && seen.work.errors[Failure::Io as usize] >= 1);
}

/// The file system that the blocks are in is full.
#[test]
fn no_room_is_told_apart_from_other_failures() {
    live!();
    let Some(disk) = Disk::full() else { return };
    let file = disk.path.display().to_string();
    let mut is_written = true;
    let seen = see(BlockMode::Total, &disk, |cgroup| {
        is_written = run_in(cgroup, env!("CARGO_BIN_EXE_burn"), &["now", "disk", &file, "write", "4096", "1024"]);
    });
    assert!(!is_written);
    let errors = seen.work.errors;
    println!("{errors:?}");
    assert_eq!(errors[Failure::NoSpace as usize] + errors[Failure::Io as usize], 1);
}

/// Also where there is no disk.
#[test]
fn the_programs_are_accepted_and_name_nobody_who_did_nothing() {
    live!();
    let cgroup = cgroup();
    for mode in [BlockMode::Total, BlockMode::Device] {
        let mut probe = Probe::start(mode);
        let reading = probe.read();
        println!("{:?}", probe.interrupted());
        assert_eq!(probe.interrupted().len(), if mode == BlockMode::Device { 3 } else { 2 });
        assert!(reading.work.iter().all(|work| work.owner != OwnerKey::cgroup(cgroup.id)));
    }
}
