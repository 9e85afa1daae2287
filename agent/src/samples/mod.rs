//! From counters at an instant to deltas over an interval. Pure.

mod reading;

pub use reading::*;
