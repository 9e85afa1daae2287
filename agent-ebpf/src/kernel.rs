//! Typed access to kernel structures through offsets that are frozen before load.
//!
//! The only raw pointer reads of the kernel side. Offsets come from the running kernel's BTF; the
//! verifier sees constants and checks each access against the same BTF, so an offset that does not
//! lead to a member of that size is refused at load.

use core::arch::asm;

use aya_ebpf::helpers::bpf_probe_read_kernel;
use wattrace_common::{
    frozen::{CONSTANT, Frozen, OFFSET},
    process::until_nul,
};

/// The value of that number, which the loader knows.
pub struct Value<const NUMBER: u8>;

/// Names the values as the programs do.
macro_rules! values {
    ($($name:ident = $frozen:ident),* $(,)?) => { $(
        pub const $name: Value<{ Frozen::$frozen as u8 }> = Value;
    )* };
}

values! {
    TASK_PID = TaskPid,
    TASK_TGID = TaskTgid,
    TASK_FLAGS = TaskFlags,
    TASK_COMM = TaskComm,
    TASK_COMM_REST = TaskCommRest,
    TASK_START_BOOTTIME = TaskStartBoottime,
    TASK_GROUP_LEADER = TaskGroupLeader,
    TASK_CGROUPS = TaskCgroups,
    TASK_CFS_RQ = TaskCfsRq,
    CFS_RQ_RQ = CfsRqRq,
    RQ_CLOCK = RqClock,
    TASK_LAST_ARRIVAL = TaskLastArrival,
    TASK_SUM_EXEC_RUNTIME = TaskSumExecRuntime,
    TASK_PREV_SUM_EXEC_RUNTIME = TaskPrevSumExecRuntime,
    TASK_PRIO = TaskPrio,
    RQ_NR_SWITCHES = RqNrSwitches,
    TASK_STATE = TaskState,
    TASK_IN_IOWAIT = TaskInIowait,
    TASK_RUN_DELAY = TaskRunDelay,
    TASK_LAST_QUEUED = TaskLastQueued,
    CSS_SET_DFL_CGRP = CssSetDflCgrp,
    CGROUP_KN = CgroupKn,
    CGROUP_ROOT = CgroupRoot,
    CGROUP_ROOT_HIERARCHY_ID = CgroupRootHierarchyId,
    KERNFS_NODE_ID = KernfsNodeId,
    TIME_RUNS = TimeRuns,
    HAVE_RQ_CLOCK = HaveRqClock,
    HAVE_LAST_ARRIVAL = HaveLastArrival,
    HAVE_STINTS = HaveStints,
    HAVE_NR_SWITCHES = HaveNrSwitches,
    HAVE_MOVES = HaveMoves,
    HAVE_SMT = HaveSmt,
    HAVE_THREADS = HaveThreads,
    HAVE_QUEUED = HaveQueued,
    SWITCH_ARGS = SwitchArgs,
    STATE_BYTES = StateBytes,
    IN_IOWAIT_MASK = InIowaitMask,
    STRIPES = Stripes,
    POSSIBLE_CPUS = PossibleCpus,
    REQUEST_QUEUE = RequestQueue,
    REQUEST_CMD_FLAGS = RequestCmdFlags,
    REQUEST_DATA_LEN = RequestDataLen,
    REQUEST_BIO = RequestBio,
    REQUEST_PART = RequestPart,
    REQUEST_START = RequestStart,
    QUEUE_DISK = QueueDisk,
    REQUEST_DISK = RequestDisk,
    DISK_PART0 = DiskPart0,
    PART0_DEV = Part0Dev,
    DISK_DEV = DiskDev,
    BIO_BLKG = BioBlkg,
    BLKG_BLKCG = BlkgBlkcg,
    BLKCG_CGROUP = BlkcgCgroup,
    HAVE_QUEUE_DISK = HaveQueueDisk,
    HAVE_PART0_POINTER = HavePart0Pointer,
    HAVE_BLOCK_OWNER = HaveBlockOwner,
    ZONE_APPEND = ZoneAppend,
    ERROR_IS_ERRNO = ErrorIsErrno,
    OFFLINE_STATUS = OfflineStatus,
    REQUEST_ARGUMENT = RequestArgument,
    HAVE_ISSUE = HaveIssue,
    SOCK_PROTOCOL = SockProtocol,
    SOCK_FAMILY = SockFamily,
    SOCK_ERR = SockErr,
    SOCK_FLAGS = SockFlags,
    SOCK_DONE = SockDone,
    SOCK_PEER = SockPeer,
    SOCK_PEER_PORT = SockPeerPort,
    SOCK_LOCAL = SockLocal,
    SOCK_V6_PEER = SockV6Peer,
    SOCK_V6_PEER_THIRD = SockV6PeerThird,
    SOCK_V6_PEER_REST = SockV6PeerRest,
    SOCK_V6_LOCAL = SockV6Local,
    SOCK_V6_LOCAL_REST = SockV6LocalRest,
    SOCK_NET = SockNet,
    NET_NUMBER = NetNumber,
    OWN_NETWORK = OwnNetwork,
    SOCK_CGROUP = SockCgroup,
    HAVE_SOCK_OWNER = HaveSockOwner,
    IS_SOCK_CGROUP_TAGGED = IsSockCgroupTagged,
    INET_SPORT = InetSport,
    TCP_BYTES_SENT = TcpBytesSent,
    TCP_BYTES_RETRANS = TcpBytesRetrans,
    TCP_BYTES_RECEIVED = TcpBytesReceived,
    TCP_TOTAL_RETRANS = TcpTotalRetrans,
    TCP_SRTT = TcpSrtt,
    SEND_CLOSED = SendClosed,
    TASK_SIGNAL = TaskSignal,
    TASK_MM = TaskMm,
    TASK_REAL_PARENT = TaskRealParent,
    TASK_EXIT_CODE = TaskExitCode,
    TASK_READ_BYTES = TaskReadBytes,
    TASK_WRITE_BYTES = TaskWriteBytes,
    SIGNAL_LIVE = SignalLive,
    SIGNAL_FLAGS = SignalFlags,
    SIGNAL_GROUP_EXIT_CODE = SignalGroupExitCode,
    SIGNAL_OOM_MM = SignalOomMm,
    SIGNAL_NR_THREADS = SignalNrThreads,
    SIGNAL_SUM_RUNTIME = SignalSumRuntime,
    SIGNAL_READ_BYTES = SignalReadBytes,
    SIGNAL_WRITE_BYTES = SignalWriteBytes,
    MM_ARG_START = MmArgStart,
    MM_ARG_END = MmArgEnd,
    BPRM_FILENAME = BprmFilename,
    HAVE_PROCESS = HaveProcess,
    HAVE_IO_BYTES = HaveIoBytes,
    HAVE_CURRENT_TASK = HaveCurrentTask,
    HAVE_SPARES = HaveSpares,
    HAVE_FILE = HaveFile,
    SEND_EXEC = SendExec,
    SEND_ARGS = SendArgs,
    SEND_EXIT = SendExit,
    EVENT_RATE = EventRate,
}

impl<const NUMBER: u8> Value<NUMBER> {
    /// As a number.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        let value: u64;
        // SAFETY: of registers only. The loader puts the value in the placeholder's place.
        unsafe {
            asm!("{0} = {1}", lateout(reg) value, const CONSTANT + NUMBER as i32, options(pure, nomem, nostack));
        }
        value
    }
}

/// Cgroup id of the root of the unified hierarchy.
#[inline(always)]
pub fn root_cgroup() -> u64 {
    let value: u64;
    // SAFETY: as in [`Value::load`]; both halves are its own placeholders.
    unsafe {
        asm!(
            "{0} = {1} ll",
            lateout(reg) value,
            const (CONSTANT as i64 + Frozen::RootCgroupHigh as i64) << 32 | (CONSTANT as i64 + Frozen::RootCgroupLow as i64),
            options(pure, nomem, nostack)
        );
    }
    value
}

/// A pointer to a kernel object of the BTF type that the path to it implies.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Kptr(*const u8);

impl Kptr {
    /// Wraps a typed tracepoint argument.
    #[inline(always)]
    pub fn from_arg(arg: *const u8) -> Self {
        Self(arg)
    }

    /// Reads the field at a frozen offset.
    #[inline(always)]
    pub fn read<T: Field, const NUMBER: u8>(self, offset: &Value<NUMBER>) -> T {
        T::read(self.0, offset)
    }

    /// Follows a pointer field.
    #[inline(always)]
    pub fn follow<const NUMBER: u8>(self, offset: &Value<NUMBER>) -> Self {
        Self::from_word(self.read(offset))
    }

    /// The address as a number, to be kept until [`Kptr::from_word`].
    #[inline(always)]
    pub fn word(self) -> u64 {
        self.0 as u64
    }

    /// An address that was kept. What it points to may be gone: only [`Kptr::copy`] may be used on it.
    #[inline(always)]
    pub fn from_word(word: u64) -> Self {
        Self(word as *const u8)
    }

    /// Copies a field of an object that may be gone.
    #[inline(always)]
    pub fn copy<T: Copy, const NUMBER: u8>(self, offset: &Value<NUMBER>) -> Option<T> {
        // SAFETY: the helper checks the address and fails on one that cannot be read.
        unsafe { bpf_probe_read_kernel(self.0.wrapping_add(offset.load() as usize).cast::<T>()) }.ok()
    }

    /// Reads a 16-byte `comm`, as two words.
    #[inline(always)]
    pub fn comm(self) -> [u64; 2] {
        [self.read(&TASK_COMM), self.read(&TASK_COMM_REST)]
    }

    /// The same without what older kernels leave behind its end.
    #[inline(always)]
    pub fn name(self) -> [u64; 2] {
        until_nul(self.comm())
    }
}

/// What a field may hold.
pub trait Field: Copy {
    /// The field at a frozen offset, in one instruction.
    fn read<const NUMBER: u8>(object: *const u8, offset: &Value<NUMBER>) -> Self;
}

macro_rules! fields {
    ($($of:ty: $load:literal, $most:expr);*) => { $(
        impl Field for $of {
            #[inline(always)]
            fn read<const NUMBER: u8>(object: *const u8, _: &Value<NUMBER>) -> Self {
                let word: u64;
                // SAFETY: the verifier has proven `object` to be a BTF pointer and the offset a member of its
                // type; a fault in the read is caught by the kernel and yields zero.
                unsafe {
                    asm!(
                        concat!("{0} = *(", $load, " *)({1} + {2})"),
                        lateout(reg) word,
                        in(reg) object,
                        const OFFSET + NUMBER as i16,
                        options(readonly, nostack)
                    );
                }
                // SAFETY: the load fills the upper bits with zeros.
                unsafe { core::hint::assert_unchecked(word <= $most) };
                word as Self
            }
        }
    )* };
}

fields!(u8: "u8", u8::MAX as u64; u16: "u16", u16::MAX as u64; u32: "u32", u32::MAX as u64; i32: "u32", u32::MAX as u64; u64: "u64", u64::MAX);

/// Id of the kernfs node of a cgroup.
#[inline(always)]
pub fn cgroup_id(cgroup: Kptr) -> u64 {
    cgroup.follow(&CGROUP_KN).read(&KERNFS_NODE_ID)
}
