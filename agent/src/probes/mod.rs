//! The edge in: files, counters and kernel maps, read and not judged.
//!
//! Every filesystem probe takes its root as an argument: containers need it, tests use it.

pub mod bpf;
pub mod cgroupfs;
pub mod disks;
pub mod fdinfo;
mod file;
pub mod hardware;
pub mod host;
pub mod hwmon;
pub mod inet_diag;
pub mod lockdown;
pub mod model;
pub mod parse;
pub mod perf;
pub mod powercap;
pub mod pressure;
pub mod process;
pub mod procfs;
pub mod sys;
pub mod topology;

pub use file::FileError;
