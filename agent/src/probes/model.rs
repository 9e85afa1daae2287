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
    fn this_machine_has_a_processor() {
        let processor = processor(Path::new("/")).expect("a processor");
        assert!(processor.threads > 0 && processor.memory.0 > 0, "{processor:?}");
    }
}
