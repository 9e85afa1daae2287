//! This very process in the eyes of the kernel program: the self-test, and under which key it is booked.

use rustix::thread::sched_getcpu;
use wattrace_common::sched::{Work, WorkKey};

use super::{load::Programs, visit};

/// Looks before it is unknown.
const LOOKS: u32 = 16;

/// What the self-test expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Me {
    /// Our cgroup, where it is known and not the root.
    pub cgroup: Option<u64>,
    /// Our pid in the initial pid namespace, where it is known.
    pub tgid: Option<u32>,
}

impl Me {
    /// A wrong offset can pass the verifier when it leads to another member of the same size: the
    /// program must therefore prove that it names a process and thread it is known to run under.
    pub(super) fn is(self, key: WorkKey, tid: u64) -> bool {
        let same_process = match (key.decode(), self) {
            (Work::Cgroup(id), Self { cgroup: Some(mine), .. }) => id == mine,
            (Work::Process { tgid, .. }, Self { cgroup: None, tgid: Some(mine) }) => tgid == mine,
            (Work::Cgroup(_), Self { cgroup: None, .. })
            | (Work::Process { .. }, Self { cgroup: None, tgid: None }) => true,
            _ => false,
        };
        // In a pid namespace of its own this process does not know what the kernel calls it.
        let my_tid = u64::from(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
        same_process && (self.tgid.is_none() || tid == my_tid)
    }
}

impl Programs {
    /// The key of the calling thread: what the program says of the CPU that runs it. `None`: it was never seen there.
    ///
    /// The files of `/proc` would not tell from inside a namespace of its own, and this is what is billed.
    pub fn own_key(&self) -> Option<WorkKey> {
        (0..LOOKS).find_map(|_| {
            let key = self.key_here();
            if key.is_none() {
                // The switch to this thread may not have been reported; the next one may.
                visit::switch_once();
            }
            key
        })
    }

    fn key_here(&self) -> Option<WorkKey> {
        let cpu = sched_getcpu();
        let (key, tid) = self.times.running_task(u32::try_from(cpu).ok()?)?;
        // Moved meanwhile: whoever runs there is another.
        (sched_getcpu() == cpu && self.me.is(key, tid)).then_some(key)
    }
}
