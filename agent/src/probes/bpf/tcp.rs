//! Reads what was counted of TCP connections, and gives rows of owners that are gone back.

use std::collections::BTreeSet;

use wattrace_common::owner::OwnerKey;

use super::times::TimeMaps;
use crate::samples::TcpWorkReading;

/// The maps of connections.
pub struct TcpMaps {}

impl TcpMaps {
    /// What the connections of every owner did.
    pub fn read(&mut self, _times: &TimeMaps) -> Vec<TcpWorkReading> {
        Vec::new()
    }

    /// Share of the rows of owners that is taken, 0 to 1.
    pub fn fullness(&self) -> f64 {
        0.0
    }

    /// Gives the rows of owners back that are dead and did nothing between the last two readings, or since. Should one of them
    /// do something after all, it begins anew: whoever keeps its last values must forget them.
    pub fn release(&mut self, _is_dead: impl Fn(u64) -> bool) -> BTreeSet<OwnerKey> {
        BTreeSet::new()
    }
}
