//! `doctor`: what can be measured here, what cannot, and what to do about it.
//!
//! It tries the real thing: loads the kernel programs, reads the meter twice. Nothing stays behind.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    attribution::weight::Method,
    config,
    pipeline::{
        disks, factors, meter,
        sources::{Sched, Sources},
    },
    probes::{
        bpf::{EventPlan, layout::Layouts},
        cgroupfs::{self, Mode},
        lockdown, pressure, topology,
    },
    samples::pressure::Resource,
};

mod energy;

/// Bits of the capabilities that are used, by name; the meter's is the last.
const CAPABILITIES: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_DAC_READ_SEARCH", 2)];

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// JSON instead of text.
    pub json: bool,
    /// Where `/proc` and `/sys` are.
    pub root: PathBuf,
    /// Leave the kernel programs out, and what only they need.
    pub no_bpf: bool,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Something is not measured, or less well.
    Degraded,
    /// Nothing can be measured.
    Failed,
}

/// One thing looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How much it matters.
    pub level: Level,
    /// What was found, and what to do about it.
    pub text: String,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

impl From<Level> for ExitCode {
    fn from(level: Level) -> Self {
        match level {
            Level::Ok | Level::Note => Self::SUCCESS,
            Level::Degraded => Self::from(1),
            Level::Failed => Self::from(2),
        }
    }
}

/// What was found could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the result: {0}")]
pub struct DoctorError(#[from] io::Error);

/// Looks at everything and writes what was found; returns the worst of it.
pub fn run(request: &Request, out: &mut impl io::Write) -> Result<Level, DoctorError> {
    let findings = findings(&request.root, !request.no_bpf);
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if request.json {
        let all = serde_json::json!({ "result": worst, "findings": findings });
        serde_json::to_writer(&mut *out, &all).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(worst);
    }
    for finding in &findings {
        writeln!(out, "{:<9} {:<12} {}", finding.level.name(), finding.check, finding.text)?;
    }
    writeln!(out, "\nresult: {}", worst.name())?;
    Ok(worst)
}

fn findings(root: &Path, kernel_programs: bool) -> Vec<Finding> {
    let mut findings = vec![kernel()];
    if kernel_programs {
        findings.extend([btf(root), lockdown(root), rights(root, &CAPABILITIES), cgroups(root)]);
    } else {
        let [.., meter] = CAPABILITIES;
        findings.push(rights(root, &[meter]));
    }
    findings.extend(probes(root, kernel_programs));
    findings.extend(kernel_programs.then(|| disk_owners(root)));
    findings.push(cores(root));
    findings.extend(hybrid(root));
    findings.push(pressure(root));
    findings.extend(energy::findings(meter::choose(root, &config::Energy::default())));
    findings.extend(carbon(root));
    findings
}

fn finding(check: &'static str, level: Level, text: impl Into<String>) -> Finding {
    Finding { check, level, text: text.into() }
}

fn kernel() -> Finding {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    finding("kernel", Level::Ok, format!("{} {release}", name.sysname().to_string_lossy()))
}

fn btf(root: &Path) -> Finding {
    let layouts = match Layouts::load(&root.join("sys/kernel/btf/vmlinux")) {
        Ok(layouts) => layouts,
        Err(error) => return finding("btf", Level::Degraded, error.to_string()),
    };
    let sched = layouts.sched.as_ref().err().map(ToString::to_string);
    let clock = layouts.sched.as_ref().ok().and_then(|sched| sched.clock.as_ref().err()).map(ToString::to_string);
    let cgroup = layouts.cgroup.as_ref().err().map(ToString::to_string);
    let missing: Vec<String> = [sched, clock, cgroup].into_iter().flatten().collect();
    if missing.is_empty() {
        return finding("btf", Level::Ok, "every field the kernel programs read was found");
    }
    finding("btf", Level::Degraded, missing.join("; "))
}

fn lockdown(root: &Path) -> Finding {
    let Some(level) = lockdown::level(root) else { return finding("lockdown", Level::Ok, "not in force") };
    if !lockdown::forbids_copies(root) {
        return finding("lockdown", Level::Ok, level);
    }
    let text = format!("{level}: programs that copy kernel memory are refused, so cgroup events are off");
    finding("lockdown", Level::Degraded, text)
}

fn rights(root: &Path, needed: &[(&str, u32)]) -> Finding {
    let effective = fs::read_to_string(root.join("proc/self/status")).ok().and_then(|text| effective(&text));
    let Some(effective) = effective else {
        return finding("rights", Level::Note, "cannot tell the capabilities of this process");
    };
    let names = |has: bool| -> Vec<&str> {
        needed.iter().filter(|(_, bit)| (effective & (1 << bit) != 0) == has).map(|(name, _)| *name).collect()
    };
    let missing = names(false);
    if missing.is_empty() {
        return finding("rights", Level::Ok, names(true).join(", "));
    }
    let missing = missing.join(", ");
    let grant = format!("run as root, or `setcap {}+ep` on the program", missing.to_lowercase().replace(", ", ","));
    finding("rights", Level::Degraded, format!("{missing} missing: {grant}"))
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn cgroups(root: &Path) -> Finding {
    match cgroupfs::mount(root) {
        Ok(mount) => {
            let mode = cgroupfs::mode(root);
            let level = if mode == Mode::Unified { Level::Ok } else { Level::Note };
            finding("cgroups", level, format!("{}, unified hierarchy at {}", mode.name(), mount.display()))
        }
        Err(error) => finding("cgroups", Level::Degraded, error.to_string()),
    }
}

const SCHED: &str = "sched probe";

fn probes(root: &Path, kernel_programs: bool) -> Vec<Finding> {
    // Only what can also be read measures anything.
    let opened = Sources::open(root, kernel_programs, config::Probes::default(), EventPlan::default())
        .and_then(|mut sources| sources.glance().map(|_| sources));
    let sources = match opened {
        Ok(sources) => sources,
        Err(error) => return vec![finding(SCHED, Level::Failed, error.to_string())],
    };
    let programs = match &sources.sched {
        Sched::Btf(programs) => Some(programs),
        Sched::Files(_) => None,
    };
    let own = programs.map(|programs| {
        let tcp = counted("connections", programs.tcp.as_ref().err(), "TCP connections, by who owns the socket");
        [tcp, counted("processes", programs.processes.as_ref().err(), "forks, execs and exits, by workload")]
    });
    [sched(&sources, kernel_programs)].into_iter().chain(own.into_iter().flatten()).collect()
}

/// Whether a probe of its own counts `what`.
fn counted(check: &'static str, why_not: Option<&String>, what: &str) -> Finding {
    match why_not {
        None => finding(check, Level::Ok, format!("counted: {what}")),
        Some(why) => finding(check, Level::Degraded, why),
    }
}

fn sched(sources: &Sources, kernel_programs: bool) -> Finding {
    match &sources.sched {
        Sched::Btf(programs) => {
            // Connections and processes have findings of their own.
            let apart = [programs.tcp.as_ref().err(), programs.processes.as_ref().err()];
            let all: Vec<&str> =
                programs.shortcomings().filter(|why| !apart.contains(&Some(*why))).map(String::as_str).collect();
            match &programs.cgroups {
                Ok(_) if all.is_empty() => finding(
                    SCHED,
                    Level::Ok,
                    format!(
                        "loaded at level {}, attached, and it knows this process on every CPU",
                        sources.level.name()
                    ),
                ),
                Ok(_) => finding(SCHED, Level::Degraded, format!("loaded; {}", all.join("; "))),
                Err(reason) => finding(SCHED, Level::Degraded, format!("loaded; cgroup events are off: {reason}")),
            }
        }
        Sched::Files(files) => {
            let level = if kernel_programs { Level::Degraded } else { Level::Note };
            finding(SCHED, level, format!("{}, less exact per workload: {}", files.mode(), files.reason))
        }
    }
}

/// Whether the kernel says whose block I/O is.
fn disk_owners(root: &Path) -> Finding {
    const CHECK: &str = "disk owners";
    let mount = cgroupfs::mount(root).map_err(|error| error.to_string());
    match disks::shortcoming(mount.as_deref().map_err(String::as_str)) {
        Some(why) => finding(CHECK, Level::Note, why),
        None => finding(CHECK, Level::Ok, "the kernel charges block I/O to cgroups below the root"),
    }
}

/// Whether threads share cores, and what follows for who is billed what.
fn cores(root: &Path) -> Finding {
    const CHECK: &str = "cores";
    let topology = match topology::read(root) {
        Ok(topology) => topology,
        Err(error) => return finding(CHECK, Level::Degraded, error.to_string()),
    };
    if !topology.has_siblings() {
        return finding(CHECK, Level::Ok, format!("no core has two threads: method {}", Method::CpuTime.name()));
    }
    let method = Method::CpuTimeSmt(config::Energy::default().smt_gain);
    let gain = method.gain().unwrap_or_default();
    let text = format!(
        "two threads a core: method {}, energy.smt_gain {gain} unless configured; without kernel programs method {}",
        method.name(),
        Method::CpuTime.name(),
    );
    finding(CHECK, Level::Ok, text)
}

fn pressure(root: &Path) -> Finding {
    const CHECK: &str = "pressure";
    match pressure::node(root, Resource::Cpu) {
        Ok(Some(_)) => finding(CHECK, Level::Ok, "the kernel counts waiting for CPU, memory and I/O (PSI)"),
        Ok(None) => finding(
            CHECK,
            Level::Note,
            "the kernel does not count waiting (PSI), so there are no series of pressure: boot it with psi=1, or build it with CONFIG_PSI",
        ),
        Err(error) => finding(CHECK, Level::Note, error.to_string()),
    }
}

/// Nothing where all CPUs are of one kind.
fn hybrid(root: &Path) -> Option<Finding> {
    let kinds = topology::kinds(root);
    let names: Vec<String> = kinds.iter().map(|(kind, cpus)| format!("{} {kind}", cpus.len())).collect();
    let text = format!(
        "{} CPUs: a second on each is billed alike, though they draw different powers; the figures of workloads that keep to \
         one kind are less certain",
        names.join(" and ")
    );
    (kinds.len() > 1).then(|| finding("cpus", Level::Note, text))
}

fn carbon(root: &Path) -> Vec<Finding> {
    let factors = match factors::factors(root, &config::Carbon::default()) {
        Ok(factors) => factors,
        Err(error) => return vec![finding("carbon", Level::Degraded, error.to_string())],
    };
    let intensity = &factors.intensity;
    let world = format!(
        "{:.0} gCO2e/kWh, {} average: say where this machine is with --location or carbon.location",
        intensity.value.0,
        intensity.zone.to_lowercase(),
    );
    let embodied = match factors.embodied {
        Ok(embodied) => {
            finding("embodied", Level::Ok, format!("{:.0} kg, {}", embodied.total.0 / 1e3, embodied.origin.name()))
        }
        Err(reason) => finding("embodied", Level::Note, format!("unknown: {reason}")),
    };
    vec![finding("grid", Level::Note, world), embodied]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        assert_eq!(effective("Name:\tx\nCapEff:\t000001c000000004\n"), Some(0x1c0_0000_0004));
        assert_eq!(effective("Name:\tx\n"), None);
        assert_eq!(effective("CapEff:\tzz\n"), None);
    }

    #[test]
    fn the_worst_finding_decides_the_exit_code() {
        assert!(Level::Failed > Level::Degraded && Level::Degraded > Level::Note && Level::Note > Level::Ok);
    }
}
