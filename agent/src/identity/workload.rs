//! From what a path says to the workload that leaves the agent, and its key. Pure.
//!
//! The key must be the same after a restart of what it names and must never be shared by two things, so it holds
//! what the path can vouch for: the runtime beside the name, the user for what a user named, the container or
//! unit around a container. Names of pods and owners are not in a path; they join later.

use super::{
    Kind, Outer, PathIdentity, PathKind, Rule, Triplet, Workload,
    path::{self, text, tokens},
};

/// Digits of a container id that people use.
const SHORT_ID: usize = 12;

/// For a process without a name of its own.
const UNNAMED: &str = "(unnamed)";

/// The name of a process as it may be shown, from its `comm` as the kernel has it: up to its NUL.
pub fn process_name(comm: &[u8; 16]) -> String {
    let used = comm.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = text::name(&String::from_utf8_lossy(used));
    if name.is_empty() { UNNAMED.to_owned() } else { name }
}

impl Workload {
    /// Who is charged for what tasks of the cgroup `path` use.
    ///
    /// A container of Kubernetes has the namespace `k8s`, its short id as name and `[AROUND/]POD/CONTAINER` as
    /// instance: the names that the kubelet knows join by the container's id. The root is nobody's: its kernel
    /// threads and processes have keys of their own in the kernel programs.
    pub fn of_path(path: &str, host_id: &str) -> Self {
        Self::of(&PathIdentity::from_path(path), path, host_id)
    }

    /// [`Workload::of_path`] for a path that was read already.
    pub fn of(identity: &PathIdentity, path: &str, host_id: &str) -> Self {
        let made = match identity.kind {
            PathKind::K8sContainer => k8s_container(identity),
            PathKind::K8sPod | PathKind::VmSandbox => pod(identity),
            PathKind::Container => container(identity, host_id),
            PathKind::Vm => vm(identity, host_id),
            PathKind::HpcJob => job(identity, host_id),
            PathKind::SystemdService | PathKind::SystemdScope => system_unit(identity, host_id),
            PathKind::UserUnit => user_unit(identity, host_id),
            PathKind::UserSession => session(identity, host_id),
            PathKind::RuntimeHelper => {
                pod(identity).or_else(|| container(identity, host_id)).or_else(|| charged(identity, path, host_id))
            }
            PathKind::Aggregate | PathKind::Ignore => charged(identity, path, host_id),
            PathKind::Unknown if identity.rule == Rule::NoPath => None,
            PathKind::Unknown => Some(cgroup(path, host_id)),
            PathKind::Host | PathKind::KernelOrRoot | PathKind::RelativeRoot => None,
        };
        made.unwrap_or_else(|| Self::unattributed(host_id))
    }

    /// Kernel threads outside any workload.
    pub fn kernel(host_id: &str) -> Self {
        own(Kind::Kernel, host_id)
    }

    /// Busy time nobody owns.
    pub fn unattributed(host_id: &str) -> Self {
        own(Kind::Unattributed, host_id)
    }

    /// The tail that was folded.
    pub fn other(host_id: &str) -> Self {
        own(Kind::Other, host_id)
    }

    /// Processes of the root cgroup by the name of their executable, `comm` as the kernel has it: up to its NUL.
    pub fn process(host_id: &str, comm: &[u8; 16]) -> Self {
        let name = process_name(comm);
        let instance = format!("{host_id}/{name}");
        named(Kind::Process, "process", name, instance)
    }
}

fn named(kind: Kind, namespace: &str, name: String, instance: String) -> Workload {
    Workload { id: Triplet { namespace: namespace.to_owned(), name: name.clone(), instance }, kind, name }
}

fn own(kind: Kind, host_id: &str) -> Workload {
    let name = kind.name();
    named(kind, "wattrace", name.to_owned(), format!("{host_id}/{name}"))
}

/// What keeps two equal ids apart: the user and the container or unit around, each with a slash behind it.
///
/// Groups (a task of ECS, a pod of Podman) are left out: an id is unique among them, and helpers stand outside.
fn around(identity: &PathIdentity) -> String {
    let user = identity.user_uid.map(|uid| format!("user-{uid}/")).unwrap_or_default();
    match &identity.outer {
        Some(outer @ (Outer::Container(..) | Outer::Unit(_))) => format!("{user}{outer}/"),
        Some(Outer::PodmanPod(_) | Outer::EcsTask(_)) | None => user,
    }
}

/// The first digits of an id; names are kept whole.
fn short(id: &str) -> String {
    let head = if tokens::is_id(id) { id.get(..SHORT_ID) } else { None };
    head.unwrap_or(id).to_owned()
}

fn k8s_container(identity: &PathIdentity) -> Option<Workload> {
    let id = identity.container_id.as_deref()?;
    let pod = identity.pod_uid.as_ref().map(|uid| format!("{uid}/")).unwrap_or_default();
    Some(named(Kind::K8sContainer, "k8s", short(id), format!("{}{pod}{id}", around(identity))))
}

/// The pod itself; a sandbox outside the pod's directory goes by its own id until the runtime tells whose it is.
fn pod(identity: &PathIdentity) -> Option<Workload> {
    if let Some(uid) = &identity.pod_uid {
        return Some(named(Kind::K8sPod, "k8s", uid.clone(), format!("{}{uid}", around(identity))));
    }
    let id = identity.container_id.as_deref().filter(|_| identity.kind == PathKind::VmSandbox)?;
    Some(named(Kind::K8sPod, "k8s", short(id), format!("{}sandbox/{id}", around(identity))))
}

/// Steps of a build are too many and too short to be told apart.
fn container(identity: &PathIdentity, host_id: &str) -> Option<Workload> {
    let (id, runtime) = (identity.container_id.as_deref()?, identity.runtime?.name());
    let above = format!("{host_id}/{}{runtime}", around(identity));
    if identity.rule == Rule::Buildkit {
        return Some(named(Kind::Container, "container", runtime.to_owned(), above));
    }
    let name = identity.unit.clone().unwrap_or_else(|| short(id));
    Some(named(Kind::Container, "container", name, format!("{above}/{id}")))
}

fn vm(identity: &PathIdentity, host_id: &str) -> Option<Workload> {
    let (name, runtime) = (identity.vm.clone()?, identity.runtime?.name());
    let instance = format!("{host_id}/{runtime}/{name}");
    Some(named(Kind::Vm, "vm", name, instance))
}

/// The job with all its steps and tasks.
fn job(identity: &PathIdentity, host_id: &str) -> Option<Workload> {
    let (job, runtime) = (identity.job.as_ref()?, identity.runtime?.name());
    Some(named(Kind::Job, "job", job.id.clone(), format!("{host_id}/{runtime}/{}", job.id)))
}

fn system_unit(identity: &PathIdentity, host_id: &str) -> Option<Workload> {
    let unit = collapsed(identity.unit.as_deref()?);
    let instance = format!("{host_id}/{unit}");
    Some(named(Kind::SystemdUnit, "systemd", unit, instance))
}

/// A unit of a user's manager, or the manager for what is in none.
fn user_unit(identity: &PathIdentity, host_id: &str) -> Option<Workload> {
    let uid = identity.user_uid?;
    let (unit, instance) = match identity.unit.as_deref().map(collapsed_of_user) {
        Some(unit) => (unit.clone(), format!("{host_id}/user-{uid}/{unit}")),
        None => (format!("user@{uid}.service"), format!("{host_id}/user@{uid}.service")),
    };
    Some(named(Kind::SystemdUnit, "systemd", unit, instance))
}

/// All sessions of a user, under the name of his slice: their numbers only grow.
fn session(identity: &PathIdentity, host_id: &str) -> Option<Workload> {
    let slice = format!("user-{}.slice", identity.user_uid?);
    let instance = format!("{host_id}/{slice}");
    Some(named(Kind::Session, "systemd", slice, instance))
}

fn cgroup(path: &str, host_id: &str) -> Workload {
    let name = text::name(path.strip_suffix(" (deleted)").unwrap_or(path));
    let instance = format!("{host_id}{name}");
    named(Kind::Cgroup, "cgroup", name, instance)
}

/// The nearest workload above.
fn charged(identity: &PathIdentity, path: &str, host_id: &str) -> Option<Workload> {
    let ancestor = path::prefix(path, identity.charged?);
    Some(Workload::of_path(ancestor, host_id))
}

/// A unit's name without what makes it new each time.
fn collapsed(unit: &str) -> String {
    if tokens::between(unit, "run-", ".scope").is_some() {
        return "run-*.scope".to_owned();
    }
    if tokens::between(unit, "session-", ".scope").is_some() {
        return "session-*.scope".to_owned();
    }
    if tokens::between(unit, "run-", ".service").is_some_and(is_transient) {
        return "run-*.service".to_owned();
    }
    unit.to_owned()
}

/// What systemd-run calls a service without a name: `uN`, `r` and 32 digits, or `pN-iN`.
fn is_transient(stem: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    stem.strip_prefix('u').is_some_and(is_number)
        || stem.strip_prefix('r').is_some_and(tokens::is_hex32)
        || stem
            .strip_prefix('p')
            .and_then(|rest| rest.split_once("-i"))
            .is_some_and(|(pid, inode)| is_number(pid) && is_number(inode))
}

/// Desktops add a process id or a UUID (`app-NAME-PID.scope`, `NAME-UUID.scope`, `app-NAME@RANDOM.service`).
fn collapsed_of_user(unit: &str) -> String {
    let numbered = tokens::between(unit, "app-", ".scope")
        .and_then(|stem| stem.rsplit_once('-'))
        .filter(|(_, pid)| tokens::number(pid).is_some());
    if let Some((name, _)) = numbered {
        return format!("app-{name}-*.scope");
    }
    if let Some(name) = unit.strip_suffix(".scope").and_then(without_uuid) {
        return format!("{name}-*.scope");
    }
    let random = tokens::between(unit, "app-", ".service")
        .and_then(|stem| stem.rsplit_once('@'))
        .filter(|(_, random)| tokens::is_hex32(random) || tokens::number(random).is_some());
    random.map_or_else(|| collapsed(unit), |(name, _)| format!("app-{name}@*.service"))
}

fn without_uuid(stem: &str) -> Option<&str> {
    let (name, uuid) = stem.split_at_checked(stem.len().checked_sub(36)?)?;
    name.strip_suffix('-').filter(|name| tokens::is_uuid(uuid) && !name.is_empty())
}

#[cfg(test)]
mod tests;
