//! Running the real program on another root, and reading what it says.
#![expect(clippy::disallowed_methods, reason = "a test starts the program")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{
        fs::PermissionsExt,
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::program;

/// What the program says when only root may ask for so short an interval.
const REFUSED: &str = "so only root may ask for them";
/// nobody
const UNPRIVILEGED: u32 = 65_534;

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Said {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// `once --json`, read.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The line of the machine.
    pub node: Value,
    /// The lines of the workloads.
    pub workloads: Vec<Value>,
    /// Standard error.
    pub err: String,
}

/// A subcommand on a root, with its output caught.
pub fn command(verb: &str, root: &Path) -> Command {
    caught(Command::new(program()), verb, root)
}

/// A program that runs as a user without rights, where every user can reach it: the build directory may lie where others
/// cannot look.
pub struct Unprivileged {
    /// What is run.
    pub command: Command,
    /// Where it lies until this is dropped; a program that was started stays.
    folder: Option<TempDir>,
}

impl Unprivileged {
    /// The program alone; as nobody, when the test runs as root.
    pub fn new() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { command: Command::new(program()), folder: None });
        }
        let mut copy = Self::copied()?;
        copy.command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        Ok(copy)
    }

    /// A copy within everybody's reach, to be run by whoever the test says.
    pub fn copied() -> Result<Self> {
        let everybody = || fs::Permissions::from_mode(0o755);
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), everybody())?;
        let copy = folder.path().join("wattrace");
        // Another process writes it: a file that is open for writing here would be open in every program that is just
        // being started by another test, too, and could not be executed.
        let copied = Command::new("cp").arg(program()).arg(&copy).status()?;
        ensure!(copied.success(), "the program cannot be copied");
        fs::set_permissions(&copy, everybody())?;
        Ok(Self { command: Command::new(&copy), folder: Some(folder) })
    }

    /// Where the program is.
    pub fn path(&self) -> PathBuf {
        self.folder.as_ref().map_or_else(program, |folder| folder.path().join("wattrace"))
    }
}

/// A subcommand on a root as a user without rights, with its output caught.
pub fn unprivileged(verb: &str, root: &Path) -> Result<Unprivileged> {
    let Unprivileged { command, folder } = Unprivileged::new()?;
    Ok(Unprivileged { command: caught(command, verb, root), folder })
}

fn caught(mut command: Command, verb: &str, root: &Path) -> Command {
    command.arg(verb).arg("--root").arg(root);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `once --json` that has begun to measure.
pub struct Measuring(Child);

impl Measuring {
    /// Starts it, its output caught; measuring when this returns.
    ///
    /// # Errors
    /// When it ends before.
    pub fn start(once: &mut Command) -> Result<Self> {
        let mut child = once.arg("--json").spawn()?;
        let said = child.stderr.take().context("standard error is not caught")?;
        let begins = BufReader::new(said).lines().map_while(Result::ok).any(|line| line.contains("measuring for"));
        ensure!(begins, "it did not begin to measure");
        Ok(Self(child))
    }

    /// The lines of the node and of the workloads; what was to be measured is over by now.
    ///
    /// # Errors
    /// When it ended before, or failed.
    pub fn lines(mut self) -> Result<Vec<Value>> {
        ensure!(self.0.try_wait()?.is_none(), "the loads outlived the interval");
        let output = self.0.wait_with_output()?;
        ensure!(output.status.success(), "the program failed");
        Ok(serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<serde_json::Result<_>>()?)
    }
}

/// `once` for 100 ms without kernel programs. `None`: it needs rights, and the test is skipped.
pub fn once(root: &Path, more: &[&str]) -> Result<Option<Said>> {
    let mut command = command("once", root);
    let said = Said::of(&mut command.args(["--no-bpf", "--interval", "100ms"]).args(more).spawn()?)?;
    Ok(said.unless_refused())
}

impl Said {
    /// Of a program, once it has ended.
    pub fn of(child: &mut Child) -> Result<Self> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // Both at once: who waits for one while the other's pipe is full waits for ever.
        let err = std::thread::spawn(move || text(stderr));
        let out = text(stdout)?;
        let err = err.join().map_err(|_| anyhow!("nobody reads standard error"))??;
        Ok(Self { status: child.wait()?, out, err })
    }

    /// JSON lines of a run that went well.
    pub fn figures(self) -> Result<Figures> {
        ensure!(self.status.success(), "the program failed: {}", self.err);
        ensure!(self.err.contains("measuring for"), "it does not say that it measures: {}", self.err);
        let lines = self.out.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Value>>>();
        let mut lines = lines.with_context(|| self.out.clone())?.into_iter();
        let node = lines.next().context("no line")?;
        Ok(Figures { node, workloads: lines.collect(), err: self.err })
    }

    /// Whether the interval was refused for want of rights.
    pub fn is_refused(&self) -> bool {
        !self.status.success() && self.err.contains(REFUSED)
    }

    /// Nothing when the interval was refused: the test is reported as skipped, and must end.
    pub fn unless_refused(self) -> Option<Self> {
        if self.is_refused() {
            println!("SKIPPED: short intervals need root");
            return None;
        }
        Some(self)
    }

    /// Its exit code, after an end of its own: no panic, no signal.
    pub fn code(&self) -> Result<i32> {
        ensure!(!self.err.contains("panicked"), "it panicked: {}", self.err);
        self.status.code().with_context(|| format!("ended by signal {:?}: {}", self.status.signal(), self.err))
    }
}

fn text(stream: Option<impl Read>) -> Result<String> {
    let mut text = String::new();
    if let Some(mut stream) = stream {
        stream.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// Joules of a JSON view in whole microjoules; `None` for what is unknown.
#[expect(clippy::cast_possible_truncation, reason = "no test uses more than kilojoules")]
pub fn microjoules(joules: &Value) -> Option<i64> {
    joules.as_f64().map(|joules| (joules * 1e6).round() as i64)
}
