//! `wattrace once` on a made-up machine, held at each of its readings so that nothing depends on timing.
//!
//! `/proc/stat` of the root is a named pipe. The program opens it first at each reading and stays there
//! until the test, having changed whatever it wants, writes the text; the meter is read after that.
#![expect(clippy::disallowed_methods, reason = "a test starts the program, and waits with a deadline")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::{
    machine_root::MachineRoot,
    patience,
    run::{Figures, Said, command},
};

/// How many seconds the program may take from one reading to the next.
const PATIENCE: u64 = 30;

/// A program at its next reading.
pub struct Held {
    child: Child,
    stat: PathBuf,
    /// The pipe that it reads now; taken when it goes on.
    pipe: Option<File>,
}

/// `once` on the machine, for 100 ms, without kernel programs. `None`: it needs rights, and the test is skipped.
pub fn once(machine: &MachineRoot, more: &[&str]) -> Result<Option<Held>> {
    let args = ["--interval", "100ms"].iter().chain(more).copied().collect::<Vec<_>>();
    once_for(machine, &args)
}

/// The same; the interval is among the arguments. Up to one second there are two readings, one more for each
/// further second.
pub fn once_for(machine: &MachineRoot, args: &[&str]) -> Result<Option<Held>> {
    let stat = machine.path().join("proc/stat");
    replace_by_pipe(&stat)?;
    let child = command("once", machine.path()).arg("--no-bpf").args(args).spawn();
    let child = child.context("the program does not start")?;
    let mut held = Held { child, stat, pipe: None };
    if held.wait()? {
        return Ok(Some(held));
    }
    match held.end()?.unless_refused() {
        Some(said) => bail!("the program ended early: {said:?}"),
        None => Ok(None),
    }
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
        let deadline = Instant::now() + patience(PATIENCE);
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
        bail!("the program came to no reading within {PATIENCE} s")
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

fn replace_by_pipe(path: &Path) -> Result<()> {
    let fresh = path.with_extension("next");
    let mode = Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(CWD, &fresh, FileType::Fifo, mode, 0).context("cannot make a named pipe")?;
    fs::rename(&fresh, path).context("cannot put a named pipe in its place")
}
