//! TCP connections, against what the test did itself.

mod attempts;
mod bcc;
mod counts;
mod events;
mod link;
mod mptcp;
pub mod networks;
pub mod probe;
mod spares;
