//! The verbs of `cargo xtask`, as a library so that the tidy rules run as tests.

pub mod ebpf;
pub mod setup;
pub mod shell;
pub mod sources;
pub mod tidy;
