//! The edge out: each output only encodes what it is given.

pub mod console;
pub mod json;
pub mod otlp;
pub mod report;
