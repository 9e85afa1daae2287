//! What the agent sends, as other implementations read it. They are installed on first use, below the
//! build's own directory.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and it starts peers"
)]

mod collector;
mod decoder;
mod programs;
mod prometheus;
mod python;
