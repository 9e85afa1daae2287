//! Block I/O on disks that a machine seldom has, against what the kernel counts by cgroup and by device. Runs in a virtual machine
//! with Debian's full kernel: `cargo xtask vm disks`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test that cannot go on fails, and it starts loads"
)]

mod disk;
#[expect(dead_code, unused_imports, unused_macros, reason = "shared with the live tests, which use all of it")]
#[path = "../live/support.rs"]
mod support;
