//! `cargo xtask check`: the inner loop, under two minutes.

use std::process::ExitCode;

use anyhow::Result;

use crate::{parts, report::Report, test};

/// Format, lints, tidy and unit tests: the inner loop before a commit
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask check    needs no root, no network and no tool but cargo")]
pub struct Args {}

/// Runs the verb.
pub fn run(_: &Args) -> Result<ExitCode> {
    let mut report = Report::new(false);
    parts::format(&mut report);
    parts::clippy(&mut report);
    parts::tidy(&mut report);
    parts::unit_tests(&mut report, false);
    Ok(test::close(&report))
}
