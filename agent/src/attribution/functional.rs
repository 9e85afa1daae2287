//! Functional units: what workloads do, so that energy can be stated for each time that they do it.

use super::ledger::Account;
use crate::units::Joules;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionalUnit {
    /// Block I/O requests that ended.
    DiskOperations,
    /// Established connections that ended, whichever side opened them.
    ConnectionsClosed,
    /// Programs that were started.
    Execs,
}

impl FunctionalUnit {
    /// All.
    pub const ALL: [Self; 3] = [Self::DiskOperations, Self::ConnectionsClosed, Self::Execs];

    /// The name that the configuration, metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DiskOperations => "disk_operations",
            Self::ConnectionsClosed => "connections_closed",
            Self::Execs => "execs",
        }
    }

    /// How often the workload did it.
    pub fn count(self, account: &Account) -> u64 {
        match self {
            Self::DiskOperations => {
                account.disk.values().fold(0, |sum, done| sum.saturating_add(done.totals.requests()))
            }
            Self::ConnectionsClosed => account.tcp.as_ref().map_or(0, |done| done.totals.closed()),
            Self::Execs => account.processes.as_ref().map_or(0, |done| done.totals.execs),
        }
    }
}

/// Energy of one operation, on average; `None`: there was none.
pub fn per_operation(energy: Joules, operations: u64) -> Option<Joules> {
    (operations > 0).then(|| Joules(energy.0 / operations as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(per_operation(Joules(6.0), 4), Some(Joules(1.5)));
        assert_eq!(per_operation(Joules(0.0), 4), Some(Joules(0.0)));
        assert_eq!(per_operation(Joules(6.0), 0), None);
    }
}
