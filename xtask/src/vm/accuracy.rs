//! The truth suite: what the agent tells of each workload, against a simulated meter that knows who used what.
//!
//! A machine of two sockets with the powercap simulator; the scenarios and their thresholds are in `tests/vm`. What comes
//! back are figures, one file for each scenario, which become a page. Scaphandre may run beside the agent, for comparison.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    headers, kernels,
    machine::{Boot, Machine},
    page::{self, Figures},
    programs::{Programs, utf8},
};
use crate::{
    report::Report,
    setup::peers,
    shell::{self, say},
};

/// Those that have headers to build the simulator against.
pub(super) const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];
/// A CPU of each socket for loads, and one for everything else.
const CPUS: &str = "4,sockets=2,cores=2";

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

/// One part of the report per kernel.
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
    let mut figures = Figures::new();
    for series in series {
        report.tests(&format!("vm {series} accuracy"), || {
            let kernel = kernels::fetch(series)?;
            let (mut files, mut environment) = (programs.files()?, programs.environment(choice.long)?);
            if let Some(program) = &scaphandre {
                files.program(program)?;
                environment.push((SCAPHANDRE.to_owned(), utf8(program)?));
            }
            let boot = Boot {
                kernel: &kernel,
                machine: &Machine { cpus: CPUS.to_owned(), modules: vec![simulator(series)?], ..Machine::default() },
                files,
                command: programs.command(choice.arguments)?,
                environment,
                deadline: choice.deadline,
            };
            let end = boot.run()?;
            figures.insert(kernel.release, scenarios(&end.records)?);
            Ok(end.outcome)
        });
    }
    if choice.write {
        report.check("docs/accuracy.md", || page::write(&figures).map(|()| true));
    }
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
