//! TCP connections, against what the test did itself.

mod counts;
mod events;
pub mod probe;
