//! The parts that `check` and `test` are made of.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    ebpf,
    report::{Outcome, Report, SKIPPED},
    shell, tidy,
};

/// Set for the whole-program tests: the built program.
pub const PROGRAM: &str = "WATTRACE_BIN";
/// Set for the whole-program tests when the full forms are wanted.
pub const LONG: &str = "WATTRACE_TEST_LONG";

/// Set for the peers tests: where the programs of others are.
const TOOLS: &str = "WATTRACE_TOOLS";

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
    let helpers = ["-p", "wattrace-tests", "--lib", "--bins"];
    let run = |args: &[&str]| libtest(shell::cargo().args(["test", "--no-fail-fast"]).args(args));
    report.tests("unit tests", || run(if all { &outer } else { &inner }));
    if all {
        report.tests("test helpers", || run(&helpers));
    }
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
    let Some(suites) = suites(report, "tests/pipeline/") else { return };
    report.tests("pipeline", || libtest(whole_program(&suites, long).args(["--", "--show-output"])));
}

/// The real program on this kernel: root and kernel types needed.
pub fn live(report: &mut Report, long: bool) {
    let Some(suites) = suites(report, "tests/live/") else { return };
    if let Some(reason) = cannot_run_live() {
        report.skip("live", reason);
    } else {
        let one_by_one = ["--", "--show-output", "--test-threads=1"];
        report.tests("live", || libtest(whole_program(&suites, long).args(one_by_one)));
    }
}

/// What the real program sends, as programs of others take it. One by one: there is one agent per host.
pub fn peers(report: &mut Report, long: bool) {
    let Some(suites) = suites(report, "tests/peers/") else { return };
    let one_by_one = ["--", "--show-output", "--test-threads=1"];
    report.tests("peers", || {
        libtest(whole_program(&suites, long).env(TOOLS, ebpf::toolchain::tools_root()?).args(one_by_one))
    });
}

/// Names of the test programs whose source lies in `folder`, with the program they run built; nothing
/// when there are none, or the build failed, which is reported.
fn suites(report: &mut Report, folder: &str) -> Option<Vec<String>> {
    let metadata = shell::output(shell::cargo().args(["metadata", "--no-deps", "--format-version", "1"]));
    let suites = metadata.and_then(|text| test_targets(&text, &shell::root().join(folder)));
    let ready = suites.and_then(|suites| {
        if !suites.is_empty() {
            shell::run(shell::cargo().args(["build", "-p", "wattrace"]))?;
        }
        Ok(suites)
    });
    match ready {
        Ok(suites) => Some(suites).filter(|suites| !suites.is_empty()),
        Err(error) => {
            report.check(folder, || Err(error));
            None
        }
    }
}

/// Names of the test targets in cargo's metadata whose source lies in `folder`.
fn test_targets(metadata: &str, folder: &Path) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata).context("cargo metadata is no JSON")?;
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let targets = list(&metadata, "packages").iter().flat_map(|package| list(package, "targets")).collect::<Vec<_>>();
    let is_suite = |target: &&Value| {
        let source = target.get("src_path").and_then(Value::as_str).unwrap_or_default();
        list(target, "kind").contains(&Value::from("test")) && Path::new(source).starts_with(folder)
    };
    let name = |target: &Value| target.get("name").and_then(Value::as_str).map(str::to_owned);
    Ok(targets.iter().filter(is_suite).filter_map(name).collect())
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

fn whole_program(suites: &[String], long: bool) -> Command {
    let mut command = shell::cargo();
    command.args(["test", "--no-fail-fast", "-p", "wattrace-tests"]);
    for suite in suites {
        command.args(["--test", suite]);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_found_by_their_folder() {
        let target = |kind: &str, name: &str, path: &str| {
            format!(r#"{{"kind":["{kind}"],"name":"{name}","src_path":"{path}"}}"#)
        };
        let targets = [
            target("test", "pipeline", "/w/tests/pipeline/main.rs"),
            target("test", "btf", "/w/tests/pipeline/btf.rs"),
            target("test", "live", "/w/tests/live/main.rs"),
            target("lib", "helpers", "/w/tests/pipeline/lib.rs"),
        ];
        let metadata = format!(r#"{{"packages":[{{"targets":[]}},{{"targets":[{}]}}]}}"#, targets.join(","));
        let found = |folder: &str| test_targets(&metadata, Path::new(folder)).unwrap();
        assert_eq!(found("/w/tests/pipeline/"), ["pipeline", "btf"]);
        assert_eq!(found("/w/tests/live/"), ["live"]);
        assert_eq!(found("/w/tests/vm/"), [""; 0]);
        assert!(test_targets("", Path::new("/")).is_err());
    }
}
