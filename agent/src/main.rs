//! The program: parse, dispatch, exit.

use std::process::ExitCode;

use clap::Parser;
use wattrace::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
