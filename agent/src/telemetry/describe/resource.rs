//! Resources: who a series is about, in attributes.

use crate::{
    attribution::{ledger::Cgroup, reserved::IdlePolicy, weight::Method},
    identity::{Kind, PathIdentity, Triplet, Workload},
    samples::EnergySource,
    telemetry::snapshot::Resource,
};

/// The machine, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// `host.id`
    pub id: String,
    /// `host.name`; `None`: unknown.
    pub name: Option<String>,
}

/// Which idle energy a workload has.
const IDLE_POLICY: &str = "wattrace.energy.idle_policy";

/// `service.name` of the agent's own resource. It is an observer, and no workload: what it costs is billed to the
/// unit or container that it runs in.
pub const AGENT: &str = "agent";

/// The machine. It says whose its idle energy is: without that, nobody could close its books. And how the rest was shared.
pub(super) fn node(host: &Host, policy: IdlePolicy, method: Method) -> Resource {
    let gain = method.gain().map(|gain| ("wattrace.attribution.smt_gain", gain.to_string()));
    let rules = [(IDLE_POLICY, policy.name().to_owned()), ("wattrace.attribution.method", method.name().to_owned())];
    own("node", host, rules.into_iter().chain(gain).collect())
}

/// This agent: the Resource of its own numbers and of its own log records.
pub fn agent(host: &Host) -> Resource {
    let version = ("service.version", env!("CARGO_PKG_VERSION").to_owned());
    own(AGENT, host, vec![version])
}

fn own(name: &str, host: &Host, more: Vec<(&'static str, String)>) -> Resource {
    let instance = format!("{}/{name}", host.id);
    of(Triplet { namespace: "wattrace".to_owned(), name: name.to_owned(), instance }, host, more)
}

/// A workload, and one of its cgroups.
pub(super) fn workload(
    workload: &Workload,
    cgroup: Option<&Cgroup>,
    host: &Host,
    source: EnergySource,
    policy: IdlePolicy,
) -> Resource {
    let mut more = vec![
        ("wattrace.workload.kind", workload.kind.name().to_owned()),
        ("wattrace.workload.name", workload.name.clone()),
        ("wattrace.energy.quality", source.quality().to_owned()),
    ];
    if policy != IdlePolicy::Separate {
        more.push((IDLE_POLICY, policy.name().to_owned()));
    }
    // One of the cgroups of a workload that stands for many would change with each, and is not its path.
    let one = workload.kind != Kind::Session && !workload.name.contains('*');
    if let Some(cgroup) = cgroup.filter(|_| one) {
        more.push(("wattrace.cgroup.path", cgroup.path.clone()));
        more.extend(from_path(workload.kind, &cgroup.path));
    }
    if workload.kind == Kind::SystemdUnit {
        more.push(("systemd.unit.name", workload.name.clone()));
    }
    of(workload.id.clone(), host, more)
}

/// What the path says of a container or pod.
fn from_path(kind: Kind, path: &str) -> Vec<(&'static str, String)> {
    let identity = PathIdentity::from_path(path);
    let container = identity.container_id.filter(|_| matches!(kind, Kind::Container | Kind::K8sContainer));
    let pod = identity.pod_uid.filter(|_| matches!(kind, Kind::K8sPod | Kind::K8sContainer));
    let found = [("container.id", container), ("k8s.pod.uid", pod)];
    found.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn of(id: Triplet, host: &Host, more: Vec<(&'static str, String)>) -> Resource {
    let mut attributes = Vec::from(id.attributes());
    attributes.push(("host.id", host.id.clone()));
    attributes.extend(host.name.clone().map(|name| ("host.name", name)));
    attributes.extend(more);
    attributes.retain(|(_, value)| !value.is_empty());
    Resource { id, attributes }
}
