//! OTLP: chunks of encoded metrics, and how they reach a destination without loss.

pub mod chunk;
mod decode;
pub mod http;
pub mod outcome;
pub mod queue;
pub mod retry;
pub mod sender;
