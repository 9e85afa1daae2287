//! Requests of block devices, against what the kernel itself says of them (`/proc/diskstats`) and other tools.
//!
//! The devices are loops on a file, made here: nobody else uses them.

mod counts;
mod disk;
mod full;
mod latency;
mod probe;
