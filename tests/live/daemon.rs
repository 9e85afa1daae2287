//! `run`: the real daemon, from its first message to its last, and what receivers see of it.
//!
//! One agent per host: each test waits until no other runs.

mod agent;
mod clock;
mod cost;
mod disk;
mod events;
mod figures;
mod page;
mod received;
mod reload;
mod restart;
mod scrapers;
mod service;
mod signals;
mod soak;
