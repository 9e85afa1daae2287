//! Where threads are while they are off the CPU, against what the kernel and the loads themselves say of it.
//!
//! Most loads are asleep at both readings: then nothing of theirs is open but that sleep, and the scheduler's own account of
//! them (`schedstat`, `status`) stands still.

pub mod bcc;
mod births;
mod corners;
pub mod disk;
mod hotplug;
mod moved;
mod places;
pub mod probe;
mod shares;
mod sleeps;
mod truth;
