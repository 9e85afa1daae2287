//! What is asked of the kernel programs that comes in kinds.

use std::{fs, path::Path};

/// Which events are sent, of those in [`wattrace_common::events`].
#[expect(clippy::struct_excessive_bools, reason = "each kind is asked for by itself")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EventPlan {
    /// Programs that are started.
    pub exec: bool,
    /// With their arguments.
    pub args: bool,
    /// Processes that end.
    pub exit: bool,
    /// Connections that end.
    pub closed: bool,
    /// Events of a kind that a workload may send in a window; `None`: as many as the ring takes.
    pub rate: Option<u32>,
}

/// Programs that stand in for those that the kernel leaves out while another task has taken the CPU from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spares {
    /// None: nothing takes the CPU from a program.
    None,
    /// Beside the others.
    Beside,
    /// Without them: all is theirs to count.
    Alone,
}

impl Spares {
    /// What the running kernel needs; `root` is where `proc` is.
    pub fn on(root: &Path) -> Self {
        Self::for_release(&fs::read_to_string(root.join("proc/sys/kernel/osrelease")).unwrap_or_default())
    }

    /// What a kernel of this release needs (`7.3.4+deb13-cloud-amd64`). From 7.0 on tracepoints are guarded by SRCU, and preemption is on
    /// while their programs run.
    pub fn for_release(release: &str) -> Self {
        let major = release.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major >= 7) { Self::Beside } else { Self::None }
    }
}

/// What is counted of block I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BlockMode {
    /// Nothing.
    Off,
    /// Requests, timed from when the kernel made them: the wait in a queue is part of it.
    #[default]
    Total,
    /// Requests, timed from when their driver got them.
    Device,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_from_7_on_need_spares() {
        let needs = |release| Spares::for_release(release) == Spares::Beside;
        assert!(needs("7.0.0") && needs("7.3.4+deb13-cloud-amd64\n") && needs("10.1"));
        assert!(!needs("6.19.7") && !needs("5.10.0-46-amd64") && !needs("") && !needs("seven.1"));
    }
}
