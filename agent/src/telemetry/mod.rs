//! From totals to named series: the metric contract, and which series live. Pure.

pub mod added;
pub mod catalog;
pub mod describe;
mod durations;
pub mod events;
pub mod lifecycle;
pub mod names;
pub mod redact;
pub mod snapshot;
pub mod timeline;
pub mod totals;
