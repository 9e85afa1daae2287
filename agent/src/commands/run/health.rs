//! The agent's own numbers.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    outputs::otlp::sender::Statistics,
    pipeline::{Pipeline, sources::Sched},
    probes::process,
    telemetry::describe::{Cpu, Exporter, Health, Program, Queue},
    units::{Bytes, Nanos},
};

/// What is counted between snapshots.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Number of the last snapshot that was told.
    pub told: u64,
    /// Times the configuration was loaded anew.
    pub reloads: u64,
    /// Snapshots by number and instant, from the oldest that may still wait.
    pub offered: VecDeque<(u64, Nanos)>,
}

impl Tally {
    /// The numbers as they stand.
    pub(super) fn gather(
        &mut self,
        pipeline: &Pipeline,
        statistics: Option<&Statistics>,
        limit: Bytes,
        now: Nanos,
    ) -> Health {
        let own = process::own_usage(&pipeline.sources.root);
        Health {
            cpu: own.map(|own| Cpu { user: own.user, system: own.system }),
            memory: own.map(|own| own.resident),
            exporters: statistics.map(exporter).into_iter().collect(),
            queue: statistics.map(|statistics| self.queue(statistics, limit, now)),
            collect: BTreeMap::new(),
            programs: vec![program(pipeline)],
            ebpf_memory: None,
            energy: None,
            reloads: self.reloads,
        }
    }

    fn queue(&mut self, statistics: &Statistics, limit: Bytes, now: Nanos) -> Queue {
        while self.offered.front().is_some_and(|(number, _)| *number <= statistics.acknowledged) {
            self.offered.pop_front();
        }
        let oldest = self.offered.front().filter(|_| statistics.waiting.snapshots > 0);
        let dropped = &statistics.dropped;
        Queue {
            usage: Bytes(u64::try_from(statistics.waiting_bytes).unwrap_or(u64::MAX)),
            limit,
            oldest: oldest.map_or(Nanos(0), |(_, at)| now.saturating_sub(*at)),
            dropped: BTreeMap::from([("thinned", dropped.thinned.points), ("full", dropped.full.points)]),
        }
    }
}

fn exporter(statistics: &Statistics) -> Exporter {
    let failed = [
        ("rejected", statistics.rejected),
        ("poison", statistics.poison),
        ("too_large", statistics.too_large),
        ("given_up", statistics.given_up),
    ];
    Exporter {
        name: "otlp_http_metric_exporter/0".to_owned(),
        component: "otlp_http_metric_exporter",
        exported: statistics.delivered,
        failed: failed.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        inflight: statistics.waiting.points,
    }
}

fn program(pipeline: &Pipeline) -> Program {
    let (mode, reason) = match &pipeline.sources.sched {
        Sched::Btf(_) => ("btf", String::new()),
        Sched::Off(reason) => ("off", reason.clone()),
    };
    let lost = pipeline.losses().into_iter().filter(|loss| loss.loses).map(|loss| (loss.name, loss.count));
    Program { name: "sched", mode, reason, lost: lost.collect(), run_time: None, runs: None }
}
