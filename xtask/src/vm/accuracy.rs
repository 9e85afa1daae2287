//! The truth suite: what the agent tells of each workload, against a simulated meter that knows who used what.
//!
//! A machine of two sockets with the powercap simulator; the scenarios and their thresholds are in `tests/vm`. What comes
//! back are figures, one file for each scenario, which become a page. Scaphandre may run beside the agent, for comparison.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};

use super::{
    headers,
    kernels::{self, Flavour, Kernel},
    machine::{Boot, End, Machine},
    page::{self, Figures},
    programs::{Programs, utf8},
};
use crate::{
    report::{Outcome, Report},
    setup::peers,
    shell::{self, say},
};

/// Those that have headers to build the simulator against.
pub(super) const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];

/// Scenarios that share a machine.
struct Suite {
    name: &'static str,
    /// As the emulator takes them.
    cpus: &'static str,
    /// In the names of its scenarios; `None`: those that have no other's.
    mark: Option<&'static str>,
}

/// On each socket a CPU for loads, and one for everything else; and machines whose cores have two threads.
const SUITES: [Suite; 3] = [
    Suite { name: "accuracy", cpus: "4,sockets=2,cores=2", mark: None },
    Suite { name: "hyperthreads", cpus: "8,sockets=2,cores=2,threads=2", mark: Some("smt::") },
    Suite { name: "hyperthreads of one core", cpus: "4,sockets=2,cores=1,threads=2", mark: Some("one_core::") },
];

/// Set for the scenarios where Scaphandre runs beside the agent: its program.
const SCAPHANDRE: &str = "WATTRACE_SCAPHANDRE";

/// Which scenarios run, and what becomes of their figures.
pub(super) struct Choice<'a> {
    /// Arguments of the test program: parts of names.
    pub(super) arguments: &'a [String],
    /// The full forms of scenarios that have a short one.
    pub(super) long: bool,
    /// Run Scaphandre beside the agent.
    pub(super) scaphandre: bool,
    /// Write the page.
    pub(super) write: bool,
    /// How long one machine may take.
    pub(super) deadline: Duration,
}

/// One part of the report for each machine.
pub(super) fn run(report: &mut Report, series: &[String], choice: &Choice<'_>) {
    let programs = match Programs::build("vm") {
        Ok(programs) => programs,
        Err(error) => return report.check("vm accuracy", || Err(error)),
    };
    let scaphandre = match choice.scaphandre.then(peers::scaphandre).transpose() {
        Ok(scaphandre) => scaphandre,
        Err(error) => {
            report.check("scaphandre", || Err(error));
            // Scenarios need it not, the page does.
            if choice.write {
                return;
            }
            None
        }
    };
    let (figures, beside) = (Mutex::new(Figures::new()), Mutex::new(Figures::new()));
    let run = |suite: &Suite, prepared: Result<Prepared>, scaphandre: Option<&Path>| -> Result<Outcome> {
        let prepared = prepared?;
        let end = boot(suite, &prepared, (&programs, scaphandre), choice)?;
        let found = scenarios(&end.records)?;
        let figures = if scaphandre.is_some() { &beside } else { &figures };
        let mut figures = figures.lock().map_err(|_| anyhow!("another machine's figures are lost"))?;
        figures.entry(prepared.kernel.release).or_default().extend(found);
        Ok(end.outcome)
    };
    let run = &run;
    let mut parts = Vec::new();
    // A machine of its own for Scaphandre, which keeps an emulated CPU busy: nothing is held to limits there.
    for scaphandre in std::iter::once(None).chain(scaphandre.as_deref().map(Some)) {
        for (series, suite, prepared) in machines(series, choice) {
            let name = if scaphandre.is_some() { "scaphandre" } else { suite.name };
            parts.push((format!("vm {series} {name}"), move || run(suite, prepared, scaphandre)));
        }
    }
    report.tests_side_by_side(parts);
    if choice.write {
        let [mut figures, beside] = [figures, beside].map(|figures| figures.into_inner().unwrap_or_default());
        page::join(&mut figures, beside);
        report.check("docs/accuracy.md", || page::write(&figures).map(|()| true));
    }
}

/// A kernel, and the simulator's module for it.
#[derive(Clone)]
struct Prepared {
    kernel: Kernel,
    module: PathBuf,
}

/// Every machine that is wanted. One that cannot be had is there with the reason.
fn machines<'a>(series: &'a [String], choice: &Choice<'_>) -> Vec<(&'a str, &'static Suite, Result<Prepared>)> {
    let prepare = |series: &'a String| {
        let prepared = kernels::fetch(series, Flavour::Cloud)
            .and_then(|kernel| Ok(Prepared { kernel, module: simulator(series)? }));
        (series.as_str(), prepared)
    };
    // One after the other: there is one apt, and one folder of headers.
    let prepared: Vec<_> = series.iter().map(prepare).collect();
    let mut machines = Vec::new();
    for suite in SUITES.iter().filter(|suite| suite.is_wanted(choice.arguments)) {
        for (series, prepared) in &prepared {
            // Earlier kernels were not seen to find the threads of an emulated core.
            let fits = |prepared: &Prepared| suite.mark.is_none() || prepared.kernel.starts_cpus_at_once();
            match prepared {
                Ok(prepared) if fits(prepared) => machines.push((*series, suite, Ok(prepared.clone()))),
                Ok(_) => {}
                Err(error) => machines.push((*series, suite, Err(anyhow!("{error:#}")))),
            }
        }
    }
    machines
}

fn boot(suite: &Suite, prepared: &Prepared, programs: (&Programs, Option<&Path>), choice: &Choice<'_>) -> Result<End> {
    let (programs, scaphandre) = programs;
    let (mut files, mut environment) = (programs.files()?, programs.environment(choice.long && scaphandre.is_none())?);
    if let Some(program) = scaphandre {
        files.program(program)?;
        environment.push((SCAPHANDRE.to_owned(), utf8(program)?));
    }
    let modules = vec![prepared.module.clone()];
    let boot = Boot {
        kernel: &prepared.kernel,
        machine: &Machine { cpus: suite.cpus.to_owned(), modules, ..Machine::default() },
        files,
        command: programs.command(&suite.arguments(choice.arguments))?,
        environment,
        deadline: choice.deadline,
    };
    boot.run()
}

impl Suite {
    /// Whether a filter is for its scenarios.
    fn is_meant(&self, filter: &str) -> bool {
        marks().find(|mark| filter.contains(mark)) == self.mark
    }

    fn is_wanted(&self, filters: &[String]) -> bool {
        filters.is_empty() || filters.iter().any(|filter| self.is_meant(filter))
    }

    /// What picks its scenarios: the filters that are for them, or all.
    fn arguments(&self, filters: &[String]) -> Vec<String> {
        let own: Vec<String> = filters.iter().filter(|filter| self.is_meant(filter)).cloned().collect();
        match self.mark {
            None => own.into_iter().chain(marks().flat_map(|mark| ["--skip", mark].map(str::to_owned))).collect(),
            Some(mark) if own.is_empty() => vec![mark.to_owned()],
            Some(_) => own,
        }
    }
}

/// Of the suites that have one.
fn marks() -> impl Iterator<Item = &'static str> {
    SUITES.iter().filter_map(|suite| suite.mark)
}

fn scenarios(records: &BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, page::Scenario>> {
    let read = |(name, bytes): (&String, &Vec<u8>)| {
        let scenario = page::Scenario::read(bytes).with_context(|| format!("the guest's figures in {name}"))?;
        Ok((name.trim_end_matches(".json").to_owned(), scenario))
    };
    records.iter().map(read).collect()
}

/// The simulator's module for a kernel, built in a copy of its sources.
fn simulator(series: &str) -> Result<PathBuf> {
    let folder = shell::target().join("vm").join(series).join("simulator");
    copy(&shell::root().join("tests/vm/simulator"), &folder)?;
    headers::build_modules(series, &folder)?;
    let module = folder.join("wattrace_sim.ko");
    say(format_args!("vm: built {}", module.display()));
    Ok(module)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::remove_dir_all(to).ok();
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))
            .with_context(|| format!("cannot copy {}", entry.path().display()))?;
    }
    Ok(())
}
