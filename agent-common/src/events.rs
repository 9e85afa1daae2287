//! Events that travel one by one, each kind only where it is asked for: programs that were started, processes and
//! connections that ended.
//!
//! Each workload may send so many of a kind in a window of time, so that none drowns the others: what is beyond that is counted
//! in its row and nothing else. Only the bytes that are used travel; a record starts with its [`Head`].

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum EventKind {
    /// A program was started: [`ExecEvent`].
    Exec = 1,
    /// A process ended: [`ExitEvent`].
    Exit = 2,
    /// A connection that had been established ended: [`ClosedEvent`].
    Closed = 3,
}

/// How much a workload sends of one kind. A window is 2^30 ns of the monotonic clock, a little more than a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Limiter {
    /// Number of the window.
    pub window: u64,
    /// Events in it, those that were not sent included.
    pub taken: u64,
    /// Events that were not sent, since the row was taken: beyond the rate, or the ring was full.
    pub dropped: u64,
}

/// Nanoseconds to a window's number, as a shift.
pub const WINDOW_SHIFT: u32 = 30;

/// What each event begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Head {
    /// [`EventKind`]
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// When, nanoseconds of the monotonic clock.
    pub at: u64,
    /// Whose: of a connection [`crate::owner::OwnerKey`], else [`crate::process::ActorKey`].
    pub key: u64,
}

/// Bytes of a program's path that travel.
pub const FILE_MAX: usize = 64;
/// Bytes of its arguments, where they do.
pub const ARGS_MAX: usize = 1024;

/// Which process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Who {
    /// When it was made, nanoseconds of boot time: with the next, it names a process for good.
    pub start: u64,
    /// Its id.
    pub tgid: u32,
    /// That of its parent.
    pub parent: u32,
    /// `comm` of its main thread.
    pub comm: [u8; 16],
}

/// A program was started.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExecEvent {
    /// What and when.
    pub head: Head,
    /// By which process.
    pub who: Who,
    /// Bytes of [`Self::file`] that are used.
    pub file_len: u32,
    /// Bytes of [`Self::args`] that travel.
    pub args_len: u32,
    /// Bytes of all arguments: more than travel where they were cut.
    pub args_total: u32,
    /// Zero.
    pub reserved: u32,
    /// The path as it was asked for, cut at [`FILE_MAX`].
    pub file: [u8; FILE_MAX],
    /// Arguments, a NUL after each.
    pub args: [u8; ARGS_MAX],
}

/// A process ended: its last thread left the CPU for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ExitEvent {
    /// What and when.
    pub head: Head,
    /// Which.
    pub who: Who,
    /// Nanoseconds on the CPU of all its threads.
    pub cpu: u64,
    /// Bytes it read from storage; [`UNKNOWN_BYTES`] where the kernel keeps no account.
    pub read: u64,
    /// Bytes it had written to storage, likewise.
    pub written: u64,
    /// As `wait` tells it.
    pub status: u32,
    /// [`crate::process::ExitReason`]
    pub reason: u32,
}

/// Bytes that are not known.
pub const UNKNOWN_BYTES: u64 = u64::MAX;

/// A connection ended that had been established.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ClosedEvent {
    /// What and when.
    pub head: Head,
    /// When it was established, nanoseconds of the monotonic clock; 0: before the programs were there.
    pub established: u64,
    /// Nanoseconds of its handshake; [`crate::tcp::UNKNOWN`].
    pub handshake: u64,
    /// Payload bytes sent, each once.
    pub sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Nanoseconds of the smoothed round trip; 0: none was measured.
    pub rtt: u64,
    /// Segments that were sent again.
    pub retransmits: u32,
    /// `sk_err`: an errno, or 0.
    pub error: u32,
    /// [`crate::tcp::Role`], or [`crate::tcp::NO_ROLE`].
    pub role: u32,
    /// [`crate::tcp::Family`]
    pub family: u32,
    /// Port of this side.
    pub local_port: u16,
    /// Port of the other.
    pub peer_port: u16,
    /// Zero.
    pub reserved: u32,
    /// Address of this side, of IPv4 the first four bytes.
    pub local: [u8; 16],
    /// Address of the other.
    pub peer: [u8; 16],
}

const _: () = assert!(size_of::<Limiter>() == 24);
const _: () = assert!(size_of::<Head>() == 24);
const _: () = assert!(size_of::<Who>() == 32);
const _: () = assert!(size_of::<ExecEvent>() == 72 + FILE_MAX + ARGS_MAX);
const _: () = assert!(size_of::<ExitEvent>() == 88);
const _: () = assert!(size_of::<ClosedEvent>() == 120);
