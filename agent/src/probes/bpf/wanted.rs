//! What is asked of the kernel programs that comes in kinds.

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
