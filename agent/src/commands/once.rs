//! `once`: measures one interval and shows who used what.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    attribution::ledger::Ledger,
    config::{self, ConfigError, Flags, SHORTEST_UNPRIVILEGED, Variables},
    outputs::{
        console, json,
        report::{ByProcess, EnergyNote, Report, SchedNote},
    },
    pipeline::{
        Interval, Options, Pipeline, StartError, ToldApart,
        files::{Files, Processes},
        meter::Meter,
        open::OpenConnections,
        sources::{self, Sched, Sources, SourcesError},
        state,
    },
    probes::{bpf::EventPlan, process},
    units::Nanos,
};

/// Declared error of RAPL, as a share; the other meters state none, and are taken to be no better.
const METER_UNCERTAINTY: f64 = 0.05;

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Length of the interval; by default 5 s as root, 10 s otherwise.
    pub interval: Option<Duration>,
    /// JSON lines instead of a table.
    pub json: bool,
    /// Rows of the table.
    pub rows: usize,
    /// And how wide they are.
    pub width: console::Width,
    /// Where `/proc` and `/sys` are.
    pub root: PathBuf,
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// Overrides the configured location.
    pub location: Option<String>,
    /// Leave the kernel programs out.
    pub no_bpf: bool,
    /// Who is told apart.
    pub by: By,
}

/// Who is told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Workloads: units, containers, sessions, names of programs that are in none
    #[default]
    Workload,
    /// Each process of them, those that are gone by the end included; their joules are estimated
    Process,
}

/// Why nothing could be shown.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A reading on the way.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// The output went away.
    #[error("cannot write the result: {0}")]
    Output(#[from] std::io::Error),
    /// An interval that only root may ask for, or that makes no sense.
    #[error("{0}")]
    Interval(&'static str),
}

/// Measures and writes; what a person should know on the way goes to `progress`.
pub fn run(request: &Request, out: &mut impl Write, progress: &mut impl Write) -> Result<(), OnceError> {
    let interval = interval(request.interval)?;
    let options = options(request)?;
    let floors = state::peek_floors(&options.config.agent.state_dir);
    let mut pipeline = Pipeline::start_with(&request.root, &options, floors.as_ref())?;
    let started = sources::monotonic();
    if request.by == By::Process {
        pipeline.watch_processes();
    }
    let apart = if request.by == By::Process { not_told_apart(&pipeline) } else { Vec::new() };
    notes(&pipeline).iter().chain(&apart).try_for_each(|note| writeln!(progress, "{note}"))?;
    writeln!(progress, "measuring for {} …", humantime::format_duration(interval))?;
    progress.flush()?;
    pipeline.run_until(started + Nanos::from(interval))?;
    let (closed, told) = match request.by {
        By::Workload => (pipeline.finish(), None),
        By::Process => {
            let (closed, mut told) = pipeline.finish_by_process();
            if !rustix::process::geteuid().is_root() {
                told.hide_energy();
            }
            (closed, Some(told))
        }
    };
    let missing = told.iter().flat_map(shortcomings);
    pipeline.take_remarks().into_iter().chain(missing).try_for_each(|remark| writeln!(progress, "{remark}"))?;
    let mut report = report(&pipeline, &closed, &pipeline.ledger);
    report.by_process = told.as_ref().map(by_process);
    if request.json {
        json::write(&report, out)?;
    } else {
        out.write_all(console::table(&report, request.rows, " or --json", request.width).as_bytes())?;
    }
    Ok(out.flush()?)
}

fn options(request: &Request) -> Result<Options, ConfigError> {
    let flags = Flags { location: request.location.clone(), ..Flags::default() };
    // The variables are about exports, and `once` exports nothing.
    let config = config::load(request.config.as_deref(), &Variables::new(), &flags)?.config;
    let events = EventPlan { exit: request.by == By::Process, ..EventPlan::default() };
    Ok(Options { config, kernel_programs: !request.no_bpf, events })
}

fn interval(asked: Option<Duration>) -> Result<Duration, OnceError> {
    let root = rustix::process::geteuid().is_root();
    let interval = asked.unwrap_or(if root { Duration::from_secs(5) } else { SHORTEST_UNPRIVILEGED });
    if interval < Duration::from_millis(100) || interval > Duration::from_secs(86_400) {
        return Err(OnceError::Interval("--interval must lie between 100ms and 1day"));
    }
    if !root && interval < SHORTEST_UNPRIVILEGED {
        let why = "intervals below 10s show what other users compute, so only root may ask for them: give --interval 10s or more";
        return Err(OnceError::Interval(why));
    }
    Ok(interval)
}

/// What is not measured, why, and what to do about it, in sentences.
pub(super) fn notes(pipeline: &Pipeline) -> Vec<String> {
    let mut notes = Vec::new();
    match &pipeline.sources.sched {
        Sched::Files(files) => notes.extend(files_notes(files, &pipeline.sources)),
        Sched::Btf(programs) => {
            let short = programs.cgroups.as_ref().err();
            notes.extend(
                short.map(|why| format!("cgroups that live shorter than the interval stay without a name: {why}")),
            );
            notes.extend(programs.shortcomings().cloned());
            notes.extend(pipeline.sources.cgroups.as_ref().err().map(|why| format!("no cgroup names: {why}")));
            notes.extend(pipeline.disk_shortcoming());
            notes.extend(pipeline.sources.open.as_ref().and_then(OpenConnections::shortcoming));
        }
    }
    notes.extend(pipeline.meter.not_measured().iter().map(|why| format!("not measured: {why}")));
    let instead = match &pipeline.meter.meter {
        Meter::Perf(_) | Meter::Powercap(_) | Meter::Hwmon(_) => return notes,
        Meter::Model(_) => "energy is modelled",
        Meter::None => "no energy",
    };
    notes.extend(pipeline.meter.passed_over.iter().map(|why| format!("{instead}: {why}")));
    notes
}

/// What is different without kernel programs.
fn files_notes(files: &Files, sources: &Sources) -> Vec<String> {
    let mut notes = vec![format!("no kernel programs: {}", files.reason)];
    notes.push(match &sources.cgroups {
        Ok(_) => "CPU time per workload is from cpu.stat of each cgroup, and from /proc for processes in none: what ended between two readings may be nobody's".to_owned(),
        Err(why) => format!("CPU time per workload is from /proc, by process: what ended between two readings is nobody's, and there are no cgroup names: {why}"),
    });
    if files.processes == Processes::Hidden {
        notes.push("processes outside of cgroups are nobody's: they cannot be told from within a container, give --root at which the host is visible and the host's pid namespace".to_owned());
    }
    if sources.sockets() > 1 {
        notes.push("on which socket a workload ran is estimated, from how busy each was".to_owned());
    }
    notes
}

/// The interval as it is shown, with the totals of `ledger`.
pub(super) fn report<'a>(pipeline: &'a Pipeline, interval: &'a Interval, ledger: &'a Ledger) -> Report<'a> {
    let programs = match &pipeline.sources.sched {
        Sched::Btf(programs) => Some(programs),
        Sched::Files(_) => None,
    };
    Report {
        usage: &interval.usage,
        ledger,
        footprint: &interval.footprint,
        factors: &pipeline.factors,
        threads: interval.threads,
        disks: &interval.disks,
        tcp: programs.is_some_and(|programs| programs.tcp.is_ok()),
        open: &interval.open,
        processes: programs.is_some_and(|programs| programs.processes.is_ok()),
        floors: &interval.floors,
        hardware: &interval.hardware,
        idle_policy: pipeline.idle_policy(),
        method: pipeline.method(),
        functional_unit: pipeline.functional_unit,
        energy: energy_note(pipeline),
        sched: sched_note(pipeline),
        block: pipeline.sources.block_level().name(),
        by_process: None,
    }
}

/// What is known before of processes that are not told apart, or not with everything, in sentences.
fn not_told_apart(pipeline: &Pipeline) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = pipeline.sources.without_events() {
        notes.push(format!("processes that end within the interval are not told apart: {why}"));
    }
    if !process::in_initial_pid_namespace(&pipeline.sources.root) {
        notes.push("processes of other pid namespaces are not told apart: give --root at which the host is visible and the host's pid namespace".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        notes.push(
            "joules of single processes show what other users compute, so only root is told them: CPU time is shown"
                .to_owned(),
        );
    }
    notes
}

fn by_process(told: &ToldApart) -> ByProcess<'_> {
    let lost = told.lost_ends.iter().map(|(_, count)| count).sum();
    ByProcess { parts: &told.parts, has_ended: told.without_ends.is_none(), lost }
}

/// Which processes are not told apart, and why, in sentences.
fn shortcomings(told: &ToldApart) -> Vec<String> {
    let mut notes = Vec::new();
    for (reason, count) in &told.lost_ends {
        notes.push(format!("{count} processes that ended are not told apart: their ends were lost ({reason})"));
    }
    if told.homeless > 0 {
        let count = told.homeless;
        notes.push(format!("{count} processes are not told apart: their control groups cannot be told from here"));
    }
    if told.unreadable > 0 {
        notes
            .push(format!("processes could not be read from /proc {} times: they are not told apart", told.unreadable));
    }
    notes
}

fn energy_note(pipeline: &Pipeline) -> EnergyNote {
    let meter = &pipeline.meter.meter;
    let (description, uncertainty, precision) = match meter {
        Meter::Perf(_) | Meter::Powercap(_) | Meter::Hwmon(_) => {
            let zones: Vec<&str> = meter.zones().iter().map(|zone| zone.hw_id.as_str()).collect();
            (zones.join(" "), Some(METER_UNCERTAINTY), None)
        }
        Meter::Model(model) => {
            let model = &model.model;
            (model.description.clone(), Some(model.uncertainty), Some(model.precision.name()))
        }
        Meter::None => (pipeline.meter.passed_over.join("; "), None, None),
    };
    EnergyNote { source: meter.source(), description, uncertainty, precision }
}

fn sched_note(pipeline: &Pipeline) -> SchedNote {
    let losses = pipeline.losses();
    let (mode, level, reason) = match &pipeline.sources.sched {
        Sched::Btf(_) => ("btf", Some(pipeline.sources.level.name()), None),
        Sched::Files(files) => (files.mode(), None, Some(files.reason.clone())),
    };
    SchedNote {
        mode,
        level,
        reason,
        lost: losses.iter().filter(|loss| loss.loses).map(|loss| loss.count).sum(),
        counts: losses.into_iter().filter(|loss| loss.count > 0).map(|loss| (loss.name, loss.count)).collect(),
    }
}

/// The default of `--root`.
pub fn default_root() -> &'static Path {
    Path::new("/")
}
