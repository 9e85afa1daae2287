//! The agent's own numbers.

use std::collections::{BTreeMap, VecDeque};

use wattrace_common::loss as kernel;

use crate::{
    diagnostics::Diagnostics,
    outputs::otlp::sender::Statistics,
    pipeline::{Pipeline, sources::Sched},
    probes::{bpf, process},
    telemetry::describe::{Cpu, Exporter, Fill, Health, Program, Queue, Reloads},
    units::{Bytes, Nanos},
};

/// What is counted between snapshots.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Number of the last snapshot that was told.
    pub told: u64,
    /// Times the configuration was loaded anew, or was to be.
    pub reloads: Reloads,
    /// Time each kernel program ran, as told last.
    pub run_times: BTreeMap<kernel::Program, Nanos>,
    /// Snapshots by number and instant, from the oldest that may still wait.
    pub offered: VecDeque<(u64, Nanos)>,
}

impl Tally {
    /// The numbers as they stand; how often totals could not be saved, the caller knows.
    pub(super) fn gather(
        &mut self,
        pipeline: &Pipeline,
        diagnostics: &Diagnostics,
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
            collect: pipeline.stages.durations(),
            programs: programs(pipeline, &mut self.run_times),
            lost: lost(pipeline),
            maps: maps(pipeline),
            map_memory: pipeline.sources.map_memory.clone(),
            ebpf_memory: pipeline.sources.kernel_memory,
            reloads: self.reloads,
            lost_messages: lost_messages(diagnostics),
            ..Health::default()
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

/// That of events.
pub(super) fn event_exporter(statistics: &Statistics) -> Exporter {
    const NAME: &str = "otlp_http_log_exporter";
    Exporter { name: format!("{NAME}/0"), component: NAME, ..exporter(statistics) }
}

/// The kernel programs.
fn programs(pipeline: &Pipeline, run_times: &mut BTreeMap<kernel::Program, Nanos>) -> Vec<Program> {
    let loaded = match &pipeline.sources.sched {
        Sched::Btf(programs) => Ok(programs),
        Sched::Files(files) => Err((files.mode(), files.reason.clone())),
    };
    let costs = loaded.as_ref().map_or_else(|_| Vec::new(), |programs| programs.times.costs());
    let or_off = |attached: Result<(), &String>| {
        attached.map_or_else(|reason| ("off", reason.clone()), |()| ("btf", String::new()))
    };
    let program = |program: &kernel::Program| {
        let (mode, reason) = match (&loaded, program) {
            // Files stand in for on-CPU time and cgroups alone.
            (
                Err((mode, reason)),
                kernel::Program::Sched
                | kernel::Program::CgroupMkdir
                | kernel::Program::CgroupRmdir
                | kernel::Program::CgroupAttach,
            ) => (*mode, reason.clone()),
            (Err((_, reason)), _) => ("off", reason.clone()),
            (Ok(programs), kernel::Program::CgroupMkdir | kernel::Program::CgroupRmdir) => {
                or_off(programs.cgroups.as_ref().map(|_| ()))
            }
            (Ok(programs), kernel::Program::CgroupAttach) => or_off(programs.moves.as_ref().copied()),
            (Ok(_), kernel::Program::Sched) => or_off(Ok(())),
            (Ok(programs), kernel::Program::BlockComplete | kernel::Program::BlockRequeue) => {
                or_off(programs.block.as_ref().map(|_| ()))
            }
            (Ok(programs), kernel::Program::BlockIssue) => or_off(programs.issues.as_ref().copied()),
            (Ok(programs), kernel::Program::TcpState) => or_off(programs.tcp.as_ref().map(|_| ())),
            (
                Ok(programs),
                kernel::Program::ProcessFork | kernel::Program::ProcessExec | kernel::Program::ProcessExit,
            ) => or_off(programs.processes.as_ref().map(|_| ())),
        };
        let cost = costs.iter().find(|cost| cost.program == *program && mode == "btf");
        let time = cost.and_then(|cost| Some(not_less(run_times, *program, Nanos(cost.time()?))));
        let run_time = time.map(|time| (time, program.is_sampled()));
        let level = match program {
            kernel::Program::Sched if mode == "btf" => pipeline.sources.level.name(),
            kernel::Program::BlockComplete if mode == "btf" => pipeline.sources.block_level().name(),
            _ => "",
        };
        Program { name: program.name(), mode, reason, level, run_time, runs: cost.map(|cost| cost.runs) }
    };
    kernel::PROGRAMS.iter().map(program).collect()
}

/// An estimate that a new sample lowers stays where it is until it is reached again: a sum must not fall.
fn not_less(reached: &mut BTreeMap<kernel::Program, Nanos>, program: kernel::Program, time: Nanos) -> Nanos {
    let reached = reached.entry(program).or_default();
    *reached = time.max(*reached);
    *reached
}

fn maps(pipeline: &Pipeline) -> Vec<Fill> {
    let Sched::Btf(programs) = &pipeline.sources.sched else { return Vec::new() };
    let fill = |fill: bpf::Fill| Fill { map: fill.map, used: fill.used, limit: fill.limit };
    programs.fills().into_iter().map(fill).collect()
}

/// What was lost, by who lost it and why.
fn lost(pipeline: &Pipeline) -> BTreeMap<(String, String), u64> {
    let parts = |name: &str| name.split_once('.').map(|(who, why)| (who.to_owned(), why.to_owned()));
    let losses = pipeline.losses().into_iter().filter(|loss| loss.loses);
    losses.filter_map(|loss| Some((parts(&loss.name)?, loss.count))).collect()
}

/// Messages that somebody who watches an output did not get.
fn lost_messages(diagnostics: &Diagnostics) -> BTreeMap<&'static str, u64> {
    let records = diagnostics.lost_records().map(|lost| ("otlp", lost));
    [("stderr", diagnostics.lost_lines())].into_iter().chain(records).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_was_told_is_not_taken_back() {
        let mut reached = BTreeMap::new();
        let mut tell = |program, time| not_less(&mut reached, program, Nanos(time)).0;
        let sched = kernel::Program::Sched;
        assert_eq!([5, 9, 7, 12].map(|time| tell(sched, time)), [5, 9, 9, 12]);
        assert_eq!(tell(kernel::Program::CgroupMkdir, 1), 1);
    }
}
