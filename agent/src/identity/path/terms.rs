//! The words in which a cgroup path's meaning is told.

use std::fmt;

/// What a path denotes. [`PathIdentity::workload`](super::workload) says what leaves the agent for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    /// A container of a pod.
    K8sContainer,
    /// A pod's own cgroup.
    K8sPod,
    /// The virtual machine around a pod.
    VmSandbox,
    /// A container outside Kubernetes.
    Container,
    /// A virtual machine.
    Vm,
    /// A batch job.
    HpcJob,
    /// A process a runtime keeps beside its containers.
    RuntimeHelper,
    /// A service of the system manager.
    SystemdService,
    /// A scope of the system manager.
    SystemdScope,
    /// A user's service manager or a unit of it.
    UserUnit,
    /// A login session.
    UserSession,
    /// The host's process 1.
    Host,
    /// Groups others: a slice, the kubelet's directories.
    Aggregate,
    /// Holds nothing of interest: mounts.
    Ignore,
    /// The root of the hierarchy.
    KernelOrRoot,
    /// An ancestor's root, seen from a private cgroup namespace.
    RelativeRoot,
    /// A directory of no known shape.
    Unknown,
}

/// Who made the container or the machine, as far as the path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// containerd
    Containerd,
    /// CRI-O
    Crio,
    /// Docker
    Docker,
    /// Podman
    Podman,
    /// Kata Containers
    Kata,
    /// LXC, LXD, Incus
    Lxc,
    /// systemd-nspawn
    Nspawn,
    /// libvirt's LXC driver
    LibvirtLxc,
    /// libvirt's QEMU driver
    LibvirtQemu,
    /// QEMU under Proxmox VE
    ProxmoxQemu,
    /// Slurm
    Slurm,
    /// Amazon ECS
    Ecs,
    /// Nomad
    Nomad,
    /// Cloud Foundry Garden
    Garden,
    /// Cloud Foundry BPM
    Bpm,
    /// Apache Mesos
    Mesos,
    /// `BuildKit`
    Buildkit,
    /// A container, but the path does not tell whose.
    Unknown,
}

/// A pod's class of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// Guaranteed
    Guaranteed,
    /// Burstable
    Burstable,
    /// Best effort
    Besteffort,
}

/// A batch job's numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    /// Number of the job.
    pub id: String,
    /// Step, where the path goes that deep.
    pub step: Option<String>,
    /// Task of the step.
    pub task: Option<String>,
}

/// What is directly around a container or a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outer {
    /// A container.
    Container(Runtime, String),
    /// A systemd unit.
    Unit(String),
    /// A pod of Podman.
    PodmanPod(String),
    /// A task of ECS.
    EcsTask(String),
}

impl PathKind {
    /// Short and stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::K8sContainer => "k8s_container",
            Self::K8sPod => "k8s_pod",
            Self::VmSandbox => "vm_sandbox",
            Self::Container => "container",
            Self::Vm => "vm",
            Self::HpcJob => "hpc_job",
            Self::RuntimeHelper => "runtime_helper",
            Self::SystemdService => "systemd_service",
            Self::SystemdScope => "systemd_scope",
            Self::UserUnit => "user_unit",
            Self::UserSession => "user_session",
            Self::Host => "host",
            Self::Aggregate => "aggregate",
            Self::Ignore => "ignore",
            Self::KernelOrRoot => "kernel_or_root",
            Self::RelativeRoot => "relative_root",
            Self::Unknown => "unknown",
        }
    }
}

impl Runtime {
    /// Short and stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kata => "kata",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::LibvirtLxc => "libvirt-lxc",
            Self::LibvirtQemu => "libvirt-qemu",
            Self::ProxmoxQemu => "proxmox-qemu",
            Self::Slurm => "slurm",
            Self::Ecs => "ecs",
            Self::Nomad => "nomad",
            Self::Garden => "garden",
            Self::Bpm => "bpm",
            Self::Mesos => "mesos",
            Self::Buildkit => "buildkit",
            Self::Unknown => "unknown",
        }
    }
}

impl Qos {
    /// Short and stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "guaranteed",
            Self::Burstable => "burstable",
            Self::Besteffort => "besteffort",
        }
    }
}

/// `ID/STEP/TASK`, empty where the path does not go that deep.
impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, task) = (self.step.as_deref().unwrap_or_default(), self.task.as_deref().unwrap_or_default());
        write!(f, "{}/{step}/{task}", self.id)
    }
}

/// `RUNTIME:ID`, `podman_pod:ID`, `ecs_task:ID` or the unit.
impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(runtime, id) => write!(f, "{}:{id}", runtime.name()),
            Self::Unit(unit) => f.write_str(unit),
            Self::PodmanPod(id) => write!(f, "podman_pod:{id}"),
            Self::EcsTask(id) => write!(f, "ecs_task:{id}"),
        }
    }
}
