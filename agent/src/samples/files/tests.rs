//! Processes that come, go, and move between cgroups.

use super::*;

fn process(tgid: u32, started: u64, time: u64) -> ProcessReading {
    ProcessReading {
        process: WorkKey::process(tgid, started),
        started: Nanos(started),
        is_kernel: false,
        time: Nanos(time),
        comm: *b"name\0\0\0\0\0\0\0\0\0\0\0\0",
    }
}

fn kernel(tgid: u32, started: u64, time: u64) -> ProcessReading {
    ProcessReading { is_kernel: true, ..process(tgid, started, time) }
}

const SECOND: u64 = 1_000_000_000;

/// What the last of these readings, one a second, bills.
fn billed(readings: &[&[ProcessReading]]) -> Vec<(WorkKey, u64)> {
    let mut tracker = FilesTracker::default();
    let mut last = BTreeMap::new();
    for (second, processes) in (10..).zip(readings) {
        let from = Nanos(second * SECOND);
        last = tracker.observe(&FilesReading { from, groups: Vec::new(), processes: processes.to_vec() });
    }
    last.into_iter().map(|(key, time)| (key, time.0)).collect()
}

#[test]
fn a_process_is_billed_what_it_used_since_the_reading_before() {
    let key = process(7, SECOND, 0).process;
    assert_eq!(billed(&[&[process(7, SECOND, 50)]]), []);
    assert_eq!(billed(&[&[process(7, SECOND, 50)], &[process(7, SECOND, 80)]]), [(key, 30)]);
    assert_eq!(billed(&[&[process(7, SECOND, 50)], &[]]), [], "its end is nobody's");
}

#[test]
fn a_process_born_since_counts_in_full_and_one_that_came_from_a_cgroup_does_not() {
    let young = process(8, 10 * SECOND + 1, 20);
    assert_eq!(billed(&[&[], &[young]]), [(young.process, 20)]);
    assert_eq!(billed(&[&[], &[process(7, SECOND, 80)]]), [], "80 are in the total of the cgroup it was in");
    let later = process(7, SECOND, 85);
    assert_eq!(billed(&[&[], &[process(7, SECOND, 80)], &[later]]), [(later.process, 5)]);
}

#[test]
fn a_pid_that_was_given_out_again_is_another_process() {
    let next = process(7, 10 * SECOND + 5, 3);
    assert_eq!(billed(&[&[process(7, SECOND, 50)], &[next]]), [(next.process, 3)]);
}

#[test]
fn a_total_that_fell_is_billed_once_it_has_caught_up() {
    let total = |time| [process(7, SECOND, time)];
    assert_eq!(billed(&[&total(50), &total(40)]), []);
    assert_eq!(billed(&[&total(50), &total(40), &total(60)]), [(total(0)[0].process, 10)]);
}

#[test]
fn threads_of_the_kernel_are_one_workload_and_its_sum_does_not_fall_when_one_ends() {
    let before = [kernel(2, 0, 500), kernel(3, 0, 900)];
    assert_eq!(billed(&[&before, &[kernel(2, 0, 507)]]), [(WorkKey::KERNEL, 7)]);
    let after = [kernel(2, 0, 501), kernel(3, 0, 902), kernel(9, 10 * SECOND + 1, 4)];
    assert_eq!(billed(&[&before, &after]), [(WorkKey::KERNEL, 7)]);
}

#[test]
fn only_processes_of_users_have_names() {
    let reading = FilesReading { processes: vec![process(7, 1, 0), kernel(2, 0, 0)], ..FilesReading::default() };
    assert_eq!(reading.comms().map(|(key, _)| key).collect::<Vec<_>>(), [process(7, 1, 0).process]);
}

#[test]
fn cgroups_and_processes_are_billed_side_by_side() {
    let mut tracker = FilesTracker::default();
    let group = |usage| GroupReading { id: 2, parent: 1, usage: Some(Nanos(usage)), is_listed: true, has_tasks: false };
    let reading = |from, usage, time| FilesReading {
        from: Nanos(from),
        groups: vec![group(usage)],
        processes: vec![process(7, 1, time)],
    };
    assert_eq!(tracker.observe(&reading(5, 10, 10)), BTreeMap::new());
    let used = tracker.observe(&reading(6, 14, 11));
    assert_eq!(used, BTreeMap::from([(WorkKey::cgroup(2), Nanos(4)), (process(7, 1, 0).process, Nanos(1))]));
}
