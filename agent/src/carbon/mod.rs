//! From joules and machines to grams of CO2-equivalent. Pure: the tables are compiled in, time is an argument.

pub mod embodied;
pub mod factors;
pub mod footprint;
pub mod intensity;
pub mod operational;
