//! From counters at an instant to deltas over an interval. Pure.

pub mod counter;
pub mod cross_check;
pub mod disk;
mod durations;
mod figures;
pub mod files;
pub mod lives;
pub mod load;
pub mod machine;
mod on_cpu;
pub mod pressure;
pub mod process;
mod reading;
mod sparse;
pub mod split;
pub mod tcp;
pub mod threads;
mod ticks;
pub mod usage;
pub mod zone;

pub use on_cpu::OnCpu;
pub use reading::*;
