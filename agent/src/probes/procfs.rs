//! CPU time totals from `/proc/stat`: the second witness of busy time, and the only one without kernel programs.

use std::path::Path;

use super::{
    file::{self, FileError},
    parse,
};
use crate::units::Nanos;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_converted() {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join("proc")).expect("a directory");
        std::fs::write(root.path().join("proc/stat"), "cpu  1 1 1 1\ncpu3 100 0 50 200 50 0 0 25 0 0\n")
            .expect("a file");
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
    }
}
