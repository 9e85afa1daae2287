//! Every scenario is a test: its loads, the agent beside them, and what of the truth it is held to.

mod bursts;
mod files;
mod meters;
mod moves;
mod one_core;
mod restarts;
mod rights;
mod smt;
mod sockets;
mod steady;
