//! `cargo xtask bench`: what the kernel programs and the daemon cost, beside a peer in the same run.

use std::process::ExitCode;

use anyhow::Result;

mod attached;
mod block;
mod cgroup;
mod compare;
mod daemon;
mod figures;
mod page;
mod process;
mod sched;
mod tcp;
mod turns;

/// Measure what wattrace costs the machine it measures
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Block(block::Args),
    Daemon(daemon::Args),
    Process(process::Args),
    Sched(sched::Args),
    Tcp(tcp::Args),
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Block(args) => block::run(args),
        What::Daemon(args) => daemon::run(args),
        What::Process(args) => process::run(args),
        What::Sched(args) => sched::run(args),
        What::Tcp(args) => tcp::run(args),
    }
}
