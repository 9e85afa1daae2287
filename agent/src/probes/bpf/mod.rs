//! The kernel side's counterpart: where its fields lie, how it is loaded, how its maps are read.

pub mod btf;
pub mod layout;
