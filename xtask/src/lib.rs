//! The verbs of `cargo xtask`, as a library so that the tidy rules run as tests.

pub mod bench;
pub mod check;
pub mod docs;
pub mod ebpf;
pub mod failures;
pub mod parts;
pub mod report;
pub mod run;
pub mod setup;
pub mod shell;
pub mod sources;
pub mod test;
pub mod tidy;
pub mod vm;
