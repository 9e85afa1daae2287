//! A Python environment of the tests' own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/requirements.txt");

/// The interpreter of an environment that holds `requirements.txt`, made when it is not there; none, with the
/// reason said, when this machine cannot make one.
pub(super) fn interpreter() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers-venv");
    let python = folder.join("bin/python");
    let made_for = folder.join("made-for");
    let wanted = fs::read_to_string(REQUIREMENTS).unwrap();
    // Written last: an environment that was cut off in the making is made again.
    if fs::read_to_string(&made_for).is_ok_and(|made| made == wanted) {
        return Some(python);
    }
    let steps = [
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output(),
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "-r", REQUIREMENTS])
            .stdin(Stdio::null())
            .output(),
    ];
    let tools = ["python3 with venv", "pip, or the package index it asks"];
    for (step, tool) in steps.into_iter().zip(tools) {
        let failure = match step {
            Ok(output) if output.status.success() => continue,
            Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        println!("SKIPPED: missing tool: {tool} ({failure})");
        return None;
    }
    fs::write(made_for, wanted).unwrap();
    Some(python)
}
