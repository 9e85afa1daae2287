//! The frozen values of the kernel programs, and the sizes of their maps: what is not here, or 0, is dead code to the
//! verifier and takes no memory.

use wattrace_common::{
    frozen::Frozen,
    layout,
    limits::{
        BLOCK_DEVICES, BLOCK_MORE, BLOCK_NUMBERS, BLOCK_REQUESTS, BLOCK_ROWS, EVENT_RING_BYTES, EXEC_SEEN,
        HISTOGRAM_ROWS, HISTOGRAM_STRIPES, MORE_OFF_THREADS, OFF_SETS, OVERFLOW_KEYS, PROCESS_ROWS, TCP_MORE, TCP_OPEN,
        TCP_ROWS, THREAD_GROUPS, THREAD_ROWS, TIME_ROWS, TIME_SETS,
    },
    loss::COUNTERS_PER_CPU,
};

use super::{
    layout::{
        BlockLayout, DiskLayout, ErrorLayout, HierarchyLayout, Layouts, NumberLayout, ProcessLayout, SchedLayout,
        TcpLayout, ThreadsLayout,
    },
    load::Machine,
    wanted::{BlockMode, Spares},
};

/// What the programs do here.
pub(super) struct Plan<'a> {
    pub(super) sched: &'a SchedLayout,
    /// All programs that look at cgroups need it.
    pub(super) hierarchy: Option<&'a HierarchyLayout>,
    pub(super) have_moves: bool,
    /// `None`: threads are not followed off the CPU.
    pub(super) threads: Option<&'a ThreadsLayout>,
    /// `None`: block I/O is not counted.
    pub(super) block: Option<&'a BlockLayout>,
    /// `None`: connections are not counted.
    pub(super) tcp: Option<&'a TcpLayout>,
    /// `None`: processes are not counted.
    pub(super) process: Option<&'a ProcessLayout>,
    pub(super) machine: &'a Machine,
}

impl<'a> Plan<'a> {
    /// As much as the layouts allow and `machine` asks for.
    pub(super) fn new(sched: &'a SchedLayout, layouts: &'a Layouts, machine: &'a Machine) -> Self {
        let block = layouts.block.as_ref().ok().filter(|_| machine.block != BlockMode::Off);
        let owner = block.and_then(|block| block.owner.as_ref().ok());
        let hierarchy = layouts.cgroup.as_ref().map(|cgroup| &cgroup.hierarchy).or(layouts.moves.as_ref()).ok();
        let tcp = layouts.tcp.as_ref().ok().filter(|_| machine.tcp);
        let sock_owner = tcp.and_then(|tcp| tcp.owner.as_ref().ok());
        let hierarchy = hierarchy.or(owner.map(|owner| &owner.hierarchy));
        let hierarchy = hierarchy.or(sock_owner.map(|owner| &owner.hierarchy));
        let threads = layouts.threads.as_ref().ok().filter(|_| machine.follows_threads);
        let process = layouts.process.as_ref().ok().filter(|_| machine.process);
        Self { sched, hierarchy, have_moves: layouts.moves.is_ok(), threads, block, tcp, process, machine }
    }

    /// Groups of CPUs with histograms of their own.
    pub(super) fn stripes(&self) -> u32 {
        self.machine.possible.next_power_of_two().min(HISTOGRAM_STRIPES)
    }

    /// What is not 0.
    pub(super) fn frozen(&self) -> Vec<(Frozen, u32)> {
        let root = self.machine.root_cgroup;
        let mut values = self.of_tasks();
        values.extend(self.of_clock());
        values.extend(self.of_threads());
        values.extend(self.of_state());
        values.extend(self.of_block());
        values.extend(self.of_processes());
        values.extend(self.of_connections());
        values.extend(self.of_events());
        if let Some(hierarchy) = self.hierarchy {
            values.extend([
                (Frozen::CgroupRoot, hierarchy.cgroup_root),
                (Frozen::CgroupRootHierarchyId, hierarchy.root_hierarchy_id),
            ]);
        }
        values.extend([
            (Frozen::InOrder, u32::from(self.machine.reorders)),
            (Frozen::TimeRuns, u32::from(self.machine.time_runs)),
            (Frozen::HaveMoves, u32::from(self.have_moves)),
            (Frozen::HaveSmt, u32::from(self.has_siblings())),
            (Frozen::PossibleCpus, self.machine.possible),
            (Frozen::Stripes, self.stripes()),
            (Frozen::RootCgroupLow, u32::try_from(root & u64::from(u32::MAX)).unwrap_or(0)),
            (Frozen::RootCgroupHigh, u32::try_from(root >> 32).unwrap_or(0)),
        ]);
        values
    }

    fn has_siblings(&self) -> bool {
        !self.machine.siblings.is_empty()
    }

    fn of_tasks(&self) -> Vec<(Frozen, u32)> {
        let sched = self.sched;
        let stint = |offset: fn(&super::layout::StintLayout) -> u32| sched.task_stint.as_ref().map_or(0, offset);
        vec![
            (Frozen::TaskPid, sched.task_pid),
            (Frozen::TaskTgid, sched.task_tgid),
            (Frozen::TaskFlags, sched.task_flags),
            (Frozen::TaskComm, sched.task_comm),
            (Frozen::TaskCommRest, sched.task_comm.saturating_add(8)),
            (Frozen::TaskStartBoottime, sched.task_start_boottime),
            (Frozen::TaskGroupLeader, sched.task_group_leader),
            (Frozen::TaskCgroups, sched.task_cgroups),
            (Frozen::CssSetDflCgrp, sched.css_set_dfl_cgrp),
            (Frozen::CgroupKn, sched.cgroup_kn),
            (Frozen::KernfsNodeId, sched.kernfs_id),
            (Frozen::TaskLastArrival, sched.task_last_arrival.unwrap_or(0)),
            (Frozen::HaveLastArrival, u32::from(sched.task_last_arrival.is_some() && sched.clock.is_ok())),
            (Frozen::TaskSumExecRuntime, stint(|stint| stint.total)),
            (Frozen::TaskPrevSumExecRuntime, stint(|stint| stint.before)),
            (Frozen::TaskPrio, stint(|stint| stint.prio)),
            (Frozen::HaveStints, u32::from(sched.task_stint.is_some() && !self.machine.locked_down)),
        ]
    }

    fn of_clock(&self) -> Vec<(Frozen, u32)> {
        let Ok(clock) = &self.sched.clock else { return Vec::new() };
        vec![
            (Frozen::HaveRqClock, 1),
            (Frozen::TaskCfsRq, clock.task_cfs_rq),
            (Frozen::CfsRqRq, clock.cfs_rq_rq),
            (Frozen::RqClock, clock.rq_clock),
            (Frozen::RqNrSwitches, clock.rq_nr_switches.unwrap_or(0)),
            (Frozen::HaveNrSwitches, u32::from(clock.rq_nr_switches.is_some())),
        ]
    }

    /// Waits are told by the run queue's clock: beside another one they mean nothing.
    fn of_threads(&self) -> Vec<(Frozen, u32)> {
        let Some(threads) = self.threads else { return Vec::new() };
        let queued = threads.queued.as_ref().ok().filter(|_| self.sched.clock.is_ok());
        vec![
            (Frozen::HaveThreads, 1),
            (Frozen::TaskInIowait, threads.in_iowait),
            (Frozen::InIowaitMask, threads.in_iowait_mask),
            (Frozen::HaveQueued, u32::from(queued.is_some())),
            (Frozen::TaskRunDelay, queued.map_or(0, |queued| queued.run_delay)),
            (Frozen::TaskLastQueued, queued.map_or(0, |queued| queued.last_queued)),
        ]
    }

    fn of_block(&self) -> Vec<(Frozen, u32)> {
        let Some(block) = self.block else { return Vec::new() };
        let mut values = vec![
            (Frozen::RequestCmdFlags, block.cmd_flags),
            (Frozen::RequestDataLen, block.data_len),
            (Frozen::RequestPart, block.part),
            (Frozen::RequestStart, block.start_time),
            (Frozen::ZoneAppend, block.zone_append),
            (Frozen::RequestArgument, block.request_argument),
            (Frozen::HaveIssue, u32::from(self.machine.block == BlockMode::Device)),
        ];
        values.push(match block.error {
            ErrorLayout::Errno => (Frozen::ErrorIsErrno, 1),
            ErrorLayout::Status { offline } => (Frozen::OfflineStatus, offline),
        });
        values.extend(match block.disk {
            DiskLayout::OfQueue { queue, disk } => {
                vec![(Frozen::HaveQueueDisk, 1), (Frozen::RequestQueue, queue), (Frozen::QueueDisk, disk)]
            }
            DiskLayout::OfRequest { disk } => vec![(Frozen::RequestDisk, disk)],
        });
        values.extend(match block.number {
            NumberLayout::Pointer { part0, dev } => {
                vec![(Frozen::HavePart0Pointer, 1), (Frozen::DiskPart0, part0), (Frozen::Part0Dev, dev)]
            }
            NumberLayout::Inside { dev } => vec![(Frozen::DiskDev, dev)],
        });
        if let Ok(owner) = &block.owner {
            values.extend([
                (Frozen::HaveBlockOwner, 1),
                (Frozen::RequestBio, owner.bio),
                (Frozen::BioBlkg, owner.group),
                (Frozen::BlkgBlkcg, owner.blkcg),
                (Frozen::BlkcgCgroup, owner.cgroup),
            ]);
        }
        values
    }

    /// What says that a task leaves its CPU for good, or what it waits for.
    fn of_state(&self) -> Vec<(Frozen, u32)> {
        let state = self.threads.map(|threads| threads.state).or(self.process.map(|process| process.state));
        let Some(state) = state else { return Vec::new() };
        vec![
            (Frozen::SwitchArgs, self.sched.sched_switch_args),
            (Frozen::TaskState, state.task),
            (Frozen::StateBytes, state.bytes),
        ]
    }

    fn of_processes(&self) -> Vec<(Frozen, u32)> {
        let Some(process) = self.process else { return Vec::new() };
        let mut values = vec![
            (Frozen::HaveProcess, 1),
            (Frozen::HaveSpares, u32::from(self.machine.spares != Spares::None)),
            (Frozen::HaveCurrentTask, u32::from(process.tells_current_task)),
            (Frozen::TaskSumExecRuntime, process.sum_exec_runtime),
            (Frozen::TaskSignal, process.signal),
            (Frozen::TaskRealParent, process.real_parent),
            (Frozen::TaskMm, process.mm),
            (Frozen::TaskExitCode, process.exit_code),
            (Frozen::SignalLive, process.live),
            (Frozen::SignalNrThreads, process.nr_threads),
            (Frozen::SignalFlags, process.flags),
            (Frozen::SignalGroupExitCode, process.group_exit_code),
            (Frozen::SignalOomMm, process.oom_mm),
            (Frozen::SignalSumRuntime, process.sum_sched_runtime),
            (Frozen::MmArgStart, process.arg_start),
            (Frozen::MmArgEnd, process.arg_end),
            (Frozen::BprmFilename, process.filename),
            (Frozen::HaveFile, u32::from(!self.machine.locked_down)),
        ];
        if let Some(bytes) = process.bytes {
            values.extend([
                (Frozen::HaveIoBytes, 1),
                (Frozen::TaskReadBytes, bytes.read),
                (Frozen::TaskWriteBytes, bytes.written),
                (Frozen::SignalReadBytes, bytes.read_before),
                (Frozen::SignalWriteBytes, bytes.written_before),
            ]);
        }
        values
    }

    fn of_connections(&self) -> Vec<(Frozen, u32)> {
        let Some(TcpLayout { addresses, carried, network, .. }) = self.tcp else { return Vec::new() };
        let mut values = self.of_sockets();
        values.extend([
            (Frozen::SockPeer, addresses.peer),
            (Frozen::SockPeerPort, addresses.peer_port),
            (Frozen::SockLocal, addresses.local),
            (Frozen::InetSport, carried.port),
            (Frozen::TcpBytesSent, carried.sent),
            (Frozen::TcpBytesRetrans, carried.sent_again),
            (Frozen::TcpBytesReceived, carried.received),
            (Frozen::TcpTotalRetrans, carried.retransmits),
            (Frozen::TcpSrtt, carried.round_trip),
        ]);
        if let Some((peer, local)) = addresses.v6 {
            values.extend([
                (Frozen::SockV6Peer, peer),
                (Frozen::SockV6PeerThird, peer.saturating_add(8)),
                (Frozen::SockV6PeerRest, peer.saturating_add(8)),
                (Frozen::SockV6Local, local),
                (Frozen::SockV6LocalRest, local.saturating_add(8)),
            ]);
        }
        if let Some((net, number)) = network {
            values.extend([
                (Frozen::SockNet, *net),
                (Frozen::NetNumber, *number),
                (Frozen::OwnNetwork, self.machine.network),
            ]);
        }
        values
    }

    fn of_sockets(&self) -> Vec<(Frozen, u32)> {
        let Some(tcp) = self.tcp else { return Vec::new() };
        let mut values = vec![
            (Frozen::SockProtocol, tcp.protocol),
            (Frozen::SockFamily, tcp.family),
            (Frozen::SockErr, tcp.error),
            (Frozen::SockFlags, tcp.flags),
            (Frozen::SockDone, tcp.done),
        ];
        // Flags are taken out of a pointer by copies alone.
        let owner = tcp.owner.as_ref().ok().filter(|owner| !(owner.is_tagged && self.machine.locked_down));
        if let Some(owner) = owner {
            values.extend([
                (Frozen::HaveSockOwner, 1),
                (Frozen::SockCgroup, owner.cgroup),
                (Frozen::IsSockCgroupTagged, u32::from(owner.is_tagged)),
            ]);
        }
        values
    }

    fn of_events(&self) -> Vec<(Frozen, u32)> {
        let events = self.machine.events;
        let has_processes = self.process.is_some();
        vec![
            (Frozen::EventRate, events.rate.unwrap_or(0)),
            (Frozen::SendExec, u32::from(has_processes && events.exec)),
            (Frozen::SendArgs, u32::from(has_processes && events.exec && events.args)),
            (Frozen::SendClosed, u32::from(self.tcp.is_some() && events.closed)),
            (Frozen::SendExit, u32::from(has_processes && events.exit)),
        ]
    }

    /// Bytes of the ring of events: a page where none are asked for.
    fn ring(&self) -> u32 {
        let events = self.machine.events;
        let page = u32::try_from(rustix::param::page_size()).unwrap_or(EVENT_RING_BYTES);
        if events.exec || events.exit || events.closed { EVENT_RING_BYTES } else { page }
    }

    /// Entries of the map of requests that drivers have.
    fn requests(&self) -> u32 {
        let is_exact = self.block.is_some() && self.machine.block == BlockMode::Device;
        if is_exact { self.machine.requests.clamp(1, BLOCK_REQUESTS) } else { 1 }
    }

    /// Entries of each map whose size depends on the machine, or on what is counted.
    pub(super) fn sizes(&self) -> [(&'static str, u32); 28] {
        let cpus = self.machine.possible;
        let with = |entries, is_used| if is_used { entries } else { 1 };
        let threads = |entries| with(entries, self.threads.is_some());
        let block = |entries| with(entries, self.block.is_some());
        let process = |entries| with(entries, self.process.is_some());
        let tcp = |entries| with(entries, self.tcp.is_some());
        let has_spares = self.machine.spares != Spares::None;
        [
            (layout::MAP_CPUS, cpus),
            (layout::MAP_TIMES, cpus * TIME_SETS),
            (layout::MAP_SHARED, with(cpus * TIME_ROWS, self.has_siblings())),
            (layout::MAP_MOVES, cpus),
            (layout::MAP_COSTS, cpus),
            (layout::MAP_LOST, cpus * COUNTERS_PER_CPU),
            (layout::MAP_THREADS, threads(cpus * THREAD_ROWS)),
            (layout::MAP_OVERFLOW_THREADS, threads(OVERFLOW_KEYS)),
            (layout::MAP_OFF_THREADS, threads(OFF_SETS)),
            (layout::MAP_MORE_OFF_THREADS, threads(MORE_OFF_THREADS)),
            (layout::MAP_HISTOGRAMS, threads(HISTOGRAM_ROWS * self.stripes())),
            (layout::MAP_HISTOGRAM_ROW, threads(HISTOGRAM_ROWS)),
            (layout::MAP_BLOCK_WORK, block(BLOCK_ROWS)),
            (layout::MAP_BLOCK_ROW, block(BLOCK_ROWS)),
            (layout::MAP_BLOCK_MORE, block(BLOCK_MORE)),
            (layout::MAP_BLOCK_DEVICES, block(BLOCK_DEVICES)),
            (layout::MAP_BLOCK_SLOT, block(BLOCK_NUMBERS)),
            (layout::MAP_BLOCK_ISSUED, self.requests()),
            (layout::MAP_PROCESS_WORK, process(PROCESS_ROWS)),
            (layout::MAP_PROCESS_ROW, process(PROCESS_ROWS)),
            (layout::MAP_THREAD_GROUPS, process(THREAD_GROUPS)),
            (layout::MAP_TCP_WORK, tcp(TCP_ROWS)),
            (layout::MAP_TCP_ROW, tcp(TCP_ROWS)),
            (layout::MAP_TCP_MORE, tcp(TCP_MORE)),
            (layout::MAP_TCP_SOCKETS, tcp(TCP_OPEN)),
            (layout::MAP_EVENTS, self.ring()),
            (layout::MAP_EVENT_SCRATCH, with(2, has_spares)),
            (layout::MAP_EXEC_SEEN, with(EXEC_SEEN, has_spares && self.process.is_some())),
        ]
    }
}
