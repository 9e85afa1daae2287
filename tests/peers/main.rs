//! What the agent sends, as other implementations read it. The Python decoder is installed on first
//! use, below the build's own directory; the others `cargo xtask setup --peers` builds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and it starts peers"
)]

mod collector;
mod decoder;
mod events;
mod otelcol;
mod outage;
mod programs;
mod prometheus;
mod python;
mod received;
mod states;
