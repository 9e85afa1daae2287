//! A ledger at rest: lists instead of maps with keys that JSON has no form for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Account, Ledger, ZoneAccount};
use crate::{samples::ZoneKind, units::Microjoules};

/// What is kept of a ledger across a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Every workload's totals.
    pub accounts: Vec<Account>,
    /// Every zone's totals.
    pub zones: Vec<ZoneAccount>,
    /// Energy of retired accounts, by kind of zone.
    #[serde(default)]
    pub retired: BTreeMap<ZoneKind, Microjoules>,
    /// And their parts of idle.
    #[serde(default)]
    pub retired_idle: BTreeMap<ZoneKind, Microjoules>,
}

impl From<&Ledger> for Record {
    fn from(ledger: &Ledger) -> Self {
        let (accounts, zones) = (ledger.accounts().cloned().collect(), ledger.zones().cloned().collect());
        Self { accounts, zones, retired: ledger.retired.clone(), retired_idle: ledger.retired_idle.clone() }
    }
}

impl From<Record> for Ledger {
    fn from(record: Record) -> Self {
        let accounts = record.accounts.into_iter().map(|account| (account.workload.id.clone(), account));
        let zones = record.zones.into_iter().map(|zone| (zone.key, zone));
        Self {
            accounts: accounts.collect(),
            zones: zones.collect(),
            retired: record.retired,
            retired_idle: record.retired_idle,
        }
    }
}
