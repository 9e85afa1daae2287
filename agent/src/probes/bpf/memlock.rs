//! `RLIMIT_MEMLOCK`: kernels before 5.11 count maps and programs against it, and say "not permitted" when it is too low.

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CapabilitySet, capabilities},
};

/// Lifts the limit, or else raises it as far as a process may without a right to; a failure shows when a map is made.
pub(super) fn raise() {
    let unlimited = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        let maximum = getrlimit(Resource::Memlock).maximum;
        // Nothing is lost where that is refused, too.
        setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum }).ok();
    }
}

/// The limit, bytes, where it and not a missing right may be why something was not permitted.
pub(super) fn in_the_way() -> Option<u64> {
    let held = capabilities(None).ok()?.effective;
    limit_in_the_way(held, getrlimit(Resource::Memlock).current)
}

fn limit_in_the_way(held: CapabilitySet, limit: Option<u64>) -> Option<u64> {
    let is_enough =
        held.contains(CapabilitySet::SYS_ADMIN) || held.contains(CapabilitySet::BPF | CapabilitySet::PERFMON);
    limit.filter(|_| is_enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_named_only_where_the_rights_are_there() {
        let both = CapabilitySet::BPF | CapabilitySet::PERFMON;
        assert_eq!(limit_in_the_way(both, Some(65_536)), Some(65_536));
        assert_eq!(limit_in_the_way(CapabilitySet::SYS_ADMIN, Some(65_536)), Some(65_536));
        assert_eq!(limit_in_the_way(both, None), None);
        assert_eq!(limit_in_the_way(CapabilitySet::BPF, Some(65_536)), None);
        assert_eq!(limit_in_the_way(CapabilitySet::empty(), Some(65_536)), None);
    }
}
