//! Block I/O in `once --json`: by direction, what was done and how long it took; what was never done is left out.

use std::collections::BTreeMap;

use serde::Serialize;
use wattrace_common::block::{DEVICE_SCALE, DIRECTIONS, Direction, FAILURES, Failure, WORK_SCALE};

use super::durations::Histogram;
use crate::{
    attribution::ledger::Account,
    samples::{
        Durations,
        disk::{DiskUse, MachineDisks, Ownership, places},
    },
};

/// Of the node: devices by name.
#[derive(Serialize)]
pub(super) struct Node {
    devices: BTreeMap<String, Device>,
}

/// Figures that are not known are `null`.
#[derive(Serialize, Default)]
struct Device {
    utilization: Option<f64>,
    queue_depth: Option<f64>,
    requeues: Option<u64>,
    durations: Option<BTreeMap<&'static str, Histogram>>,
}

/// Of a workload, as far as it is known in one way.
#[derive(Serialize)]
pub(super) struct Disk {
    #[serde(flatten)]
    directions: BTreeMap<&'static str, Done>,
    errors: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Done {
    operations: u64,
    bytes: u64,
    unmeasured: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Histogram>,
}

/// `None`: nothing is known of any device.
pub(super) fn node(disks: &MachineDisks) -> Option<Node> {
    let mut devices: BTreeMap<String, Device> = BTreeMap::new();
    for (name, load) in &disks.loads {
        let device = devices.entry(name.clone()).or_default();
        (device.utilization, device.queue_depth) = (Some(load.utilization), Some(load.queue_depth));
    }
    for (name, done) in disks.work.iter().flatten() {
        let device = devices.entry(name.clone()).or_default();
        device.requeues = Some(done.requeues);
        device.durations = Some(durations(&done.durations, DEVICE_SCALE));
    }
    (disks.work.is_some() || !devices.is_empty()).then_some(Node { devices })
}

/// A workload's block I/O, by how it is known to be its own.
pub(super) fn by_ownership(account: &Account) -> BTreeMap<&'static str, Disk> {
    let known = account.disk.iter().filter(|(_, done)| done.is_any());
    known.map(|(of, done)| (Ownership::name(*of), done.into())).collect()
}

fn durations(counted: &[Durations; DIRECTIONS.len()], scale: i32) -> BTreeMap<&'static str, Histogram> {
    let all = DIRECTIONS.into_iter().map(Direction::name).zip(counted);
    all.filter_map(|(direction, counted)| Some((direction, Histogram::of_any(counted, scale)?))).collect()
}

impl From<&DiskUse> for Disk {
    fn from(done: &DiskUse) -> Self {
        let totals = &done.totals;
        let mut durations = done.durations.as_ref().map(|counted| durations(counted, WORK_SCALE)).unwrap_or_default();
        let figures = totals.operations.iter().zip(&totals.bytes).zip(&totals.unmeasured);
        let directions = places().zip(figures).filter(|(_, ((operations, bytes), _))| **operations > 0 || **bytes > 0);
        let directions = directions.map(|((direction, _), ((operations, bytes), unmeasured))| {
            let duration = durations.remove(direction);
            (direction, Done { operations: *operations, bytes: *bytes, unmeasured: *unmeasured, duration })
        });
        let errors = FAILURES.into_iter().map(|failure| (Failure::name(failure), totals.errors_of(failure)));
        Self { directions: directions.collect(), errors: errors.filter(|(_, count)| *count > 0).collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wattrace_common::block::DEVICE_BUCKETS;

    use super::*;
    use crate::{
        attribution::functional::FunctionalUnit,
        outputs::example::Example,
        samples::disk::{DeviceUse, load::DiskLoad},
        units::Nanos,
    };

    fn told(example: &Example) -> Vec<Value> {
        let mut out = Vec::new();
        super::super::write(&example.report(), &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn who_did_what_is_told_by_direction() {
        let mut example = Example::new();
        example.did_block_io();
        let lines = told(&example);
        assert_eq!(lines[0]["disk"], json!({ "devices": {} }));
        let expected = json!({ "cgroup": {
            "read": { "operations": 300, "bytes": 24_690_000, "unmeasured": 0 },
            "write": { "operations": 1, "bytes": 4_096, "unmeasured": 0 },
            "flush": { "operations": 2, "bytes": 0, "unmeasured": 0 },
            "errors": {},
        } });
        assert_eq!(lines[1]["disk"], expected);
        assert_eq!(lines[2]["disk"], json!({}), "it did none, which is known");
        assert_eq!(lines[3]["disk"]["root"]["write"]["bytes"], 3_000);
        assert_eq!(lines[1].get("operations"), None, "there is no functional unit");
    }

    #[test]
    fn joules_per_operation_are_told_where_there_are_both() {
        let mut example = Example::new();
        example.did_block_io();
        example.functional_unit = Some(FunctionalUnit::DiskOperations);
        let lines = told(&example);
        assert_eq!(lines[0]["functional_unit"], "disk_operations");
        let of = |at: usize| (&lines[at]["operations"], &lines[at]["j_per_operation"]);
        assert_eq!(of(1).0, 303);
        assert!((of(1).1.as_f64().unwrap() - 13.200_001 / 303.0).abs() < 1e-9, "{}", of(1).1);
        assert_eq!(of(2), (&json!(0), &Value::Null), "it did none");
        example.disks.work = None;
        let lines = told(&example);
        assert_eq!((&lines[1]["operations"], &lines[1]["j_per_operation"]), (&Value::Null, &Value::Null));
        assert_eq!(lines[1].get("disk"), None, "it is not counted");
        example.did_block_io();
        example.footprint.covered = Nanos(0);
        assert_eq!(told(&example)[1]["j_per_operation"], Value::Null, "no energy is known");
    }

    #[test]
    fn devices_are_told_as_far_as_they_are_known() {
        let mut example = Example::new();
        assert_eq!(told(&example)[0].get("disk"), None);
        let load = DiskLoad { utilization: 0.25, queue_depth: 1.5 };
        example.disks.loads = [("dm-0".to_owned(), load)].into();
        let mut counted = <[Durations; 4]>::default();
        counted[0] = Durations { sum: Nanos(900_000_000), counts: vec![0; DEVICE_BUCKETS] };
        // Scale 3, from 2^-20 s on: the last bucket below 1 s.
        counted[0].counts[160] = 1;
        example.disks.work = Some([("sda".to_owned(), DeviceUse { requeues: 2, durations: counted })].into());
        let expected = json!({ "devices": {
            "dm-0": { "utilization": 0.25, "queue_depth": 1.5, "requeues": null, "durations": null },
            "sda": { "utilization": null, "queue_depth": null, "requeues": 2, "durations": {
                "read": { "count": 1, "sum_s": 0.9, "zero": 0, "buckets": [[1.0, 1]] },
            } },
        } });
        assert_eq!(told(&example)[0]["disk"], expected);
    }
}
