//! `doctor`: what can be measured here, what cannot, and what to do about it.
//!
//! It tries the real thing: loads the kernel programs, reads the meter twice. Nothing stays behind.

use std::{fs, io, path::Path, process::ExitCode, time::Duration};

use serde::Serialize;

use crate::{
    clock, config,
    pipeline::{
        factors,
        meter::{self, Chosen, Meter},
        sources::{Sched, Sources},
    },
    probes::{
        bpf::layout::Layouts,
        cgroupfs::{self, Mode},
        lockdown,
    },
    samples::{EnergySource, ZoneReading, usage::Load},
};

/// How long a meter is given to advance.
const METER_PATIENCE: Duration = Duration::from_secs(1);

/// Bits of the capabilities that are used, by name.
const CAPABILITIES: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_DAC_READ_SEARCH", 2)];

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

/// Looks at everything and writes what was found; returns the worst of it.
pub fn run(root: &Path, json: bool, out: &mut impl io::Write) -> io::Result<Level> {
    let findings = findings(root);
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if json {
        serde_json::to_writer(&mut *out, &serde_json::json!({ "result": worst, "findings": findings }))?;
        writeln!(out)?;
        return Ok(worst);
    }
    for finding in &findings {
        writeln!(out, "{:<9} {:<12} {}", finding.level.name(), finding.check, finding.text)?;
    }
    writeln!(out, "\nresult: {}", worst.name())?;
    Ok(worst)
}

fn findings(root: &Path) -> Vec<Finding> {
    let mut findings = vec![kernel(), btf(root), lockdown(root), rights(root), cgroups(root)];
    findings.push(sched(root));
    let chosen = meter::choose(root, &config::Energy::default());
    findings.extend(energy(chosen));
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

fn rights(root: &Path) -> Finding {
    let effective = fs::read_to_string(root.join("proc/self/status")).ok().and_then(|text| effective(&text));
    let Some(effective) = effective else {
        return finding("rights", Level::Note, "cannot tell the capabilities of this process");
    };
    let missing: Vec<&str> =
        CAPABILITIES.iter().filter(|(_, bit)| effective & (1 << bit) == 0).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return finding("rights", Level::Ok, "CAP_BPF, CAP_PERFMON, CAP_DAC_READ_SEARCH");
    }
    let grant = "run as root, or `setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep` on the program";
    finding("rights", Level::Degraded, format!("{} missing: {grant}", missing.join(", ")))
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

fn sched(root: &Path) -> Finding {
    let sources = match Sources::open(root, true) {
        Ok(sources) => sources,
        Err(error) => return finding("sched probe", Level::Failed, error.to_string()),
    };
    match &sources.sched {
        Sched::Btf(programs) => match &programs.cgroups {
            Ok(_) => finding("sched probe", Level::Ok, "loaded, attached, and it knows this process on every CPU"),
            Err(reason) => finding("sched probe", Level::Degraded, format!("loaded; cgroup events are off: {reason}")),
        },
        Sched::Off(reason) => finding("sched probe", Level::Degraded, format!("off, nothing per workload: {reason}")),
    }
}

fn energy(mut chosen: Chosen) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        chosen.passed_over.iter().map(|reason| finding("meter", Level::Note, reason.clone())).collect();
    let (level, text) = match &chosen.meter {
        Meter::Powercap(_) => advances(&mut chosen.meter),
        Meter::Model(model) => {
            let model = &model.model;
            let share = model.uncertainty * 100.0;
            (Level::Degraded, format!("no meter: energy is modelled, ±{share:.0} %: {}", model.description))
        }
        Meter::None => (Level::Degraded, "energy is unknown: set energy.idle_watts and energy.max_watts".to_owned()),
    };
    findings.push(finding("energy", level, text));
    findings
}

/// Reads a meter until every zone has moved, or patience ends.
fn advances(meter: &mut Meter) -> (Level, String) {
    let first = meter.read(clock::now, &Load::default());
    let deadline = clock::monotonic().0 + u64::try_from(METER_PATIENCE.as_nanos()).unwrap_or(u64::MAX);
    let mut last = first.clone();
    while clock::monotonic().0 < deadline && !stuck(&first, &last).is_empty() {
        crate::pipeline::sources::pause(Duration::from_millis(50));
        last = meter.read(clock::now, &Load::default());
    }
    let unreadable = last.iter().filter(|zone| zone.counter.is_err()).count();
    let stuck = stuck(&first, &last);
    let source = meter.source();
    if unreadable > 0 {
        return (Level::Degraded, format!("{}: {unreadable} of {} zones cannot be read", source.name(), last.len()));
    }
    if !stuck.is_empty() {
        return (Level::Degraded, format!("{}: {} did not advance within a second", source.name(), stuck.join(", ")));
    }
    let level = if source == EnergySource::Vrapl { Level::Note } else { Level::Ok };
    (level, format!("{} ({}): {} zones, all advance", source.name(), source.quality(), last.len()))
}

fn stuck(first: &[ZoneReading], last: &[ZoneReading]) -> Vec<&'static str> {
    let same = first.iter().zip(last).filter(|(before, after)| before.counter == after.counter);
    same.map(|(zone, _)| zone.key.kind.name()).collect()
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
