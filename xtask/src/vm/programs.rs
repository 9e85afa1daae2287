//! Programs of this checkout for a guest: the agent, one test program and its helpers, as they are released.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::guest::Files;
use crate::{
    parts::{LONG, PROGRAM},
    shell::{self, say},
};

/// How much longer tests wait in a guest, where everything is emulated.
const SLOW: (&str, &str) = ("WATTRACE_SLOW", "6");
/// Programs of others that the tests call, and busybox has not or not with the same options.
const TOOLS: [&str; 11] =
    ["bpftool", "chrt", "cp", "ip", "losetup", "mount", "nsenter", "setpriv", "ss", "umount", "unshare"];

/// Programs that were built from this checkout.
pub struct Programs {
    agent: PathBuf,
    tests: PathBuf,
    helpers: Vec<PathBuf>,
}

impl Programs {
    /// Builds the agent and the test target of that name.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build(tests: &str) -> Result<Self> {
        // One command, so that what both are made of is built once.
        let mut cargo = shell::cargo();
        cargo.args(["build", "--release", "-p", "wattrace", "-p", "wattrace-tests", "--bins", "--test", tests]);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        say(format_args!("run `{}`", shell::shown(&cargo)));
        let messages = shell::output(&mut cargo)?;
        let mut built: BTreeMap<String, PathBuf> = messages.lines().filter_map(executable).collect();
        let mut take = |name: &str| built.remove(name).with_context(|| format!("cargo built no program {name}"));
        Ok(Self { agent: take("wattrace")?, tests: take(tests)?, helpers: built.into_values().collect() })
    }

    /// Everything the tests look for, at the places where they look: programs, their libraries, fixtures.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn files(&self) -> Result<Files> {
        let mut files = Files::default();
        for program in [&self.agent, &self.tests].into_iter().chain(&self.helpers) {
            files.program(program)?;
        }
        for tool in TOOLS {
            files.tool(tool)?;
        }
        files.tree(&shell::root().join("tests/fixtures"))?;
        Ok(files)
    }

    /// The command that runs those tests that `arguments` pick, one by one: there is one agent per host. It shows what they
    /// print while they do, so that a machine that hangs tells where.
    ///
    /// # Errors
    /// When the checkout lies where its path is no UTF-8.
    pub fn command(&self, arguments: &[String]) -> Result<Vec<String>> {
        let mut command = vec![utf8(&self.tests)?, "--nocapture".to_owned(), "--test-threads=1".to_owned()];
        command.extend_from_slice(arguments);
        Ok(command)
    }

    /// The variables that tests are steered with.
    ///
    /// # Errors
    /// When the checkout lies where its path is no UTF-8.
    pub fn environment(&self, long: bool) -> Result<Vec<(String, String)>> {
        let mut variables = vec![(PROGRAM.to_owned(), utf8(&self.agent)?), (SLOW.0.to_owned(), SLOW.1.to_owned())];
        if long {
            variables.push((LONG.to_owned(), "1".to_owned()));
        }
        Ok(variables)
    }
}

/// A path as a word of a guest's command.
pub(super) fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is no UTF-8", path.display()))
}

/// Name and place of the program that a message of cargo tells of, if it does.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    Some((message.get("target")?.get("name")?.as_str()?.to_owned(), path.into()))
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
