//! wattrace: who used this machine, and what did it cost in joules and carbon?
//!
//! Data flows one way, one type per stage; `ARCHITECTURE.md` has the map.

pub mod attribution;
pub mod carbon;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod diagnostics;
pub mod identity;
pub mod outputs;
pub mod pipeline;
pub mod probes;
pub mod samples;
pub mod table;
pub mod telemetry;
pub mod units;
