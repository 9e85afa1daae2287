//! A request while entities are written into it, cut between them when it gets too large.

use std::mem;

use super::chunk::{Chunk, Span};

/// A chunk that is being filled.
pub(super) struct Draft {
    pub(super) bytes: Vec<u8>,
    resources: Vec<Span>,
}

impl Draft {
    /// A draft with room for a whole chunk and for most entities that turn out to be too much.
    pub(super) fn new(limit: usize, first: Option<(&[u8], Span)>) -> Self {
        const MOST: usize = 9 << 18;
        let mut bytes = Vec::with_capacity(limit.saturating_add(limit / 8).min(MOST));
        bytes.extend_from_slice(first.map_or(&[], |(bytes, _)| bytes));
        Self { bytes, resources: first.map(|(_, span)| span).into_iter().collect() }
    }

    /// Takes in the entity whose bytes begin at `start`; when that makes the draft too large, the chunk before it.
    pub(super) fn add(&mut self, limit: usize, start: usize, span: Span) -> Option<Chunk> {
        let span = Span { len: self.bytes.len() - start, ..span };
        if start == 0 || self.bytes.len() <= limit {
            self.resources.push(span);
            return None;
        }
        let next = Self::new(limit, self.bytes.get(start..).map(|bytes| (bytes, span)));
        self.bytes.truncate(start);
        mem::replace(self, next).finish()
    }

    /// The chunk, without the room that was left: it may wait in a queue.
    pub(super) fn finish(mut self) -> Option<Chunk> {
        self.bytes.shrink_to_fit();
        (!self.resources.is_empty()).then(|| Chunk::of(self.bytes.into(), self.resources))
    }
}
