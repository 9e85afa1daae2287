//! Lines on standard error, which may be a journal, a file on a full disk, or a pipe whose reader left or sleeps:
//! whatever it is, whoever says something goes on.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

use super::line::{self, Style};

/// A reader that is busy for a moment gets so long, once; from then on lines are lost until it reads again.
const PATIENCE: Duration = Duration::from_millis(50);

/// Where lines go.
#[derive(Debug)]
pub(super) struct Lines {
    to: OwnedFd,
    style: Style,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that could not be written.
    lost: u64,
    /// Those of them that the reader does not know of.
    unsaid: u64,
}

impl Lines {
    /// `journal` is the value of `JOURNAL_STREAM`, if there is one.
    pub(super) fn new(to: OwnedFd, journal: Option<&str>) -> Self {
        let style = if journal.is_some_and(|stream| is_stream(&to, stream)) { Style::Journal } else { Style::Word };
        Self { to, style, state: Mutex::default() }
    }

    /// Writes one line of our own; not to be forwarded anywhere.
    pub(super) fn say(&self, level: Level, text: &str) {
        self.write(&line::of_text(self.style, level, text));
    }

    /// Lines that could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.state().lost
    }

    /// Whoever panicked while it wrote left at worst half a line.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, line: &str) {
        // Held while writing: what poll said is true until somebody else writes.
        let mut state = self.state();
        let patience = if state.unsaid == 0 { PATIENCE } else { Duration::ZERO };
        if state.unsaid > 0 {
            let text = format!("{} earlier lines could not be written", state.unsaid);
            if self.try_write(&line::of_text(self.style, Level::WARN, &text), patience).is_ok() {
                state.unsaid = 0;
            }
        }
        if state.unsaid > 0 || self.try_write(line, patience).is_err() {
            state.lost = state.lost.saturating_add(1);
            state.unsaid = state.unsaid.saturating_add(1);
        }
    }

    fn try_write(&self, line: &str, patience: Duration) -> Result<(), Errno> {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            self.wait(patience)?;
            match rustix::io::write(&self.to, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until a line can be written without blocking.
    fn wait(&self, patience: Duration) -> Result<(), Errno> {
        let patience = Timespec::try_from(patience).unwrap_or_default();
        loop {
            let mut ends = [PollFd::new(&self.to, PollFlags::OUT)];
            match poll(&mut ends, Some(&patience)) {
                Ok(0) => return Err(Errno::AGAIN),
                // An end that is gone is ready too: writing tells how it went.
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether `to` is the journal's stream, whose device and inode `stream` names (`systemd.exec(5)`, `$JOURNAL_STREAM`).
fn is_stream(to: &impl AsFd, stream: &str) -> bool {
    let found = rustix::fs::fstat(to).map(|found| format!("{}:{}", found.st_dev, found.st_ino));
    found.is_ok_and(|found| found == stream)
}

/// Each event that passes the filter becomes a line.
pub(super) struct Stderr(pub(super) Arc<Lines>);

impl<S: Subscriber> Layer<S> for Stderr {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.write(&line::of_event(self.0.style, event));
    }
}

#[cfg(test)]
mod tests;
