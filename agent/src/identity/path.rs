//! From a cgroup path, or the text of `/proc/PID/cgroup`, to what it says of its owner. Pure.
//!
//! A path is evidence, not proof: whoever may make directories chooses their names. What is below a user's own
//! service manager is therefore never taken for a pod, and a container there keeps the user's id, which
//! [`super::workload`] puts into its key. What a name means to people is not decided here.

mod rank;
mod rule;
mod terms;
pub(super) mod text;
pub(super) mod tokens;
mod walk;

pub use rule::Rule;
pub use terms::{Job, Outer, PathKind, Qos, Runtime};
pub use text::{NAME_MAX, PATH_MAX, bounded};

use walk::Walk;

/// What a path says. `None`: it does not say. All texts are escaped and bounded by [`NAME_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathIdentity {
    /// What it is.
    pub kind: PathKind,
    /// Who made it.
    pub runtime: Option<Runtime>,
    /// The runtime's id or name of the container; of a helper, the container it serves.
    pub container_id: Option<String>,
    /// UID of the pod around it.
    pub pod_uid: Option<String>,
    /// Class of that pod.
    pub qos: Option<Qos>,
    /// systemd unit, as systemd writes it.
    pub unit: Option<String>,
    /// Name of the virtual machine.
    pub vm: Option<String>,
    /// Batch job.
    pub job: Option<Job>,
    /// The user it belongs to, where the path says so.
    pub user_uid: Option<u32>,
    /// What is around it.
    pub outer: Option<Outer>,
    /// The part of the path below the owner.
    pub inner: Option<String>,
    /// The cgroup was removed already (`(deleted)`): no new workload may come of it.
    pub stale: bool,
    /// The rule that decided.
    pub rule: Rule,
    /// Components of the path down to the owner.
    pub(super) depth: usize,
    /// Components down to what is charged instead, for kinds that are no workload of their own.
    pub(super) charged: Option<usize>,
}

impl PathIdentity {
    /// Reads one cgroup path.
    pub fn from_path(path: &str) -> Self {
        let alive = path.strip_suffix(" (deleted)");
        let (relative, below) = without_parents(alive.unwrap_or(path));
        let mut walk = Walk::new(relative);
        components(below).for_each(|component| walk.step(component));
        Self { stale: alive.is_some(), ..walk.finish(below) }
    }

    /// Reads the text of `/proc/PID/cgroup`: the line that says most counts.
    pub fn from_proc(text: &str) -> Self {
        rank::best(text.lines().filter_map(proc_path).map(Self::from_path)).unwrap_or_else(Self::of_nothing)
    }

    pub(super) fn empty(kind: PathKind, rule: Rule) -> Self {
        Self {
            kind,
            runtime: None,
            container_id: None,
            pod_uid: None,
            qos: None,
            unit: None,
            vm: None,
            job: None,
            user_uid: None,
            outer: None,
            inner: None,
            stale: false,
            rule,
            depth: 0,
            charged: None,
        }
    }

    fn of_nothing() -> Self {
        Self::empty(PathKind::Unknown, Rule::NoPath)
    }
}

/// The path of one line `ID:CONTROLLERS:PATH`. A path may hold colons.
pub fn proc_path(line: &str) -> Option<&str> {
    let mut fields = line.splitn(3, ':');
    let hierarchy = fields.next()?;
    let path = fields.nth(1)?;
    (!hierarchy.is_empty() && hierarchy.bytes().all(|b| b.is_ascii_digit()) && path.starts_with('/')).then_some(path)
}

/// The path of the unified hierarchy in the text of `/proc/PID/cgroup`.
pub fn unified_path(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("0::")).and_then(proc_path)
}

/// Whether the path began with `/..`, and what follows these.
fn without_parents(path: &str) -> (bool, &str) {
    let mut rest = path;
    while let Some(below) = rest.strip_prefix("/..").filter(|below| below.is_empty() || below.starts_with('/')) {
        rest = below;
    }
    (rest.len() < path.len(), rest)
}

/// `path` down to its `depth`-th component, those `..` at its beginning not counted.
pub(super) fn prefix(path: &str, depth: usize) -> &str {
    let alive = path.strip_suffix(" (deleted)").unwrap_or(path);
    let rest = split_at(without_parents(alive).1, depth).1;
    alive.strip_suffix(rest).unwrap_or(alive)
}

/// `path` down to its `depth`-th component, and the rest.
pub(super) fn split_at(path: &str, depth: usize) -> (&str, &str) {
    let mut rest = path;
    for _ in 0..depth {
        rest = rest.trim_start_matches('/');
        rest = rest.find('/').and_then(|end| rest.get(end..)).unwrap_or_default();
    }
    path.split_at_checked(path.len() - rest.len()).unwrap_or((path, ""))
}

pub(super) fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty())
}

#[cfg(test)]
mod tests;
