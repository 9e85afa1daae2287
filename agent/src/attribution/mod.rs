//! Whose energy it is. Pure: integers in, integers out, and they add up.

pub mod books;
pub mod by_process;
pub mod cpu_table;
pub mod functional;
pub mod idle;
pub mod ledger;
pub mod model;
pub mod reserved;
pub mod weight;
