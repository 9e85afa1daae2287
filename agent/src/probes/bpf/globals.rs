//! The frozen globals of the kernel programs, and the sizes of their maps: what is not here, or 0, is dead code to the
//! verifier and takes no memory.

use wattrace_common::{
    layout,
    limits::{
        HISTOGRAM_ROWS, HISTOGRAM_STRIPES, MORE_OFF_THREADS, OFF_SETS, OVERFLOW_KEYS, THREAD_ROWS, TIME_ROWS, TIME_SETS,
    },
    loss::COUNTERS_PER_CPU,
};

use super::{
    layout::{HierarchyLayout, Layouts, SchedLayout, ThreadsLayout},
    load::Machine,
};

/// What the programs do here.
pub(super) struct Plan<'a> {
    pub(super) sched: &'a SchedLayout,
    /// Either program that looks at cgroups needs it.
    pub(super) hierarchy: Option<&'a HierarchyLayout>,
    pub(super) have_moves: bool,
    /// `None`: threads are not followed off the CPU.
    pub(super) threads: Option<&'a ThreadsLayout>,
    pub(super) machine: &'a Machine,
}

impl<'a> Plan<'a> {
    /// As much as the layouts allow and `machine` asks for.
    pub(super) fn new(sched: &'a SchedLayout, layouts: &'a Layouts, machine: &'a Machine) -> Self {
        let hierarchy = layouts.cgroup.as_ref().map(|cgroup| &cgroup.hierarchy).or(layouts.moves.as_ref()).ok();
        let threads = layouts.threads.as_ref().ok().filter(|_| machine.follows_threads);
        Self { sched, hierarchy, have_moves: layouts.moves.is_ok(), threads, machine }
    }

    /// Groups of CPUs with histograms of their own.
    pub(super) fn stripes(&self) -> u32 {
        self.machine.possible.next_power_of_two().min(HISTOGRAM_STRIPES)
    }

    /// Name and value of each.
    pub(super) fn globals(&self) -> Vec<(&'static str, u32)> {
        let mut globals = self.of_tasks();
        globals.extend(self.of_clock());
        globals.extend(self.of_threads());
        if let Some(hierarchy) = self.hierarchy {
            globals.extend([
                ("CGROUP_ROOT", hierarchy.cgroup_root),
                ("CGROUP_ROOT_HIERARCHY_ID", hierarchy.root_hierarchy_id),
            ]);
        }
        globals.extend([
            ("TIME_RUNS", u32::from(self.machine.time_runs)),
            ("HAVE_MOVES", u32::from(self.have_moves)),
            ("HAVE_SMT", u32::from(self.has_siblings())),
            ("POSSIBLE_CPUS", self.machine.possible),
        ]);
        globals
    }

    fn has_siblings(&self) -> bool {
        !self.machine.siblings.is_empty()
    }

    fn of_tasks(&self) -> Vec<(&'static str, u32)> {
        let sched = self.sched;
        let stint = |offset: fn(&super::layout::StintLayout) -> u32| sched.task_stint.as_ref().map_or(0, offset);
        vec![
            ("TASK_PID", sched.task_pid),
            ("TASK_TGID", sched.task_tgid),
            ("TASK_FLAGS", sched.task_flags),
            ("TASK_COMM", sched.task_comm),
            ("TASK_START_BOOTTIME", sched.task_start_boottime),
            ("TASK_GROUP_LEADER", sched.task_group_leader),
            ("TASK_CGROUPS", sched.task_cgroups),
            ("CSS_SET_DFL_CGRP", sched.css_set_dfl_cgrp),
            ("CGROUP_KN", sched.cgroup_kn),
            ("KERNFS_NODE_ID", sched.kernfs_id),
            ("TASK_LAST_ARRIVAL", sched.task_last_arrival.unwrap_or(0)),
            ("HAVE_LAST_ARRIVAL", u32::from(sched.task_last_arrival.is_some() && sched.clock.is_ok())),
            ("TASK_SUM_EXEC_RUNTIME", stint(|stint| stint.total)),
            ("TASK_PREV_SUM_EXEC_RUNTIME", stint(|stint| stint.before)),
            ("TASK_PRIO", stint(|stint| stint.prio)),
            ("HAVE_STINTS", u32::from(sched.task_stint.is_some() && !self.machine.locked_down)),
        ]
    }

    fn of_clock(&self) -> Vec<(&'static str, u32)> {
        let Ok(clock) = &self.sched.clock else { return Vec::new() };
        vec![
            ("HAVE_RQ_CLOCK", 1),
            ("TASK_CFS_RQ", clock.task_cfs_rq),
            ("CFS_RQ_RQ", clock.cfs_rq_rq),
            ("RQ_CLOCK", clock.rq_clock),
            ("RQ_NR_SWITCHES", clock.rq_nr_switches.unwrap_or(0)),
            ("HAVE_NR_SWITCHES", u32::from(clock.rq_nr_switches.is_some())),
        ]
    }

    /// Waits are told by the run queue's clock: beside another one they mean nothing.
    fn of_threads(&self) -> Vec<(&'static str, u32)> {
        let Some(threads) = self.threads else { return Vec::new() };
        let queued = threads.queued.as_ref().ok().filter(|_| self.sched.clock.is_ok());
        vec![
            ("HAVE_THREADS", 1),
            ("SWITCH_ARGS", self.sched.sched_switch_args),
            ("TASK_STATE", threads.task_state),
            ("STATE_BYTES", threads.state_bytes),
            ("TASK_IN_IOWAIT", threads.in_iowait),
            ("IN_IOWAIT_MASK", threads.in_iowait_mask),
            ("HAVE_QUEUED", u32::from(queued.is_some())),
            ("TASK_RUN_DELAY", queued.map_or(0, |queued| queued.run_delay)),
            ("TASK_LAST_QUEUED", queued.map_or(0, |queued| queued.last_queued)),
            ("STRIPES", self.stripes()),
        ]
    }

    /// Entries of each map whose size depends on the machine, or on what is counted.
    pub(super) fn sizes(&self) -> [(&'static str, u32); 12] {
        let cpus = self.machine.possible;
        let with = |entries, is_used| if is_used { entries } else { 1 };
        let threads = |entries| with(entries, self.threads.is_some());
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
        ]
    }
}
