//! `cargo xtask VERB`: a table of contents. Each verb has a file of its own.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, check, docs, ebpf, run, setup, shell, test, tidy, vm};

/// Building, testing and checking wattrace: what cargo itself cannot say.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Start with `cargo xtask run`, and before a commit `cargo xtask check`."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Run(run::Args),
    Check(check::Args),
    Test(test::Args),
    Setup(setup::Args),
    Ebpf(ebpf::Args),
    Bench(bench::Args),
    Docs(docs::Args),
    Tidy(tidy::Args),
    Vm(vm::Args),
}

fn main() -> ExitCode {
    if let Some(code) = ebpf::wrapper::take_over() {
        return code;
    }
    let outcome = match Cli::parse().verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Setup(args) => setup::run(&args),
        Verb::Ebpf(args) => ebpf::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Docs(args) => docs::run(&args),
        Verb::Tidy(args) => tidy::run(&args),
        Verb::Vm(args) => vm::run(&args),
    };
    shell::exit_code(outcome)
}
