//! How far it is known whose a request is.

use serde::{Deserialize, Serialize};

/// How it is known whose requests are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// The request names the cgroup.
    Cgroup,
    /// It names the cgroup, which also stands for those below it: the io controller is not enabled for them.
    Ancestor,
    /// It names the cgroup; whether that also stands for others cannot be told.
    Unknown,
    /// It names the root: the kernel's own, and whatever runs where the io controller is not enabled.
    Root,
    /// It names a cgroup of a version 1 hierarchy, whose ids mean something else.
    V1,
    /// It names nobody.
    None,
}

impl Ownership {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Ancestor => "ancestor",
            Self::Unknown => "unknown",
            Self::Root => "root",
            Self::V1 => "v1",
            Self::None => "none",
        }
    }

    /// Of a cgroup that is not the root. `None`: it is gone, or cannot be read.
    pub fn of_group(facts: Option<GroupFacts>) -> Self {
        match facts {
            None => Self::Unknown,
            Some(GroupFacts { has_children: true, enables_io: false }) => Self::Ancestor,
            Some(_) => Self::Cgroup,
        }
    }
}

/// What decides for whom a cgroup stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// Whether there are cgroups below it.
    pub has_children: bool,
    /// Whether it enables the io controller for those: whether `io` is in its `cgroup.subtree_control`.
    pub enables_io: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_stands_for_those_below_it_that_have_no_account_of_their_own() {
        for (facts, expected) in [
            (None, "unknown"),
            (Some((false, false)), "cgroup"),
            (Some((false, true)), "cgroup"),
            (Some((true, true)), "cgroup"),
            (Some((true, false)), "ancestor"),
        ] {
            let facts = facts.map(|(has_children, enables_io)| GroupFacts { has_children, enables_io });
            assert_eq!(Ownership::of_group(facts).name(), expected, "{facts:?}");
        }
    }
}
