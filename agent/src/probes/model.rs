//! What the power model depends on, read from `/proc` and `/sys`. The model itself is pure: `attribution::model`.

use std::path::Path;

use super::{
    file::{self, FileError},
    parse,
};
use crate::samples::machine::Processor;

/// Reads CPU identity, online CPUs and memory below `root`.
pub fn processor(root: &Path) -> Result<Processor, FileError> {
    let cpu = file::parse(&root.join("proc/cpuinfo"), parse::cpuinfo)?;
    let online = file::parse(&root.join("sys/devices/system/cpu/online"), parse::cpu_list)?;
    let memory = file::parse(&root.join("proc/meminfo"), parse::memory_total)?;
    let threads = u32::try_from(online.len()).unwrap_or(u32::MAX);
    Ok(Processor { identity: cpu.identity, threads, memory, hypervisor: cpu.hypervisor })
}

/// Whether a hypervisor shows itself below `root`. A guest's counters are the hypervisor's estimate, never a measurement.
pub fn is_guest(root: &Path) -> Result<bool, FileError> {
    Ok(file::parse(&root.join("proc/cpuinfo"), parse::cpuinfo)?.hypervisor == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_known_by_its_flag() {
        let root = tempfile::tempdir().expect("a directory");
        assert!(is_guest(root.path()).is_err(), "nobody can tell");
        std::fs::create_dir(root.path().join("proc")).expect("a directory");
        for (flags, expected) in [("flags\t: fpu hypervisor\n", true), ("flags\t: fpu\n", false), ("", false)] {
            let text = format!(
                "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nstepping\t: 4\n{flags}"
            );
            std::fs::write(root.path().join("proc/cpuinfo"), text).expect("a file");
            assert_eq!(is_guest(root.path()).expect("a processor"), expected, "{flags:?}");
        }
    }

    #[test]
    fn this_machine_has_a_processor() {
        let processor = processor(Path::new("/")).expect("a processor");
        assert!(processor.threads > 0 && processor.memory.0 > 0, "{processor:?}");
    }
}
