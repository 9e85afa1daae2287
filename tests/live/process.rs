//! Processes: what a test did itself is the truth, and what `wait4` and `cpu.stat` say of it.

mod bcc;
mod events;
mod exits;
mod lives;
mod owners;
mod probe;
mod spares;
mod storage;
mod told;
