//! From totals to named series: the metric contract, and which series live. Pure.

pub mod catalog;
pub mod names;
pub mod snapshot;
