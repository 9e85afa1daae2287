//! What the machine is made of, as far as power and carbon depend on it.

use crate::units::Bytes;

/// How a CPU names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuIdentity {
    /// By CPUID.
    X86 {
        /// `GenuineIntel`, `AuthenticAMD`
        vendor: String,
        /// Family, extended family added.
        family: u32,
        /// Model, extended model included.
        model: u32,
        /// Stepping.
        stepping: u32,
        /// Brand string, `Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz`; may be empty in a guest.
        name: String,
    },
    /// By MIDR.
    Arm {
        /// Implementer code: 0x41 is Arm.
        implementer: u32,
        /// Part number.
        part: u32,
    },
    /// By neither.
    Other,
}

/// What the power model depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processor {
    /// The first CPU's identity; all are taken to be alike.
    pub identity: CpuIdentity,
    /// Hardware threads online, or vCPUs of a guest.
    pub threads: u32,
    /// Memory the kernel manages.
    pub memory: Bytes,
    /// Whether a hypervisor shows itself; `None` where the CPU does not say.
    pub hypervisor: Option<bool>,
}

/// What the embodied carbon depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// CPU sockets.
    pub sockets: u32,
    /// Memory the kernel manages.
    pub memory: Bytes,
    /// Disks that do not rotate.
    pub ssds: u32,
    /// Disks that rotate.
    pub hdds: u32,
    /// Whether a hypervisor shows itself; `None` where the CPU does not say.
    pub hypervisor: Option<bool>,
}
