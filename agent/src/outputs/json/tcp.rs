//! Connections in `once --json`: by role, what was done and how long it took; what was never done is left out.

use std::collections::BTreeMap;

use serde::Serialize;
use wattrace_common::tcp::{
    FAILURES, FAMILIES, Failure, Family, LIFESPAN_SCALE, PHASES, Phase, ROLES, Role, TRIP_SCALE,
};

use super::durations::Histogram;
use crate::{
    attribution::ledger::Account,
    outputs::report::Report,
    samples::{RoleTotals, TcpDurations, tcp::OpenNow},
};

/// Of a workload.
#[derive(Serialize, Default)]
pub(super) struct Tcp {
    #[serde(flatten)]
    roles: BTreeMap<&'static str, Done>,
    /// `None`: that is not known.
    open: Option<BTreeMap<&'static str, u64>>,
    unobserved_start: u64,
    sent_bytes: u64,
    received_bytes: u64,
    retransmits: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<Histogram>,
}

#[derive(Serialize)]
struct Done {
    established: BTreeMap<&'static str, u64>,
    closed: u64,
    aborted: u64,
    failures: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Handshakes.
    unmeasured: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<Histogram>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake: Option<Histogram>,
}

/// A workload's connections; `None`: they are not counted.
pub(super) fn of(report: &Report<'_>, account: &Account) -> Option<Tcp> {
    let open = report.open.get(&account.workload.id).map(open);
    let counted = report.tcp.then_some(account.tcp.as_deref())?;
    let Some(done) = counted else { return Some(Tcp { open, ..Tcp::default() }) };
    let (totals, durations) = (&done.totals, done.durations.as_ref());
    let roles = ROLES.into_iter().zip(&totals.roles).filter(|(_, totals)| **totals != RoleTotals::default());
    Some(Tcp {
        roles: roles.map(|(role, totals)| (role.name(), Done::new(role, totals, durations))).collect(),
        open,
        unobserved_start: totals.unobserved,
        sent_bytes: totals.sent,
        received_bytes: totals.received,
        retransmits: totals.retransmits,
        rtt: durations.and_then(|durations| Histogram::of_any(&durations.rtts, TRIP_SCALE)),
    })
}

fn open(open: &OpenNow) -> BTreeMap<&'static str, u64> {
    ROLES.into_iter().map(Role::name).zip(open.0).collect()
}

impl Done {
    fn new(role: Role, totals: &RoleTotals, durations: Option<&TcpDurations>) -> Self {
        let told = |counted: &[_; ROLES.len()], scale| Histogram::of_any(counted.get(role as usize)?, scale);
        let failures = PHASES.into_iter().map(Phase::name).zip(&totals.failures);
        Self {
            established: any(FAMILIES.into_iter().map(Family::name).zip(totals.established)),
            closed: totals.closed,
            aborted: totals.aborted,
            failures: failures
                .map(|(phase, counts)| (phase, any(FAILURES.into_iter().map(Failure::name).zip(*counts))))
                .filter(|(_, counts)| !counts.is_empty())
                .collect(),
            unmeasured: totals.unmeasured,
            duration: durations.and_then(|durations| told(&durations.lifespans, LIFESPAN_SCALE)),
            handshake: durations.and_then(|durations| told(&durations.handshakes, TRIP_SCALE)),
        }
    }
}

/// Those that are not 0.
fn any(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<&'static str, u64> {
    counts.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wattrace_common::tcp::{LIFESPAN_BUCKETS, TRIP_BUCKETS};

    use crate::{
        attribution::functional::FunctionalUnit,
        outputs::{example::Example, json::tests::lines},
        samples::{Durations, TcpDurations, tcp::OpenNow},
        units::Nanos,
    };

    #[test]
    fn who_did_what_is_told_by_role() {
        let mut example = Example::new();
        let told = lines(&example.report());
        assert_eq!(told[0]["probes"]["tcp"], json!({ "level": "off" }));
        assert_eq!(told[1].get("tcp"), None, "it is not counted");
        example.connected();
        let told = lines(&example.report());
        assert_eq!(told[0]["probes"]["tcp"], json!({ "level": "on" }));
        let expected = json!({
            "client": {
                "established": { "ipv4": 30, "ipv6": 2 }, "closed": 31, "aborted": 4, "unmeasured": 1,
                "failures": { "handshake": { "refused": 7 }, "established": { "timed_out": 1 } },
            },
            "open": null, "unobserved_start": 3,
            "sent_bytes": 12_000, "received_bytes": 4_096, "retransmits": 5,
        });
        assert_eq!(told[1]["tcp"], expected);
        let none =
            json!({ "open": null, "unobserved_start": 0, "sent_bytes": 0, "received_bytes": 0, "retransmits": 0 });
        assert_eq!(told[2]["tcp"], none, "it did nothing, which is known");
    }

    #[test]
    fn open_connections_and_durations_are_told_where_they_are_known() {
        let mut example = Example::new();
        example.connected();
        let id = example.report().ranked()[0].workload.id.clone();
        example.open.insert(id, OpenNow([0, 2]));
        let one = |nanos, buckets: usize| {
            let mut counts = vec![0; buckets];
            counts[40] = 1;
            Durations { sum: Nanos(nanos), counts }
        };
        // From 2^-20 s on, bucket 40 of scale 1 ends at 1 s, that of scale 2 at 2^-10 s.
        example.connected_for(TcpDurations {
            lifespans: [one(900_000_000, LIFESPAN_BUCKETS), Durations::default()],
            handshakes: [one(900_000, TRIP_BUCKETS), Durations::default()],
            rtts: one(800_000, TRIP_BUCKETS),
        });
        let told = &lines(&example.report())[1]["tcp"];
        assert_eq!(told["open"], json!({ "client": 0, "server": 2 }));
        let histogram = |sum: f64, edge: f64| json!({ "count": 1, "sum_s": sum, "zero": 0, "buckets": [[edge, 1]] });
        assert_eq!(told["client"]["duration"], histogram(0.9, 1.0));
        assert_eq!(told["client"]["handshake"], histogram(0.0009, 1.0 / 1024.0));
        assert_eq!(told["rtt"], histogram(0.0008, 1.0 / 1024.0));
    }

    #[test]
    fn joules_per_connection_are_told_where_connections_are_counted() {
        let mut example = Example::new();
        example.did_block_io();
        example.functional_unit = Some(FunctionalUnit::ConnectionsClosed);
        let told = lines(&example.report());
        assert_eq!(told[1]["operations"], Value::Null, "block I/O alone is counted");
        example.connected();
        let told = lines(&example.report());
        assert_eq!(told[0]["functional_unit"], "connections_closed");
        assert_eq!(told[1]["operations"], 34, "whichever role, if any");
        assert!((told[1]["j_per_operation"].as_f64().unwrap() - 13.200_001 / 34.0).abs() < 1e-9);
        assert_eq!((&told[2]["operations"], &told[2]["j_per_operation"]), (&json!(0), &Value::Null));
    }
}
