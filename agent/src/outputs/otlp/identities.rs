//! What entities look like on the wire, remembered from one snapshot to the next: it seldom changes and is
//! most of what there is to write.

use std::{collections::HashMap, sync::Arc};

use super::{
    point::put_key_value,
    wire::{self, delimited, put_delimited},
};
use crate::telemetry::{added::Added, snapshot::Resource};

/// The `Resource` messages of the last snapshot's entities.
#[derive(Debug, Default)]
pub(super) struct Identities {
    /// By address of the resource: it cannot be another's while the entry holds the resource.
    known: HashMap<usize, Identity>,
    added: Added,
    round: u64,
}

#[derive(Debug)]
struct Identity {
    /// Kept alive so that its address stays its own.
    _resource: Arc<Resource>,
    field: Box<[u8]>,
    /// Last round in which it was asked for.
    used: u64,
}

impl Identities {
    /// From now on these attributes are added.
    pub(super) fn add(&mut self, added: Added) {
        if self.added != added {
            self.known.clear();
            self.added = added;
        }
    }

    /// Begins a snapshot.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// `ResourceMetrics.resource`, with tag and length.
    pub(super) fn of(&mut self, resource: &Arc<Resource>) -> &[u8] {
        let address = Arc::as_ptr(resource).addr();
        let identity = self.known.entry(address).or_insert_with(|| Identity {
            field: identity_field(resource, &self.added),
            _resource: Arc::clone(resource),
            used: 0,
        });
        identity.used = self.round;
        &identity.field
    }

    /// Ends a snapshot: what was not asked for since [`Self::begin`] goes, so no more is kept than it had entities.
    pub(super) fn forget_unused(&mut self) {
        let round = self.round;
        self.known.retain(|_, identity| identity.used == round);
        if self.known.capacity() > self.known.len().saturating_mul(4) {
            self.known.shrink_to_fit();
        }
    }
}

fn identity_field(resource: &Resource, added: &Added) -> Box<[u8]> {
    let mut message = Vec::new();
    for (key, value) in added.own(resource).chain(added.more(resource)) {
        put_key_value(&mut message, delimited(1), key, value);
    }
    let mut field = Vec::with_capacity(wire::delimited_len(message.len()));
    put_delimited(&mut field, delimited(1), &message);
    field.into()
}
