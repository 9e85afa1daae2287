//! The edge out: each output only encodes what it is given.

pub mod console;
#[cfg(test)]
pub(crate) mod example;
pub mod exporter;
pub mod json;
pub mod otlp;
pub mod prometheus;
pub mod report;
