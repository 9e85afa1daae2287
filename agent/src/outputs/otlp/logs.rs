//! Events as OTLP log requests: `ResourceLogs` of one entity each, cut into chunks between them. Compression, sending and
//! queueing are not done here.
//!
//! Source of the field numbers: opentelemetry-proto 1.x, `logs/v1/logs.proto` and `common/v1/common.proto`.

use std::iter::Peekable;

use super::{
    chunk::{Chunk, Span},
    draft::Draft,
    encode::{CHUNK_MAX, ENTITY_WIDTH, Frame},
    identities::Identities,
    point::put_key_value,
    wire::{self, delimited, fixed64, put_delimited, put_fixed64, put_varint, varint},
};
use crate::{
    telemetry::{
        added::Added,
        events::{LogEvent, LogValue, Occurrences},
    },
    units::{Bytes, Nanos},
};

/// More of one entity goes into another `ResourceLogs` of the same Resource: what is refused is refused by these.
const ENTITY_MAX: usize = 128 << 10;
/// Bytes kept for the length of a record: up to 16 KiB, the usual case, need no more.
const RECORD_WIDTH: usize = 2;
/// Bytes kept for the length of an attribute.
const ATTRIBUTE_WIDTH: usize = 1;
/// `SEVERITY_NUMBER_INFO`
const INFO: u8 = 9;

/// Encodes events, and remembers from one interval to the next what entities look like.
#[derive(Debug)]
pub struct LogEncoder {
    limit: usize,
    frame: Frame,
    identities: Identities,
}

impl Default for LogEncoder {
    fn default() -> Self {
        Self::new(CHUNK_MAX)
    }
}

impl LogEncoder {
    /// An encoder of chunks of up to `limit`.
    pub fn new(limit: Bytes) -> Self {
        let limit = usize::try_from(limit.0).unwrap_or(usize::MAX);
        Self { limit, frame: Frame::default(), identities: Identities::default() }
    }

    /// What is added to resources from now on.
    pub fn add(&mut self, added: Added) {
        self.identities.add(added);
    }

    /// Hands the chunks to `sink`, each as soon as it is full. `observed` is the wall clock.
    pub fn encode(&mut self, occurrences: &[Occurrences], observed: Nanos, mut sink: impl FnMut(Chunk)) {
        self.identities.begin();
        let mut draft = Draft::new(self.limit, None);
        for (entity, of) in occurrences.iter().enumerate() {
            let identity = self.identities.of(&of.resource);
            let mut records = of.records().peekable();
            while records.peek().is_some() {
                let start = draft.bytes.len();
                let points = put_entity(&mut draft.bytes, &self.frame, identity, &mut records, observed);
                if let Some(full) = draft.add(self.limit, start, Span { entity, len: 0, points }) {
                    sink(full);
                }
            }
        }
        draft.finish().into_iter().for_each(sink);
        self.identities.forget_unused();
    }
}

/// Appends a `ResourceLogs` of the next records; returns how many.
fn put_entity(
    out: &mut Vec<u8>,
    frame: &Frame,
    identity: &[u8],
    records: &mut Peekable<impl Iterator<Item = LogEvent>>,
    observed: Nanos,
) -> u64 {
    let resource_logs = wire::open(out, delimited(1), ENTITY_WIDTH);
    out.extend_from_slice(identity);
    let scope_logs = wire::open(out, delimited(2), ENTITY_WIDTH);
    out.extend_from_slice(&frame.scope);
    let (start, mut count) = (out.len(), 0);
    while out.len() - start < ENTITY_MAX
        && let Some(record) = records.next()
    {
        put_record(out, &record, observed);
        count += 1;
    }
    out.extend_from_slice(&frame.schema);
    wire::close(out, scope_logs);
    out.extend_from_slice(&frame.schema);
    wire::close(out, resource_logs);
    count
}

/// Appends a `LogRecord`.
fn put_record(out: &mut Vec<u8>, record: &LogEvent, observed: Nanos) {
    let message = wire::open(out, delimited(2), RECORD_WIDTH);
    put_fixed64(out, fixed64(1), record.at.0);
    out.extend_from_slice(&[varint(2), INFO]);
    put_delimited(out, delimited(3), b"INFO");
    for (attribute, value) in &record.attributes {
        put_attribute(out, attribute.name, value);
    }
    put_fixed64(out, fixed64(11), observed.0);
    put_delimited(out, delimited(12), record.event.name.as_bytes());
    wire::close(out, message);
}

/// Appends a `KeyValue`.
fn put_attribute(out: &mut Vec<u8>, name: &str, value: &LogValue) {
    const ATTRIBUTE: u8 = delimited(6);
    if let LogValue::Text(text) = value {
        return put_key_value(out, ATTRIBUTE, name, text);
    }
    let pair = wire::open(out, ATTRIBUTE, ATTRIBUTE_WIDTH);
    put_delimited(out, delimited(1), name.as_bytes());
    let any = wire::open(out, delimited(2), ATTRIBUTE_WIDTH);
    put_value(out, value);
    wire::close(out, any);
    wire::close(out, pair);
}

/// Appends the field of an `AnyValue`.
fn put_value(out: &mut Vec<u8>, value: &LogValue) {
    match value {
        LogValue::Text(text) => put_delimited(out, delimited(1), text.as_bytes()),
        LogValue::Bool(is) => out.extend_from_slice(&[varint(2), u8::from(*is)]),
        LogValue::Int(number) => {
            out.push(varint(3));
            put_varint(out, number.cast_unsigned());
        }
        LogValue::Double(number) => put_fixed64(out, fixed64(4), number.to_bits()),
        LogValue::Texts(texts) => {
            let array = wire::open(out, delimited(5), RECORD_WIDTH);
            for text in texts {
                let any = wire::open(out, delimited(1), ATTRIBUTE_WIDTH);
                put_delimited(out, delimited(1), text.as_bytes());
                wire::close(out, any);
            }
            wire::close(out, array);
        }
    }
}

#[cfg(test)]
mod tests;
