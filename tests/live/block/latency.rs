//! How long requests take, against the kernel's own sums and `biolatency`.

use std::{fs, os::unix::fs::MetadataExt};

use wattrace::{probes::bpf::BlockMode, samples::DiskDeviceReading};
use wattrace_common::block::{DEVICE_SCALE, Direction};

use super::{
    disk::{Disk, cgroup},
    probe::{Probe, device, seconds, timed},
};
use crate::{
    support::{Load, live},
    threads::{
        bcc::{Tool, rows},
        disk::{RATE, Throttle, whole_disk},
    },
};

const READS: u64 = 60;
const BYTES: u64 = 65_536;

/// The loop's blocks are on a disk that is held back: each of its requests takes as long as that of the disk below, and both
/// count.
#[test]
fn slow_requests_take_as_long_as_the_kernel_says() {
    live!();
    let folder = std::env::temp_dir();
    let below = fs::metadata(&folder).unwrap().dev();
    let below = whole_disk(&format!("{}:{}", rustix::fs::major(below), rustix::fs::minor(below)));
    let Some(below) = below else { return println!("SKIPPED: no disk is below {}", folder.display()) };
    let Some(disk) = Disk::below(&folder, READS * BYTES) else { return };
    let cgroup = cgroup();
    let Some(throttle) = Throttle::on(&cgroup, &below) else {
        return println!("SKIPPED: a disk cannot be held back here");
    };
    let mut probe = Probe::start(BlockMode::Total);
    let file = disk.path.display().to_string();
    let words = ["disk", &file, "read", &BYTES.to_string(), &READS.to_string()];
    let mut load = Load::born_in(&cgroup, &words, &[]);
    throttle.add(load.child.id());
    let (before, stats) = (probe.read(), disk.stats());
    load.go();
    load.wait();
    let (after, stats) = (probe.read(), disk.stats().since(stats));
    let [now, then] = [&after, &before].map(|reading| device(reading, disk.number));
    let ours = seconds(&now, &then, Direction::Read);
    println!("{ours} s of {} reads, {} ms by the kernel", stats.reads, stats.read_millis);
    assert_eq!(timed(&now, &then)[Direction::Read as usize], READS);
    // What is read in a burst at the start is not held back, nor is the last.
    assert!(ours >= 0.8 * (READS * BYTES) as f64 / f64::from(RATE), "{ours} s");
    // The kernel takes the time of each a moment after us, and cuts the sum.
    assert!(ours * 1_000.0 <= stats.read_millis as f64 + 1.0, "{ours} s, {} ms", stats.read_millis);
    let (major, minor) = below.split_once(':').unwrap();
    let below = wattrace::samples::DeviceNumber { major: major.parse().unwrap(), minor: minor.parse().unwrap() };
    let [now, then] = [&after, &before].map(|reading| device(reading, below));
    assert!(timed(&now, &then)[Direction::Read as usize] >= READS, "what a loop reads is read below it, too");
}

/// Its programs are attached first, so that ours run after them.
#[test]
fn durations_are_those_of_biolatency() {
    live!();
    let Some(disk) = Disk::new(32 << 20) else { return };
    let cgroup = cgroup();
    let Some(tool) = Tool::start("biolatency", &["-d", &disk.name], 2) else { return };
    let stats = disk.stats();
    let [mut exact, mut total] = [BlockMode::Device, BlockMode::Total].map(Probe::start);
    disk.load(
        &cgroup,
        &["read", "4096", "2000", "write", "524288", "60", "dirty", "16777216", "sync", "read", "65536", "200"],
    );
    let [exact, total] = [&mut exact, &mut total].map(|probe| device(&probe.read(), disk.number));
    let said = tool.end();
    println!("{said}");
    let theirs = rows(&said);
    let count: u64 = theirs.iter().map(|(.., count)| count).sum();
    let none = DiskDeviceReading::default();
    let [ours, all] = [&exact, &total].map(count_of);
    println!("{count} by biolatency, {ours} by us from the driver on, {all} in all");
    let flushes = disk.stats().since(stats).flushes;
    // It times a flush, too.
    assert_eq!((ours, all), (count - flushes, count - flushes), "{:?}", timed(&exact, &none));
    for micros in (3..20).map(|power| 1_u64 << power) {
        let longer: u64 = theirs.iter().filter(|(low, ..)| *low >= micros).map(|(.., count)| count).sum();
        let bounds = [2.0, 0.5].map(|factor| longer_than(&exact, micros as f64 * factor));
        let most = longer_than(&total, micros as f64);
        println!("at least {micros} us: {longer} by biolatency, {bounds:?} by us, {most} in all");
        assert!(bounds[0] <= longer && longer <= bounds[1] + flushes, "one of its buckets away");
        assert!(most + flushes >= longer, "in all it takes longer than in the driver");
    }
}

fn counts(device: &DiskDeviceReading) -> impl Iterator<Item = (usize, u64)> {
    device.durations.iter().flat_map(|durations| durations.counts.iter().copied().enumerate())
}

fn count_of(device: &DiskDeviceReading) -> u64 {
    counts(device).map(|(_, count)| count).sum()
}

/// Requests whose bucket has durations of more than so many microseconds.
fn longer_than(device: &DiskDeviceReading, micros: f64) -> u64 {
    let end = |bucket: usize| (bucket as f64 / f64::from(1 << DEVICE_SCALE) - 20.0).exp2() * 1e6;
    counts(device).filter(|(bucket, _)| end(*bucket) > micros).map(|(_, count)| count).sum()
}
