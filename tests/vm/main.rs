//! The agent against the truth of the powercap simulator: what it told receivers of each workload, in joules. Runs in a
//! virtual machine of two sockets with the simulator's module loaded: `cargo xtask vm accuracy`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails, and it starts loads and measures time"
)]

#[expect(dead_code, reason = "shared with the live tests, which use all of it")]
#[path = "../live/daemon/agent.rs"]
mod agent;
mod outcome;
#[expect(dead_code, reason = "shared with the live tests, which use all of it")]
#[path = "../live/daemon/received.rs"]
mod received;
mod record;
mod scaphandre;
mod scenarios;
#[expect(dead_code, unused_imports, unused_macros, reason = "shared with the live tests, which use all of it")]
#[path = "../live/support.rs"]
mod support;
mod thresholds;
mod world;
