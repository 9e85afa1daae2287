//! Everything that crosses the boundary between the kernel programs and the agent.
//!
//! Both sides compile this crate, so a layout exists once. It holds no policy: what a number means
//! is decided in the agent.
#![no_std]

pub mod block;
pub mod cgroup;
pub mod cost;
pub mod events;
pub mod frozen;
pub mod histogram;
pub mod layout;
pub mod limits;
pub mod loss;
pub mod moves;
pub mod owner;
pub mod pod;
pub mod process;
pub mod sched;
pub mod tcp;
pub mod threads;
