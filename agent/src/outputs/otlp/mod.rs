//! OTLP: what a snapshot looks like on the wire.
//!
//! The encoder is our own because the SDK's exporter loses what passes its cardinality limit, and because a
//! tree of generated structs costs many times the memory and time of the bytes it becomes.

mod chunk;
pub mod encode;
mod identities;
mod point;
mod wire;

pub use chunk::{Chunk, Span};
pub use encode::{CHUNK_MAX, Encoder, SCHEMA_URL, SCOPE, Tally};
