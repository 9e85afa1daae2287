//! Values that are known when the programs are loaded, and frozen then: the loader writes them into the instructions.
//!
//! The built object has a placeholder in each place. A value that the programs load from memory, as a global, costs three
//! instructions more at each use, and a field's offset is read far more often than all else.

/// A frozen value. What is named after a structure is the offset of its field in the running kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Frozen {
    /// `pid` of `task_struct`.
    TaskPid,
    /// `tgid` of `task_struct`.
    TaskTgid,
    /// `flags` of `task_struct`.
    TaskFlags,
    /// `comm` of `task_struct`: its first half.
    TaskComm,
    /// The second half of [`Frozen::TaskComm`].
    TaskCommRest,
    /// `start_boottime` of `task_struct`.
    TaskStartBoottime,
    /// `group_leader` of `task_struct`.
    TaskGroupLeader,
    /// `cgroups` of `task_struct`.
    TaskCgroups,
    /// `se.cfs_rq` of `task_struct`.
    TaskCfsRq,
    /// `rq` of `cfs_rq`.
    CfsRqRq,
    /// `clock` of `rq`.
    RqClock,
    /// `sched_info.last_arrival` of `task_struct`.
    TaskLastArrival,
    /// `se.sum_exec_runtime` of `task_struct`.
    TaskSumExecRuntime,
    /// `se.prev_sum_exec_runtime` of `task_struct`: the former, when the task was last switched in.
    TaskPrevSumExecRuntime,
    /// `prio` of `task_struct`: below 100 the task is not of the fair class.
    TaskPrio,
    /// `nr_switches` of `rq`.
    RqNrSwitches,
    /// The state of `task_struct`.
    TaskState,
    /// Byte of `task_struct` that holds `in_iowait`.
    TaskInIowait,
    /// `sched_info.run_delay` of `task_struct`.
    TaskRunDelay,
    /// `sched_info.last_queued` of `task_struct`.
    TaskLastQueued,
    /// `dfl_cgrp` of `css_set`.
    CssSetDflCgrp,
    /// `kn` of `cgroup`.
    CgroupKn,
    /// `root` of `cgroup`.
    CgroupRoot,
    /// `hierarchy_id` of `cgroup_root`.
    CgroupRootHierarchyId,
    /// `id` of `kernfs_node`.
    KernfsNodeId,
    /// 0 takes all timing out of the programs: what depends on it is dead code to the verifier.
    TimeRuns,
    /// 1 where the run-queue clock can be reached; else the programs read the monotonic clock.
    HaveRqClock,
    /// 1 where `sched_info.last_arrival` exists.
    HaveLastArrival,
    /// 1 where a task that left can be asked for its last stint: the fields exist and kernel memory may be copied.
    HaveStints,
    /// 1 where `rq.nr_switches` exists (and the run queue can be reached).
    HaveNrSwitches,
    /// 1 where moves of running tasks are told.
    HaveMoves,
    /// 1 where a core has two threads.
    HaveSmt,
    /// 1 where threads are followed off the CPU.
    HaveThreads,
    /// 1 where the scheduler says when a task began to wait for a CPU.
    HaveQueued,
    /// Arguments of `sched_switch`: the fourth is the state of the task that leaves.
    SwitchArgs,
    /// Bytes of a task's state.
    StateBytes,
    /// Bit of [`Frozen::TaskInIowait`].
    InIowaitMask,
    /// CPUs that write to histograms of their own. A power of two.
    Stripes,
    /// CPUs that may ever be there.
    PossibleCpus,
    /// Cgroup id of the root of the unified hierarchy: its lower half.
    RootCgroupLow,
    /// Its upper half.
    RootCgroupHigh,
    /// `q` of `request`.
    RequestQueue,
    /// `cmd_flags` of `request`.
    RequestCmdFlags,
    /// `__data_len` of `request`: bytes that are still to come.
    RequestDataLen,
    /// `bio` of `request`.
    RequestBio,
    /// `part` of `request`: where the kernel counts it, if it does.
    RequestPart,
    /// `start_time_ns` of `request`.
    RequestStart,
    /// `disk` of `request_queue`.
    QueueDisk,
    /// `rq_disk` of `request`: the same, before queues had it.
    RequestDisk,
    /// `part0` of `gendisk`.
    DiskPart0,
    /// `bd_dev` of `block_device`, behind [`Frozen::DiskPart0`].
    Part0Dev,
    /// `part0.__dev.devt` of `gendisk`: the same, where it is no pointer.
    DiskDev,
    /// `bi_blkg` of `bio`.
    BioBlkg,
    /// `blkcg` of `blkcg_gq`.
    BlkgBlkcg,
    /// `css.cgroup` of `blkcg`.
    BlkcgCgroup,
    /// 1 where a queue names its disk.
    HaveQueueDisk,
    /// 1 where [`Frozen::DiskPart0`] is a pointer.
    HavePart0Pointer,
    /// 1 where a request names a cgroup.
    HaveBlockOwner,
    /// Operation that writes at the end of a zone; it had another number before.
    ZoneAppend,
    /// 1 where a completion has an errno, 0 where it has a `blk_status_t`.
    ErrorIsErrno,
    /// `BLK_STS_OFFLINE`: the number has changed.
    OfflineStatus,
    /// Which argument of `block_rq_issue` and `block_rq_requeue` is the request.
    RequestArgument,
    /// 1 where requests are timed from when their driver got them.
    HaveIssue,
    /// `sk_protocol` of `sock`.
    SockProtocol,
    /// `skc_family` of `sock`.
    SockFamily,
    /// `sk_err` of `sock`.
    SockErr,
    /// `skc_flags` of `sock`.
    SockFlags,
    /// Bit of [`Frozen::SockFlags`], as a mask: the other side sends no more.
    SockDone,
    /// `skc_daddr` of `sock`.
    SockPeer,
    /// `skc_dport` of `sock`.
    SockPeerPort,
    /// `skc_rcv_saddr` of `sock`.
    SockLocal,
    /// `skc_v6_daddr` of `sock`: its first half.
    SockV6Peer,
    /// The third quarter of [`Frozen::SockV6Peer`].
    SockV6PeerThird,
    /// Its second half.
    SockV6PeerRest,
    /// `skc_v6_rcv_saddr` of `sock`: its first half.
    SockV6Local,
    /// The second half of [`Frozen::SockV6Local`].
    SockV6LocalRest,
    /// `skc_net.net` of `sock`.
    SockNet,
    /// `ns.inum` of `net`.
    NetNumber,
    /// The agent's own network namespace; 0: it is not known.
    OwnNetwork,
    /// `sk_cgrp_data` of `sock`: the pointer to its cgroup.
    SockCgroup,
    /// 1 where a socket names a cgroup.
    HaveSockOwner,
    /// 1 where flags are mixed into that pointer.
    IsSockCgroupTagged,
    /// `inet_sport` of `tcp_sock`.
    InetSport,
    /// `bytes_sent` of `tcp_sock`.
    TcpBytesSent,
    /// `bytes_retrans` of `tcp_sock`.
    TcpBytesRetrans,
    /// `bytes_received` of `tcp_sock`.
    TcpBytesReceived,
    /// `total_retrans` of `tcp_sock`.
    TcpTotalRetrans,
    /// `srtt_us` of `tcp_sock`.
    TcpSrtt,
    /// 1 where events of connections that ended are sent.
    SendClosed,
    /// `signal` of `task_struct`: what its process has in common.
    TaskSignal,
    /// `mm` of `task_struct`.
    TaskMm,
    /// `real_parent` of `task_struct`.
    TaskRealParent,
    /// `exit_code` of `task_struct`.
    TaskExitCode,
    /// `ioac.read_bytes` of `task_struct`.
    TaskReadBytes,
    /// `ioac.write_bytes` of `task_struct`.
    TaskWriteBytes,
    /// `live` of `signal_struct`: threads that did not begin to end.
    SignalLive,
    /// `flags` of `signal_struct`.
    SignalFlags,
    /// `group_exit_code` of `signal_struct`.
    SignalGroupExitCode,
    /// `oom_mm` of `signal_struct`: set where the kernel chose the process to free memory.
    SignalOomMm,
    /// `nr_threads` of `signal_struct`: those that somebody may still wait for, or that live.
    SignalNrThreads,
    /// `sum_sched_runtime` of `signal_struct`: of threads that are gone.
    SignalSumRuntime,
    /// `ioac.read_bytes` of `signal_struct`: of threads that are gone.
    SignalReadBytes,
    /// `ioac.write_bytes` of `signal_struct`, likewise.
    SignalWriteBytes,
    /// `arg_start` of `mm_struct`.
    MmArgStart,
    /// `arg_end` of `mm_struct`.
    MmArgEnd,
    /// `filename` of `linux_binprm`.
    BprmFilename,
    /// 1 where processes are counted.
    HaveProcess,
    /// 1 where the kernel keeps account of the bytes that a task reads and writes.
    HaveIoBytes,
    /// 1 where programs may be told the task that runs as what it is.
    HaveCurrentTask,
    /// 1 where programs have spares.
    HaveSpares,
    /// 1 where kernel memory may be copied: the path of a program that is started.
    HaveFile,
    /// 1 where programs that are started are told.
    SendExec,
    /// 1 where their arguments are, too.
    SendArgs,
    /// 1 where processes that end are told.
    SendExit,
    /// Events of a kind that an owner may send in a window; 0: as many as the ring takes.
    EventRate,
    /// 1 where other CPUs may see stores in another order. In the offset, which is then 0, of what must stay in its place: a
    /// store becomes an exchange, and an addition fetches, which nothing passes.
    InOrder,
}

/// How many there are.
pub const FROZEN: usize = Frozen::InOrder as usize + 1;
/// In the offset of a load: that, plus the value's number. Nothing that is ours is as large.
pub const OFFSET: i16 = 0x7e00;
/// In the constant of a move, likewise.
pub const CONSTANT: i32 = 0x5b1d_2e00;
