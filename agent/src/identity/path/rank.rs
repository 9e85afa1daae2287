//! Which line of a v1 or hybrid `/proc/PID/cgroup` counts: the one that says most.

use super::{PathIdentity, PathKind};

/// The identity of the highest rank; among equals the deepest, then the first.
pub(super) fn best(lines: impl Iterator<Item = PathIdentity>) -> Option<PathIdentity> {
    lines.reduce(|best, next| if key(&next) > key(&best) { next } else { best })
}

fn key(identity: &PathIdentity) -> (u8, usize) {
    (rank(identity.kind), identity.depth)
}

/// A pod's container is the most a path can say. A directory of no known shape still says more than a slice,
/// and that more than the root.
const fn rank(kind: PathKind) -> u8 {
    match kind {
        PathKind::K8sContainer => 15,
        PathKind::VmSandbox => 14,
        PathKind::HpcJob => 13,
        PathKind::Container | PathKind::Vm => 12,
        PathKind::RuntimeHelper => 11,
        PathKind::K8sPod => 10,
        PathKind::SystemdService => 9,
        PathKind::SystemdScope => 8,
        PathKind::UserUnit => 7,
        PathKind::UserSession => 6,
        PathKind::Unknown => 5,
        PathKind::Aggregate => 4,
        PathKind::Ignore => 3,
        PathKind::Host => 2,
        PathKind::RelativeRoot => 1,
        PathKind::KernelOrRoot => 0,
    }
}
