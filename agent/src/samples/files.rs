//! CPU time as files of the kernel have it, for machines without kernel programs: `cpu.stat` of cgroups, and
//! `/proc/PID/stat` of processes that are in none. From totals since each was made to who used how much since the last
//! reading; on which CPU, files do not tell.

use std::collections::BTreeMap;

use wattrace_common::sched::WorkKey;

use crate::units::Nanos;

mod groups;

use groups::GroupTracker;

/// Everything read at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesReading {
    /// Boot time at which reading began: whoever was born earlier could have been seen before.
    pub from: Nanos,
    /// All cgroups, each before those below it and read in that order.
    pub groups: Vec<GroupReading>,
    /// Processes that are in no cgroup but the root.
    pub processes: Vec<ProcessReading>,
}

/// One cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupReading {
    /// Cgroup id.
    pub id: u64,
    /// Id of the cgroup above; of nobody, for the one at the top.
    pub parent: u64,
    /// CPU time of all tasks in it and below it since it was made. `None`: unknown this time, and always for the root
    /// of the hierarchy, whose count is another: of clock ticks, and with interrupts in it.
    pub usage: Option<Nanos>,
    /// Whether the cgroups right below it are known.
    pub is_listed: bool,
    /// Whether tasks are in it and not below it. Only asked where a cgroup right below it is gone.
    pub has_tasks: bool,
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessReading {
    /// It and no other, by thread group and start.
    pub process: WorkKey,
    /// The latest boot time at which it can have started: the file counts in clock ticks.
    pub started: Nanos,
    /// Whether it is a thread of the kernel.
    pub is_kernel: bool,
    /// CPU time of all its threads, also of those that ended.
    pub time: Nanos,
    /// Its name.
    pub comm: [u8; 16],
}

impl FilesReading {
    /// Names of processes, by key.
    pub fn comms(&self) -> impl Iterator<Item = (WorkKey, [u8; 16])> {
        let users = self.processes.iter().filter(|process| !process.is_kernel);
        users.map(|process| (process.process, process.comm))
    }
}

/// What is kept between readings.
#[derive(Clone, Debug, Default)]
pub struct FilesTracker {
    groups: GroupTracker,
    /// Highest totals of the processes of the last reading.
    processes: BTreeMap<WorkKey, Nanos>,
    /// When the last reading began; `None`: there was none.
    since: Option<Nanos>,
}

impl FilesTracker {
    /// What each used since the reading before; the first one only marks where counting starts.
    pub fn observe(&mut self, reading: &FilesReading) -> BTreeMap<WorkKey, Nanos> {
        let groups = self.groups.observe(&reading.groups);
        let mut used: BTreeMap<WorkKey, Nanos> =
            groups.into_iter().map(|(id, time)| (WorkKey::cgroup(id), time)).collect();
        let before = std::mem::take(&mut self.processes);
        for process in &reading.processes {
            let start = self.start(before.get(&process.process).copied(), process);
            let delta = process.time.saturating_sub(start);
            if delta.0 > 0 {
                let key = if process.is_kernel { WorkKey::KERNEL } else { process.process };
                *used.entry(key).or_default() += delta;
            }
            self.processes.insert(process.process, start.max(process.time));
        }
        self.since = Some(reading.from);
        used
    }

    /// From which total a process counts. One that is older than the last reading, and was not in it, comes from a
    /// cgroup: what it used there is in that one's total.
    fn start(&self, before: Option<Nanos>, process: &ProcessReading) -> Nanos {
        let is_new = self.since.is_some_and(|since| process.started > since);
        before.unwrap_or(if is_new { Nanos(0) } else { process.time })
    }
}

#[cfg(test)]
mod tests;
