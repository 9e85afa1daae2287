//! OTLP: what a snapshot, or an event, looks like on the wire, and how it reaches a destination without loss.
//!
//! The encoder is our own because the SDK's exporter loses what passes its cardinality limit, and because a
//! tree of generated structs costs many times the memory and time of the bytes it becomes.

mod chunk;
mod decode;
mod draft;
pub mod encode;
pub mod http;
mod identities;
mod logs;
pub mod outcome;
mod point;
pub mod queue;
pub mod retry;
pub mod sender;
mod wire;

pub use chunk::{Chunk, Span};
pub use encode::{CHUNK_MAX, Encoder, SCHEMA_URL, SCOPE, Tally};
pub use logs::LogEncoder;
