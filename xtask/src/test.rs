//! `cargo xtask test`: every test this machine can run, and what it could not run with the reason.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use crate::{parts, report::Report, setup, shell, vm};

/// Run every test; the last line is `N passed, N failed, N skipped`
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask test   everything; as root on Debian or Ubuntu it installs what is missing first
  cargo xtask test           what runs without rights; the rest is skipped with its reason
  cargo xtask test --long    the full forms of long tests

With CI=true a skip for a missing tool is a failure.")]
pub struct Args {
    /// The full forms of tests that have a short one
    #[arg(long)]
    pub long: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut report = Report::new(std::env::var("CI").is_ok_and(|value| value == "true"));
    if shell::is_root() && Path::new("/etc/debian_version").is_file() {
        let wanted = setup::Args { ebpf: true, tests: true, peers: true, vm: true };
        report.check("setup", || setup::run(&wanted).map(|code| code == ExitCode::SUCCESS));
    }
    parts::format(&mut report);
    parts::clippy(&mut report);
    parts::tidy(&mut report);
    parts::unit_tests(&mut report, true);
    parts::object(&mut report)?;
    parts::pipeline(&mut report, args.long);
    parts::live(&mut report, args.long);
    parts::peers(&mut report, args.long);
    vm::part(&mut report, args.long);
    Ok(close(&report))
}

/// Prints the report; success when nothing failed.
pub fn close(report: &Report) -> ExitCode {
    report.print();
    if report.total().failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
