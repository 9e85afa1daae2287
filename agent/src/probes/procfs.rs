//! CPU time from `/proc`: totals of the CPUs, the second witness of busy time and the only one without kernel programs,
//! and of single processes.

use std::{fs, io, path::Path};

use wattrace_common::sched::WorkKey;

use super::{
    file::{self, FileError},
    parse,
};
use crate::{samples::files::ProcessReading, units::Nanos};

/// One CPU's time since boot. Resolution is one clock tick, 10 ms as a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// CPU number.
    pub cpu: u32,
    /// Time of tasks and interrupts, guests included.
    pub busy: Nanos,
    /// Time the hypervisor gave to somebody else: neither busy nor idle here.
    pub steal: Nanos,
    /// Idle time, waiting for I/O included.
    pub idle: Nanos,
}

/// Clock ticks per second of `/proc/stat` (`USER_HZ`).
pub fn user_hz() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// Reads the online CPUs' totals from `<root>/proc/stat`; `hz` is [`user_hz`].
pub fn cpu_times(root: &Path, hz: u64) -> Result<Vec<CpuTimes>, FileError> {
    let cpus = file::parse(&root.join("proc/stat"), parse::proc_stat)?;
    let time = |count| parse::ticks(count, hz);
    let times = |cpu: parse::CpuTicks| CpuTimes {
        cpu: cpu.cpu,
        busy: time(cpu.busy),
        steal: time(cpu.steal),
        idle: time(cpu.idle),
    };
    Ok(cpus.into_iter().map(times).collect())
}

/// Threads of the whole system, also those that no other namespace shows.
pub fn threads(root: &Path) -> Result<u64, FileError> {
    file::parse(&root.join("proc/loadavg"), parse::threads)
}

/// Whether `<root>/proc` is the kernel's, and not made up.
pub fn is_real(root: &Path) -> bool {
    rustix::fs::statfs(root.join("proc")).is_ok_and(|found| found.f_type == libc::PROC_SUPER_MAGIC)
}

/// Pids of all processes that `<root>/proc` shows.
pub fn pids(root: &Path) -> Result<Vec<u32>, FileError> {
    let path = root.join("proc");
    let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| FileError::Read { path, source })?;
    Ok(entries.iter().filter_map(|entry| parse::pid(entry.file_name().as_encoded_bytes())).collect())
}

/// What `<root>/proc` says of one process; `None`: it is gone.
pub fn process(root: &Path, pid: u32, hz: u64) -> Result<Option<ProcessReading>, FileError> {
    match file::parse(&root.join(format!("proc/{pid}/stat")), parse::process::process_stat) {
        Ok(stat) => Ok(Some(ProcessReading {
            process: WorkKey::process(pid, parse::ticks(stat.start, hz).0),
            started: parse::ticks(stat.start.saturating_add(1), hz),
            is_kernel: stat.is_kernel,
            time: parse::ticks(stat.time, hz),
            comm: stat.comm,
        })),
        Err(FileError::Read { source, .. }) if is_gone(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

/// ESRCH is what a file gives whose process ended while it was open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_converted() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("proc")).expect("a directory");
        fs::write(root.path().join("proc/stat"), "cpu  1 1 1 1\ncpu3 100 0 50 200 50 0 0 25 0 0\n").expect("a file");
        let expected = CpuTimes {
            cpu: 3,
            busy: Nanos::from_millis(1_500),
            steal: Nanos::from_millis(250),
            idle: Nanos::from_millis(2_500),
        };
        assert_eq!(cpu_times(root.path(), 100).expect("totals"), [expected]);
    }

    #[test]
    fn this_machine_has_totals() {
        assert!(user_hz() > 0);
        assert!(!cpu_times(Path::new("/"), user_hz()).expect("totals").is_empty());
        assert!(threads(Path::new("/")).expect("threads") > 1);
    }

    #[test]
    fn a_process_has_a_key_by_its_start() {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["7", "8", "x", "9z", "-1"] {
            fs::create_dir_all(root.path().join("proc").join(name)).expect("a directory");
        }
        let line = "7 (a name) S 1 7 7 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 4242 100 200";
        fs::write(root.path().join("proc/7/stat"), line).expect("a file");
        let mut found = pids(root.path()).expect("pids");
        found.sort_unstable();
        assert_eq!(found, [7, 8]);
        let start = 42_420_000_000;
        let expected = ProcessReading {
            process: WorkKey::process(7, start),
            started: Nanos(start + 10_000_000),
            is_kernel: false,
            time: Nanos::from_millis(560),
            comm: *b"a name\0\0\0\0\0\0\0\0\0\0",
        };
        assert_eq!(process(root.path(), 7, 100).expect("a process"), Some(expected));
        assert_eq!(process(root.path(), 8, 100).expect("it is gone"), None);
        fs::write(root.path().join("proc/8/stat"), "8 (b").expect("a file");
        assert!(process(root.path(), 8, 100).is_err());
    }

    #[test]
    fn this_process_has_used_time() {
        let root = Path::new("/");
        let me = std::process::id();
        assert!(pids(root).expect("pids").contains(&me));
        let me = process(root, me, user_hz()).expect("readable").expect("alive");
        assert!(!me.is_kernel && me.comm[0] != 0);
        assert!(is_real(root) && !is_real(tempfile::tempdir().expect("a directory").path()));
    }
}
