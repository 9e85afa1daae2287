//! The real programs on this kernel, against truth the tests make themselves. Needs root and BTF.
//!
//! Run with one test at a time: `cargo test -p wattrace-tests --test live -- --test-threads=1`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::unchecked_time_subtraction,
    unreachable_pub,
    reason = "a test that cannot go on fails, and it starts loads and measures time"
)]

mod binary;
mod block;
mod daemon;
mod diag;
mod files;
mod loader;
mod moves;
mod process;
mod reserved;
mod sched;
mod support;
mod tcp;
mod threads;
