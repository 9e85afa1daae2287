//! `wattrace once` on a made-up machine, held at each of its readings so that nothing depends on timing.
//!
//! `/proc/stat` of the root is a named pipe. The program opens it first at each reading and stays there
//! until the test, having changed whatever it wants, writes the text; the meter is read after that.
#![expect(clippy::disallowed_methods, reason = "a test starts the program, and waits with a deadline")]

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use serde_json::Value;

use crate::{machine_root::MachineRoot, program};

/// How long the program may take from one reading to the next.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the program says when only root may ask for so short an interval.
const REFUSED: &str = "so only root may ask for them";

/// A program at its next reading.
pub struct Held {
    child: Child,
    stat: PathBuf,
    /// The pipe that it reads now; taken when it goes on.
    pipe: Option<File>,
}

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

/// `once` on the machine, for 100 ms, without kernel programs. `None`: it was refused for want of rights, and said so.
pub fn once(machine: &MachineRoot, more: &[&str]) -> Result<Option<Held>> {
    let args = ["--interval", "100ms"].iter().chain(more).copied().collect::<Vec<_>>();
    once_for(machine, &args)
}

/// The same; the interval is among the arguments. Up to one second there are two readings, one more for each
/// further second.
pub fn once_for(machine: &MachineRoot, args: &[&str]) -> Result<Option<Held>> {
    let stat = machine.path().join("proc/stat");
    replace_by_pipe(&stat)?;
    let child = command(machine.path()).args(args).spawn().context("the program does not start")?;
    let mut held = Held { child, stat, pipe: None };
    if held.wait()? {
        return Ok(Some(held));
    }
    let said = held.end()?;
    ensure!(said.err.contains(REFUSED), "the program ended early: {said:?}");
    println!("SKIPPED: short intervals need root");
    Ok(None)
}

/// `once` on a root, not held, with its output caught; the interval is still to be given.
pub fn command(root: &Path) -> Command {
    let mut command = Command::new(program());
    command.args([OsStr::new("once"), OsStr::new("--no-bpf"), OsStr::new("--root"), root.as_os_str()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Held {
    /// Lets it read these CPU times, and waits until it is at its next reading; at the last one, use [`Self::finish`].
    pub fn go_on(&mut self, stat: &str) -> Result<()> {
        self.release(stat)?;
        ensure!(self.wait()?, "the program ended early");
        Ok(())
    }

    /// Lets it read these CPU times, and waits for its end.
    pub fn finish(mut self, stat: &str) -> Result<Said> {
        self.release(stat)?;
        self.end()
    }

    /// The end of `once --json`, which must be a good one.
    pub fn figures(self, stat: &str) -> Result<Figures> {
        self.finish(stat)?.figures()
    }

    /// Another pipe takes the place before this one is written: the next reading cannot be mistaken for this one.
    fn release(&mut self, stat: &str) -> Result<()> {
        let mut pipe = self.pipe.take().context("the program is at no reading")?;
        replace_by_pipe(&self.stat)?;
        pipe.write_all(stat.as_bytes()).context("the program does not read its CPU times")
    }

    /// Whether it came to a reading; else it has ended.
    fn wait(&mut self) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Without a reader it cannot be opened for writing.
            let flags = i32::try_from(OFlags::NONBLOCK.bits())?;
            if let Ok(pipe) = OpenOptions::new().write(true).custom_flags(flags).open(&self.stat) {
                self.pipe = Some(pipe);
                return Ok(true);
            }
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the program came to no reading within {PATIENCE:?}")
    }

    fn end(mut self) -> Result<Said> {
        Said::of(&mut self.child)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Said {
    /// Of a program, once it has ended. Little is said on standard error: it waits in its pipe meanwhile.
    pub fn of(child: &mut Child) -> Result<Self> {
        let (out, err) = (text(child.stdout.take())?, text(child.stderr.take())?);
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

fn replace_by_pipe(path: &Path) -> Result<()> {
    let fresh = path.with_extension("next");
    let mode = Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(CWD, &fresh, FileType::Fifo, mode, 0).context("cannot make a named pipe")?;
    fs::rename(&fresh, path).context("cannot put a named pipe in its place")
}
