//! Block I/O on disks that a machine seldom has, against what the kernel counts by cgroup and by device. Runs in a virtual machine
//! with Debian's full kernel: `cargo xtask vm disks`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails, and it starts loads"
)]

#[expect(dead_code, reason = "shared with the live tests, which use all of it")]
#[path = "../live/block/disk.rs"]
mod disk;
#[path = "../live/block/full.rs"]
mod full;
mod machine;
mod made_up;
mod mapped;
mod owners;
#[expect(dead_code, reason = "shared with the live tests, which use all of it")]
#[path = "../live/block/probe.rs"]
mod probe;
#[expect(dead_code, reason = "shared with the live tests, which use all of it")]
#[path = "../live/support.rs"]
mod support;
mod told;
