//! Whose a kernel object is that is no task: a request of a block device, a socket.

/// Whose a request of a block device or a socket is, packed in 64 bits: the id of a cgroup of the unified hierarchy, or one of the two below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct OwnerKey(pub u64);

impl OwnerKey {
    /// It names no cgroup: a request without data of its own, or the kernel keeps no such account. Also where there was no
    /// room for its cgroup, which is counted as a loss.
    pub const NOBODY: Self = Self(1 << 63);
    /// The cgroup is of a version 1 hierarchy, whose ids mean something else.
    pub const V1: Self = Self(1 << 63 | 1);

    /// The key of a cgroup id, or [`OwnerKey::NOBODY`] for an id no kernel gives.
    pub const fn cgroup(id: u64) -> Self {
        if id == 0 || id >> 63 == 1 { Self::NOBODY } else { Self(id) }
    }

    /// Whose it is.
    pub const fn decode(self) -> Owner {
        match self {
            Self::NOBODY => Owner::Nobody,
            Self::V1 => Owner::V1,
            Self(id) => Owner::Cgroup(id),
        }
    }
}

/// Rows that [`OwnerKey::NOBODY`] and [`OwnerKey::V1`] always have.
pub const FIXED_ROWS: [OwnerKey; 2] = [OwnerKey::NOBODY, OwnerKey::V1];

/// [`OwnerKey`], taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// Nobody is named.
    Nobody,
    /// A cgroup of a version 1 hierarchy.
    V1,
    /// A cgroup of the unified hierarchy, the root included.
    Cgroup(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_cgroup_of_the_unified_hierarchy_or_said_not_to_be() {
        assert_eq!(OwnerKey::cgroup(4711).decode(), Owner::Cgroup(4711));
        assert_eq!(OwnerKey::cgroup(0).decode(), Owner::Nobody);
        assert_eq!(OwnerKey::cgroup(u64::MAX).decode(), Owner::Nobody);
        assert_eq!(OwnerKey::V1.decode(), Owner::V1);
    }
}
