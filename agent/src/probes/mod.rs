//! The edge in: everything the agent reads from the machine.

pub mod bpf;
