//! The live tests in guests: the same test program, on other kernels, with cgroups of version 2 only.

use std::time::Duration;

use anyhow::Result;

use super::{
    kernels::{self, Flavour, Kernel},
    machine::{Boot, Machine},
    modules,
    programs::Programs,
};
use crate::{report::Report, shell};

/// Nobody loads them when they are asked for, as on a machine with all its programs: the list of open connections, and devices
/// whose packets a test carries.
const MODULES: [&str; 2] = ["tcp_diag", "tun"];

/// Which tests run, and how.
pub(super) struct Choice<'a> {
    /// Arguments of the test program: parts of names.
    pub(super) arguments: &'a [String],
    /// The full forms of tests that have a short one.
    pub(super) long: bool,
    /// How long one machine may take.
    pub(super) deadline: Duration,
}

/// One part of the report per kernel. A kernel that cannot be had fails its part and no other.
pub(super) fn run(report: &mut Report, series: &[String], choice: &Choice<'_>) {
    let programs = match Programs::build("live") {
        Ok(programs) => programs,
        Err(error) => return report.check("vm", || Err(error)),
    };
    let on = |kernel: Result<Kernel>| {
        let kernel = kernel?;
        let folder = shell::target().join("vm").join(&kernel.series).join("live");
        let modules = modules::with_needs(&kernel, &MODULES, &folder.join("modules"))?;
        let boot = Boot {
            kernel: &kernel,
            machine: &Machine { modules, ..Machine::default() },
            files: programs.files()?,
            command: programs.command(choice.arguments)?,
            environment: programs.environment(choice.long)?,
            deadline: choice.deadline,
        };
        Ok(boot.run()?.outcome)
    };
    // One after the other: there is one apt.
    let fetched = series.iter().map(|series| (format!("vm {series} live"), kernels::fetch(series, Flavour::Cloud)));
    report.tests_side_by_side(fetched.map(|(name, kernel)| (name, || on(kernel))).collect());
}
