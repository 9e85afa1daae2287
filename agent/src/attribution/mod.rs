//! From a machine's energy to each workload's part. Pure.

pub mod cpu_table;
pub mod idle;
pub mod model;
