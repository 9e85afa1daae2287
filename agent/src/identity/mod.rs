//! Who a piece of work belongs to.

mod path;
mod registry;
mod workload;

pub use path::{
    Job, NAME_MAX, Outer, PATH_MAX, PathIdentity, PathKind, Qos, Rule, Runtime, bounded, proc_path, unified_path,
};
pub use registry::{Counts, DEAD_FOR, KNOWN_MAX, Living, Registry, Resolved};
pub use workload::process_name;

use serde::{Deserialize, Serialize};

/// The kinds of workload that leave the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A container of a Kubernetes pod.
    K8sContainer,
    /// A pod's own overhead, or its sandbox.
    K8sPod,
    /// A container outside Kubernetes.
    Container,
    /// A systemd service, scope or user unit.
    SystemdUnit,
    /// A user's login sessions.
    Session,
    /// A virtual machine.
    Vm,
    /// A batch job.
    Job,
    /// A control group of no known shape, by its path.
    Cgroup,
    /// Processes of the root cgroup, by executable name.
    Process,
    /// Kernel threads outside any workload.
    Kernel,
    /// Busy time nobody owns.
    Unattributed,
    /// The tail that was folded.
    Other,
}

impl Kind {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::K8sContainer => "k8s_container",
            Self::K8sPod => "k8s_pod",
            Self::Container => "container",
            Self::SystemdUnit => "systemd_unit",
            Self::Session => "session",
            Self::Vm => "vm",
            Self::Job => "job",
            Self::Cgroup => "cgroup",
            Self::Process => "process",
            Self::Kernel => "kernel",
            Self::Unattributed => "unattributed",
            Self::Other => "other",
        }
    }
}

/// The triplet by which Prometheus keys series and the ledger keys totals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Triplet {
    /// `service.namespace`
    pub namespace: String,
    /// `service.name`
    pub name: String,
    /// `service.instance.id`
    pub instance: String,
}

/// A workload as it leaves the agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Workload {
    /// Key of the ledger.
    pub id: Triplet,
    /// Kind.
    pub kind: Kind,
    /// Name for people: the unit, the container id, the executable.
    pub name: String,
}
