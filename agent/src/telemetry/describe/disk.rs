//! What is told of block I/O: of a workload, and of the machine's devices. What was never done has no series.

use std::borrow::Cow;

use wattrace_common::block::{DEVICE_SCALE, DIRECTIONS, Direction, FAILURES, Failure, PLACES, WORK_SCALE};

use super::{Point, Totals, catalog, durations_point, point};
use crate::{
    attribution::ledger::Account,
    samples::{
        Durations,
        disk::{DiskUse, MachineDisks, Ownership, places},
    },
    telemetry::catalog::Metric,
};

/// The values of a workload.
pub(super) fn points(account: &Account) -> impl Iterator<Item = Point> + use<'_> {
    account.disk.iter().flat_map(|(of, done)| of_workload(*of, done))
}

fn of_workload(ownership: Ownership, done: &DiskUse) -> Vec<Point> {
    let of = || Cow::from(ownership.name());
    let told = |metric: &'static Metric, figures: &[u64; PLACES]| {
        let figures = places().zip(*figures).filter(|(_, figure)| *figure > 0);
        figures.map(|((place, _), figure)| point(metric, [place.into(), of()], figure as f64)).collect::<Vec<_>>()
    };
    let totals = &done.totals;
    let errors = FAILURES.into_iter().map(|failure| (Failure::name(failure), totals.errors_of(failure)));
    let errors = errors.filter(|(_, count)| *count > 0);
    let errors = errors.map(|(name, count)| point(&catalog::WORKLOAD_DISK_ERRORS, [name.into(), of()], count as f64));
    let durations = done.durations.iter().flat_map(by_direction).filter_map(|(direction, durations)| {
        let attributes = [direction.into(), of()];
        durations_point(&catalog::WORKLOAD_DISK_OPERATION_DURATION, attributes, durations, WORK_SCALE)
    });
    let mut points = told(&catalog::WORKLOAD_DISK_IO, &totals.bytes);
    points.extend(told(&catalog::WORKLOAD_DISK_OPERATIONS, &totals.operations));
    points.extend(durations);
    points.extend(told(&catalog::WORKLOAD_DISK_UNMEASURED, &totals.unmeasured));
    points.extend(errors);
    points
}

fn by_direction(durations: &[Durations; DIRECTIONS.len()]) -> impl Iterator<Item = (&'static str, &Durations)> {
    DIRECTIONS.into_iter().map(Direction::name).zip(durations)
}

/// The values of the machine's devices.
pub(super) fn devices(disks: &MachineDisks, totals: &Totals) -> Vec<Point> {
    let mut points = Vec::new();
    for (name, done) in &totals.disks {
        let device = || Cow::from(name.clone());
        points.extend(by_direction(&done.durations).filter_map(|(direction, durations)| {
            let attributes = [device(), direction.into()];
            durations_point(&catalog::NODE_DISK_OPERATION_DURATION, attributes, durations, DEVICE_SCALE)
        }));
        if done.requeues > 0 {
            points.push(point(&catalog::NODE_DISK_REQUEUES, [device()], done.requeues as f64));
        }
    }
    for (name, load) in &disks.loads {
        points.push(point(&catalog::NODE_DISK_UTILIZATION, [name.clone().into()], load.utilization));
        points.push(point(&catalog::NODE_DISK_QUEUE_DEPTH, [name.clone().into()], load.queue_depth));
    }
    points
}
