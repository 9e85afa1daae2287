//! What is told of a workload's connections. What was never done has no series.

use std::borrow::Cow;

use wattrace_common::tcp::{
    FAILURES, FAMILIES, Failure, Family, LIFESPAN_SCALE, PHASES, Phase, ROLES, Role, TRIP_SCALE,
};

use super::{Point, catalog, durations_point, point};
use crate::{
    attribution::ledger::Account,
    samples::{Durations, RoleTotals, TcpDurations, TcpTotals, tcp::OpenNow},
    telemetry::catalog::Metric,
};

/// The values of a workload; `open` are its connections of the moment, where they are known.
pub(super) fn points(account: &Account, open: Option<&OpenNow>) -> Vec<Point> {
    let done = account.tcp.as_deref();
    let mut points = Vec::new();
    if let Some(done) = done {
        points.extend(by_role(&done.totals.roles).flat_map(|(role, totals)| of_role(role, totals)));
        points.extend(of_all(&done.totals));
        points.extend(done.durations.iter().flat_map(durations));
    }
    points.extend(open.into_iter().flat_map(|open| open_points(open, done.map(|done| &done.totals))));
    points
}

fn by_role<T>(figures: &[T; ROLES.len()]) -> impl Iterator<Item = (&'static str, &T)> {
    ROLES.into_iter().map(Role::name).zip(figures)
}

fn of_role(role: &'static str, totals: &RoleTotals) -> Vec<Point> {
    let established = FAMILIES.into_iter().map(Family::name).zip(totals.established);
    let established = established
        .filter(|(_, count)| *count > 0)
        .map(|(family, count)| point(&catalog::WORKLOAD_TCP_CONNECTIONS, [role.into(), family.into()], count as f64));
    let others =
        [(&catalog::WORKLOAD_TCP_ABORTED, totals.aborted), (&catalog::WORKLOAD_TCP_UNMEASURED, totals.unmeasured)];
    let others = others.into_iter().filter(|(_, count)| *count > 0);
    let others = others.map(|(metric, count)| point(metric, [role.into()], count as f64));
    established.chain(failures(role, totals)).chain(others).collect()
}

fn failures(role: &'static str, totals: &RoleTotals) -> impl Iterator<Item = Point> + use<> {
    let all = PHASES.into_iter().map(Phase::name).zip(totals.failures).flat_map(|(phase, counts)| {
        FAILURES.into_iter().map(Failure::name).zip(counts).map(move |(failure, count)| (phase, failure, count))
    });
    all.filter(|(_, _, count)| *count > 0).map(move |(phase, failure, count)| {
        point(&catalog::WORKLOAD_TCP_FAILURES, [role, failure, phase].map(Cow::from), count as f64)
    })
}

fn of_all(totals: &TcpTotals) -> impl Iterator<Item = Point> + use<> {
    let bytes = [("transmit", totals.sent), ("receive", totals.received)].into_iter().filter(|(_, bytes)| *bytes > 0);
    let bytes = bytes.map(|(way, bytes)| point(&catalog::WORKLOAD_TCP_IO, [way.into()], bytes as f64));
    let counts = [
        (&catalog::WORKLOAD_TCP_UNOBSERVED, totals.unobserved),
        (&catalog::WORKLOAD_TCP_RETRANSMITS, totals.retransmits),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    bytes.chain(counts.map(|(metric, count)| point(metric, [], count as f64)))
}

fn durations(counted: &TcpDurations) -> Vec<Point> {
    let told = |metric: &'static Metric, figures: &[Durations; ROLES.len()], scale| {
        let points =
            by_role(figures).filter_map(|(role, counted)| durations_point(metric, [role.into()], counted, scale));
        points.collect::<Vec<_>>()
    };
    let mut points = told(&catalog::WORKLOAD_TCP_DURATION, &counted.lifespans, LIFESPAN_SCALE);
    points.extend(told(&catalog::WORKLOAD_TCP_HANDSHAKE, &counted.handshakes, TRIP_SCALE));
    points.extend(durations_point(&catalog::WORKLOAD_TCP_RTT, [], &counted.rtts, TRIP_SCALE));
    points
}

/// None are open is said of roles that ever had one: of others it would be a series for nothing.
fn open_points(open: &OpenNow, totals: Option<&TcpTotals>) -> Vec<Point> {
    let roles = by_role(&open.0).enumerate().filter(|(at, (_, count))| {
        let had_one = totals.and_then(|totals| totals.roles.get(*at)).is_some_and(|role| role.established() > 0);
        **count > 0 || had_one
    });
    roles.map(|(_, (role, count))| point(&catalog::WORKLOAD_TCP_OPEN, [role.into()], *count as f64)).collect()
}
