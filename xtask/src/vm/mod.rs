//! `cargo xtask vm`: suites in virtual machines, on kernels that this machine does not run.
//!
//! A suite is a file here; what all of them need is in the others: [`kernels`] to boot, [`headers`] to build
//! modules for them, [`programs`] of this checkout and [`guest`] for its files, [`machine`] for one run.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, ensure};

use self::live::Choice;
use crate::{report::Report, shell, test};

mod accuracy;
mod beside;
mod channel;
mod debian;
mod disks;
pub mod guest;
pub mod headers;
pub mod kernels;
mod live;
pub mod machine;
mod modules;
mod page;
pub mod programs;

/// Programs that every suite needs, and the Debian packages that have them.
pub const TOOLS: [(&str, &str); 2] = [(machine::EMULATOR, "qemu-system-x86"), (machine::BUSYBOX, "busybox-static")];

/// When a machine is given up, in the forms that `cargo xtask test` and `cargo xtask test --long` run.
const SHORT_DEADLINE: Duration = Duration::from_secs(600);
const LONG_DEADLINE: Duration = Duration::from_secs(5400);

/// What the short form has. The suite of the simulated meter is held to narrow limits where the host's load is not seen.
const SHORT_KERNELS: [&str; 3] = ["5.10", "6.12", "7.3"];
const SHORT_ACCURACY_KERNELS: [&str; 2] = ["6.12", "7.3"];
/// A full kernel is 100 MB to download.
const SHORT_DISKS_KERNELS: [&str; 1] = ["6.12"];
const SHORT_LIVE: [&str; 15] = [
    "loader::",
    "sched::two_cgroups_with_known_use",
    "sched::cgroups_that_die",
    "sched::a_thread_that_is_never_switched_out",
    "binary::once_closes_its_books",
    "binary::two_capabilities_are_enough",
    "process::exits::a_process_ends_once",
    "process::exits::threads_that_end_at_once",
    "process::owners::a_process_that_the_kernel_ends",
    "tcp::counts::both_sides_count",
    "tcp::counts::what_was_never_established",
    "tcp::events::a_connection_is_told",
    "spares::",
    "daemon::clock::",
    "daemon::signals::sigterm_delivers",
];
const SHORT_ACCURACY: [&str; 7] = [
    "two_spinners_on_priced_sockets",
    "many_short_processes",
    "bursts_of_10_ms",
    "a_zone_that_starts_again",
    "an_agent_that_is_killed_and",
    "smt::siblings_as_the_agent_takes_them",
    "smt::two_spinners_on_cores_of_their_own",
];

/// Run a suite of tests in virtual machines, on other kernels
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm live                               the live tests on every kernel of the matrix, two at a time on two CPUs
  cargo xtask vm --kernel 6.12 live                 on one
  cargo xtask vm --kernel 5.10 live sched:: loader  those tests that have one of these in their name
  cargo xtask vm accuracy --write                   every scenario with a simulated meter, and the page of its figures
  cargo xtask vm accuracy --scaphandre two_spin     some of them with Scaphandre beside the agent, built where it is not here

  cargo xtask vm --kernel 6.12 disks                block I/O, on Debian's full kernel, which is 100 MB to download

Needs qemu-system-x86_64, a static busybox and apt (`cargo xtask setup --vm`), and no rights. Kernels are Debian's for cloud
machines, downloaded from this machine's Debian mirror and unpacked into $WATTRACE_TOOLS (default ~/.local/wattrace-tools);
remove vm/kernels there to get newer ones. Machines are emulated: what takes a minute here takes some there.")]
pub struct Args {
    /// A kernel by its series (6.12); may be given several times
    #[arg(long, value_name = "SERIES")]
    kernel: Vec<String>,
    /// The full forms of tests that have a short one
    #[arg(long)]
    long: bool,
    /// Minutes after which a machine is given up
    #[arg(long, value_name = "MINUTES", default_value_t = 40)]
    deadline: u64,
    #[command(subcommand)]
    suite: Suite,
}

#[derive(clap::Subcommand)]
enum Suite {
    /// The live tests: the agent's kernel programs and the daemon
    Live {
        /// Parts of the names of tests, or arguments of the test program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filters: Vec<String>,
    },
    /// Block I/O on virtual, made-up and mapped disks, with several file systems
    Disks {
        /// Parts of the names of scenarios
        filters: Vec<String>,
    },
    /// The daemon against the truth of a simulated meter, workload by workload
    Accuracy {
        /// Replace docs/accuracy.md by the figures of this run
        #[arg(long)]
        write: bool,
        /// Run Scaphandre beside the agent, under the same loads; --write does so too
        #[arg(long)]
        scaphandre: bool,
        /// Parts of the names of scenarios
        filters: Vec<String>,
    },
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let missing = missing();
    ensure!(missing.is_empty(), "missing: {}; run `cargo xtask setup --vm`", missing.join(", "));
    let deadline = Duration::from_secs(60 * args.deadline);
    let series = |all: &[&str]| {
        if args.kernel.is_empty() { all.iter().map(ToString::to_string).collect() } else { args.kernel.clone() }
    };
    let mut report = Report::new(std::env::var("CI").is_ok_and(|value| value == "true"));
    match &args.suite {
        Suite::Live { filters } => {
            let choice = Choice { arguments: filters, long: args.long, deadline };
            live::run(&mut report, &series(&kernels::SERIES), &choice);
        }
        Suite::Disks { filters } => {
            let choice = Choice { arguments: filters, long: args.long, deadline };
            disks::run(&mut report, &series(&kernels::SERIES), &choice);
        }
        Suite::Accuracy { write, scaphandre, filters } => {
            let (write, long, scaphandre) = (*write, args.long || *write, *scaphandre || *write);
            let choice = accuracy::Choice { arguments: filters, long, scaphandre, write, deadline };
            accuracy::run(&mut report, &series(&accuracy::KERNELS), &choice);
        }
    }
    Ok(test::close(&report))
}

/// Programs that no suite can do without and that are not here, with the package that has them.
pub fn missing() -> Vec<String> {
    let absent = TOOLS.into_iter().filter(|(tool, _)| !shell::has_program(tool));
    absent.map(|(tool, package)| format!("{tool} (Debian package {package})")).collect()
}

/// What `cargo xtask test` runs: oldest and newest of what is widely used, with those tests that differ most by kernel; or
/// every suite in full, on every kernel that it can run on.
pub fn part(report: &mut Report, long: bool) {
    const NAME: &str = "vm";
    let missing = missing();
    if !missing.is_empty() {
        return report.skip(NAME, &format!("missing tool: {}; run `cargo xtask setup --vm`", missing.join(", ")));
    }
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<String>>();
    let (tests, scenarios) = if long { (vec![], vec![]) } else { (owned(&SHORT_LIVE), owned(&SHORT_ACCURACY)) };
    let deadline = if long { LONG_DEADLINE } else { SHORT_DEADLINE };
    let kernels = |all: &[&str], some: &[&str]| owned(if long { all } else { some });
    live::run(report, &kernels(&kernels::SERIES, &SHORT_KERNELS), &Choice { arguments: &tests, long, deadline });
    disks::run(report, &kernels(&kernels::SERIES, &SHORT_DISKS_KERNELS), &Choice { arguments: &[], long, deadline });
    let choice = accuracy::Choice { arguments: &scenarios, long, scaphandre: long, write: false, deadline };
    accuracy::run(report, &kernels(&accuracy::KERNELS, &SHORT_ACCURACY_KERNELS), &choice);
}
