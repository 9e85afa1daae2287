//! The live tests in a guest: the same test program, on another kernel, with cgroups of version 2 only.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    guest::Files,
    kernels::Kernel,
    machine::{Boot, Machine},
};
use crate::{
    parts::{LONG, PROGRAM},
    report::Outcome,
    shell::{self, say},
};

/// How much longer tests wait in a guest, where everything is emulated.
const SLOW: (&str, &str) = ("WATTRACE_SLOW", "6");
/// Programs of others that the tests call, and busybox has not or not with the same options.
const TOOLS: [&str; 10] =
    ["bpftool", "chrt", "cp", "ip", "losetup", "mount", "nsenter", "setpriv", "umount", "unshare"];

/// Programs that were built from this checkout.
pub(super) struct Programs {
    agent: PathBuf,
    tests: PathBuf,
    helpers: Vec<PathBuf>,
}

/// Builds the agent and the live tests as they are released.
pub(super) fn build() -> Result<Programs> {
    // One command, so that what both are made of is built once.
    let args = ["build", "-p", "wattrace", "-p", "wattrace-tests", "--bins", "--test", "live"];
    let mut built = executables(&args)?;
    let mut take = |name: &str| built.remove(name).with_context(|| format!("cargo built no program {name}"));
    Ok(Programs { agent: take("wattrace")?, tests: take("live")?, helpers: built.into_values().collect() })
}

/// Runs a cargo command for the release profile; the programs it made, by the names of their targets.
fn executables(args: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = shell::cargo();
    cargo.args(args).args(["--release", "--message-format", "json-render-diagnostics"]);
    say(format_args!("run `{}`", shell::shown(&cargo)));
    let messages = shell::output(&mut cargo)?;
    Ok(messages.lines().filter_map(executable).collect())
}

fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    Some((message.get("target")?.get("name")?.as_str()?.to_owned(), path.into()))
}

/// Runs the live tests, or those that `arguments` (of the test program) pick, in a guest.
pub(super) fn run(
    programs: &Programs,
    kernel: &Kernel,
    arguments: &[String],
    long: bool,
    deadline: Duration,
) -> Result<Outcome> {
    let mut files = Files::default();
    for program in [&programs.agent, &programs.tests].into_iter().chain(&programs.helpers) {
        files.program(program)?;
    }
    for tool in TOOLS {
        files.tool(tool)?;
    }
    files.tree(&shell::root().join("tests/fixtures"))?;
    let path = |path: &Path| path.to_str().map(str::to_owned).context("the checkout's path is no UTF-8");
    let mut command = vec![path(&programs.tests)?, "--nocapture".to_owned(), "--test-threads=1".to_owned()];
    command.extend_from_slice(arguments);
    let mut environment = vec![(PROGRAM.to_owned(), path(&programs.agent)?), (SLOW.0.to_owned(), SLOW.1.to_owned())];
    if long {
        environment.push((LONG.to_owned(), "1".to_owned()));
    }
    Ok(Boot { kernel, machine: &Machine::default(), files, command, environment, deadline }.run()?.outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_cargos_messages() {
        let program = r#"{"reason":"compiler-artifact","target":{"name":"burn"},"executable":"/t/burn"}"#;
        let library = r#"{"reason":"compiler-artifact","target":{"name":"x"},"executable":null}"#;
        assert_eq!(executable(program), Some(("burn".to_owned(), "/t/burn".into())));
        assert_eq!(executable(library), None);
        assert_eq!(executable("no JSON"), None);
    }
}
