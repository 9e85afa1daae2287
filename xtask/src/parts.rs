//! The parts that `check` and `test` are made of.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{
    ebpf,
    report::{Outcome, Report, SKIPPED},
    shell, tidy,
};

/// Set for the whole-program tests: the built program.
pub const PROGRAM: &str = "WATTRACE_BIN";
/// Set for the whole-program tests when the full forms are wanted.
pub const LONG: &str = "WATTRACE_TEST_LONG";

/// Formatting of the workspace, and of the kernel side, which is no member.
pub fn format(report: &mut Report) {
    report.check("format", || shell::succeeds(shell::cargo().args(["fmt", "--all", "--check"])));
    if has("agent-ebpf/Cargo.toml") {
        let args = ["fmt", "--manifest-path", "agent-ebpf/Cargo.toml", "--check"];
        report.check("format agent-ebpf", || shell::succeeds(shell::cargo().args(args)));
    }
}

/// Clippy with no warning let through.
pub fn clippy(report: &mut Report) {
    let args = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    report.check("clippy", || shell::succeeds(shell::cargo().args(args)));
}

/// The rules of the tree.
pub fn tidy(report: &mut Report) {
    report.check("tidy", || tidy::run(&tidy::Args {}).map(|code| code == std::process::ExitCode::SUCCESS));
}

/// Tests beside the code: all of them, or those of the inner loop.
pub fn unit_tests(report: &mut Report, all: bool) {
    let inner = ["-p", "wattrace", "-p", "wattrace-common", "-p", "xtask", "--lib", "--bins"];
    let outer = ["--workspace", "--exclude", "wattrace-tests"];
    let mut command = shell::cargo();
    command.args(["test", "--no-fail-fast"]).args(if all { &outer[..] } else { &inner[..] });
    report.tests("unit tests", || libtest(&mut command));
}

/// The committed kernel object against a fresh build.
pub fn object(report: &mut Report) -> Result<()> {
    const NAME: &str = "kernel object";
    if !has("agent-ebpf/Cargo.toml") {
        return Ok(());
    }
    let missing = ebpf::toolchain::missing()?;
    if !missing.is_empty() {
        report.skip(NAME, &format!("missing tool: {}; run `cargo xtask setup --ebpf`", missing.join(", ")));
        return Ok(());
    }
    report.tests(NAME, || {
        let output = match ebpf::check()? {
            ebpf::Check::Same => "test result: ok. 1 passed; 0 failed; 0 ignored".to_owned(),
            ebpf::Check::Skipped(reason) => format!("{SKIPPED}{reason}"),
        };
        println!("{output}");
        Ok(Outcome { succeeded: true, output })
    });
    Ok(())
}

/// The real program on made-up machines: no rights needed.
pub fn pipeline(report: &mut Report, long: bool) {
    if has("tests/pipeline/main.rs") && build_program(report) {
        report.tests("pipeline", || libtest(&mut whole_program("pipeline", long)));
    }
}

/// The real program on this kernel: root and kernel types needed.
pub fn live(report: &mut Report, long: bool) {
    if !has("tests/live/main.rs") {
        return;
    }
    if let Some(reason) = cannot_run_live() {
        report.skip("live", reason);
    } else if build_program(report) {
        report.tests("live", || libtest(whole_program("live", long).arg("--test-threads=1")));
    }
}

fn cannot_run_live() -> Option<&'static str> {
    if !shell::is_root() {
        Some("live tests need root: run `sudo -E cargo xtask test`")
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        Some("live tests need a kernel with BTF (/sys/kernel/btf/vmlinux is not there)")
    } else {
        None
    }
}

/// The whole-program tests run a program that is built before them; only a failure is reported.
fn build_program(report: &mut Report) -> bool {
    let built = shell::succeeds(shell::cargo().args(["build", "-p", "wattrace"]));
    let is_built = matches!(built, Ok(true));
    if !is_built {
        report.check("build wattrace", || built);
    }
    is_built
}

fn whole_program(suite: &str, long: bool) -> Command {
    let mut command = shell::cargo();
    command.args(["test", "--no-fail-fast", "-p", "wattrace-tests", "--test", suite, "--", "--show-output"]);
    command.env(PROGRAM, shell::program("debug"));
    if long {
        command.env(LONG, "1");
    }
    command
}

fn libtest(command: &mut Command) -> Result<Outcome> {
    let (succeeded, output) = shell::tee(command)?;
    Ok(Outcome { succeeded, output })
}

fn has(file: &str) -> bool {
    shell::root().join(file).is_file()
}
