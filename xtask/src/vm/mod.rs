//! `cargo xtask vm`: suites in virtual machines, on kernels that this machine does not run.
//!
//! A suite is a file here; what all of them need is in the others: [`kernels`] to boot, [`headers`] to build
//! modules for them, [`guest`] for the files, [`machine`] for one run.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, ensure};

use crate::{report::Report, shell, test};

mod channel;
mod debian;
pub mod guest;
pub mod headers;
pub mod kernels;
mod live;
pub mod machine;

/// Programs that every suite needs, and the Debian packages that have them.
pub const TOOLS: [(&str, &str); 2] = [(machine::EMULATOR, "qemu-system-x86"), (machine::BUSYBOX, "busybox-static")];

/// Kernels of the short form: the oldest supported, and the one of Debian's stable release.
const SHORT_KERNELS: [&str; 2] = ["5.10", "6.12"];
/// Live tests of the short form: each stands for a group.
const SHORT_LIVE: [&str; 8] = [
    "loader::",
    "sched::two_cgroups_with_known_use",
    "sched::cgroups_that_die",
    "sched::a_thread_that_is_never_switched_out",
    "binary::once_closes_its_books",
    "binary::two_capabilities_are_enough",
    "daemon::clock::",
    "daemon::signals::sigterm_delivers",
];
const SHORT_DEADLINE: Duration = Duration::from_secs(600);
const LONG_DEADLINE: Duration = Duration::from_secs(5400);

/// Run a suite of tests in virtual machines, on other kernels
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm live                               the live tests on every kernel of the matrix, one after the other
  cargo xtask vm --kernel 6.12 live                 on one
  cargo xtask vm --kernel 5.10 live sched:: loader  those tests that have one of these in their name

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
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let missing = missing();
    ensure!(missing.is_empty(), "missing: {}; run `cargo xtask setup --vm`", missing.join(", "));
    let all = || kernels::SERIES.map(str::to_owned).to_vec();
    let series = if args.kernel.is_empty() { all() } else { args.kernel.clone() };
    let mut report = Report::new(std::env::var("CI").is_ok_and(|value| value == "true"));
    match &args.suite {
        Suite::Live { filters } => {
            let deadline = Duration::from_secs(60 * args.deadline);
            live_tests(&mut report, &series, filters, args.long, deadline);
        }
    }
    Ok(test::close(&report))
}

/// Programs that no suite can do without and that are not here, with the package that has them.
pub fn missing() -> Vec<String> {
    let absent = TOOLS.into_iter().filter(|(tool, _)| !shell::has_program(tool));
    absent.map(|(tool, package)| format!("{tool} (Debian package {package})")).collect()
}

/// What `cargo xtask test` runs: some live tests on two kernels, or all on all.
pub fn part(report: &mut Report, long: bool) {
    const NAME: &str = "vm";
    let missing = missing();
    if !missing.is_empty() {
        report.skip(NAME, &format!("missing tool: {}; run `cargo xtask setup --vm`", missing.join(", ")));
    } else if long {
        live_tests(report, &kernels::SERIES.map(str::to_owned), &[], true, LONG_DEADLINE);
    } else {
        let short = SHORT_LIVE.map(str::to_owned);
        live_tests(report, &SHORT_KERNELS.map(str::to_owned), &short, false, SHORT_DEADLINE);
    }
}

/// One part of the report per kernel. A kernel that cannot be had fails its part and no other.
fn live_tests(report: &mut Report, series: &[String], arguments: &[String], long: bool, deadline: Duration) {
    let programs = match live::build() {
        Ok(programs) => programs,
        Err(error) => return report.check("vm", || Err(error)),
    };
    for series in series {
        report.tests(&format!("vm {series} live"), || {
            let kernel = kernels::fetch(series)?;
            live::run(&programs, &kernel, arguments, long, deadline)
        });
    }
}
