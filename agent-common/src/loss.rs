//! Losses counted in the kernel: one counter per program and reason, per CPU.

/// Who lost something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Program {
    /// `sched_switch`
    Sched = 0,
    /// `cgroup_mkdir`
    CgroupMkdir = 1,
    /// `cgroup_rmdir`
    CgroupRmdir = 2,
    /// `cgroup_attach_task`
    CgroupAttach = 3,
    /// `block_rq_complete`
    BlockComplete = 4,
    /// `block_rq_issue`
    BlockIssue = 5,
    /// `block_rq_requeue`
    BlockRequeue = 6,
    /// `inet_sock_set_state`
    TcpState = 7,
    /// `sched_wakeup_new`
    ProcessFork = 8,
    /// `sched_process_exec`
    ProcessExec = 9,
    /// `sched_process_exit`
    ProcessExit = 10,
}

/// Why it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Reason {
    /// There was no room. In the overflow map: the time is in the CPU's busy word and no workload's. For one more move
    /// within a slice: the rest of the slice is the cgroup's that the task was moved to before. For the requests of one more
    /// workload, or its connections or processes: they are nobody's. For a request that its driver got: how long it takes is
    /// not known. For one more open connection: at its end it counts as older than the programs.
    Full = 0,
    /// The set of the table was taken: the overflow map was used. Nothing is lost, it costs more.
    Busy = 1,
    /// The clock of a CPU went back: that slice is not booked.
    ClockBack = 2,
    /// An event was cut (a path longer than the buffer).
    Partial = 3,
    /// A task without a cgroup id.
    NoCgroup = 4,
    /// A switch was not reported, and the scheduler's stamps told when it was. Nothing is lost.
    Missed = 5,
    /// A switch was not reported, and nothing tells when it was: that slice is the earlier task's.
    NoStart = 6,
    /// The sibling seems to have been busy for longer than a slice was: all of the slice counts as shared.
    Overlap = 7,
    /// There was no room for one more thread, or for the thread time of its workload: until it next leaves a CPU, where it is
    /// is in no figure.
    NoThread = 8,
    /// There was no room for one more workload's histograms: it has sums only.
    NoHistograms = 9,
    /// There was no room for one more device: it is with the others.
    NoDevice = 10,
    /// A workload had sent as many events as it may: this one was not sent.
    Limited = 11,
    /// The ring was full: an event was not sent.
    RingFull = 12,
}

/// Programs that count losses.
pub const PROGRAMS: [Program; 11] = [
    Program::Sched,
    Program::CgroupMkdir,
    Program::CgroupRmdir,
    Program::CgroupAttach,
    Program::BlockComplete,
    Program::BlockIssue,
    Program::BlockRequeue,
    Program::TcpState,
    Program::ProcessFork,
    Program::ProcessExec,
    Program::ProcessExit,
];
/// Reasons that are counted.
pub const REASONS: [Reason; 13] = [
    Reason::Full,
    Reason::Busy,
    Reason::ClockBack,
    Reason::Partial,
    Reason::NoCgroup,
    Reason::Missed,
    Reason::NoStart,
    Reason::Overlap,
    Reason::NoThread,
    Reason::NoHistograms,
    Reason::NoDevice,
    Reason::Limited,
    Reason::RingFull,
];
/// Counters per CPU: programs × 16, so that a reason added later moves no other.
pub const COUNTERS_PER_CPU: u32 = 16 * STRIDE;
const STRIDE: u32 = 16;
const _: () = assert!(PROGRAMS.len() <= 16 && REASONS.len() < STRIDE as usize);

/// Index of a counter in one CPU's part of the loss array.
pub const fn index(program: Program, reason: Reason) -> u32 {
    program as u32 * STRIDE + reason as u32
}

impl Program {
    /// The name metrics and messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sched => "sched",
            Self::CgroupMkdir => "cgroup_mkdir",
            Self::CgroupRmdir => "cgroup_rmdir",
            Self::CgroupAttach => "cgroup_attach_task",
            Self::BlockComplete => "block_rq_complete",
            Self::BlockIssue => "block_rq_issue",
            Self::BlockRequeue => "block_rq_requeue",
            Self::TcpState => "inet_sock_set_state",
            Self::ProcessFork => "sched_wakeup_new",
            Self::ProcessExec => "sched_process_exec",
            Self::ProcessExit => "sched_process_exit",
        }
    }
}

impl Reason {
    /// The name metrics and messages use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Busy => "busy",
            Self::ClockBack => "clock_back",
            Self::Partial => "partial",
            Self::NoCgroup => "no_cgroup",
            Self::Missed => "missed",
            Self::NoStart => "no_start",
            Self::Overlap => "overlap",
            Self::NoThread => "no_thread",
            Self::NoHistograms => "no_histograms",
            Self::NoDevice => "no_device",
            Self::Limited => "limited",
            Self::RingFull => "ring_full",
        }
    }

    /// Whether this count means that something is missing from the books.
    pub const fn loses(self) -> bool {
        !matches!(
            self,
            Self::Busy
                | Self::Missed
                | Self::Overlap
                | Self::NoHistograms
                | Self::NoDevice
                | Self::Limited
                | Self::RingFull
        )
    }
}
