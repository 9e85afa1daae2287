//! Connections while they are open: the kernel programs tell of those that ended. What was open before is noted once, and
//! what is open now read at the end of an interval, after the kernel's maps.

use super::sources::Loss;
use crate::{clock, probes::inet_diag::Diag, samples::OpenConnection};

/// The kernel's list of sockets, or why there is none.
pub struct OpenConnections {
    diag: Result<Diag, String>,
}

impl OpenConnections {
    /// To be called before kernel programs are attached: what is open now is older than they are.
    pub fn begin() -> Self {
        Self { diag: Diag::open(clock::monotonic).map_err(|error| error.to_string()) }
    }

    /// What is open now; `None`: it is not known, which is counted. To be called after the kernel's maps were read: what ends
    /// in between is then in neither for an interval, and never in both.
    pub fn read(&mut self) -> Option<Vec<OpenConnection>> {
        self.diag.as_mut().ok()?.read(clock::monotonic).ok()
    }

    /// Why open connections are not known, what follows included.
    pub fn shortcoming(&self) -> Option<String> {
        let why = self.diag.as_ref().err()?;
        Some(format!("connections are told of when they end, and not while they are open: {why}"))
    }

    /// What could not be read.
    pub fn losses(&self) -> Vec<Loss> {
        let Ok(diag) = &self.diag else { return Vec::new() };
        let counts = diag.counts();
        let loss = |name: &str, count, loses| Loss { name: format!("inet_diag.{name}"), count, loses };
        vec![
            loss("failed", counts.failed, false),
            loss("untold", counts.untold, true),
            loss("malformed", counts.malformed, true),
            loss("interrupted", counts.interrupted, false),
        ]
    }
}
