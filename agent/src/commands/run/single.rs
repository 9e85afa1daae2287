//! One agent per host: a second one would bill the same time twice.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
};

/// A name of the abstract namespace: gone with the process, whatever ends it.
const NAME: &str = "wattrace-agent";

/// Another agent runs, or that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum SecondAgent {
    /// It does.
    #[error("another wattrace runs on this host: one agent per host, or the same time is billed twice")]
    Running,
    /// No socket.
    #[error("cannot tell whether another wattrace runs: {0}")]
    Unknown(#[from] io::Error),
}

/// Holds the claim for as long as it lives.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "held, not used")] UnixListener);

/// Claims this host (its network namespace: containers of their own network need the lock in the state folder).
pub(super) fn claim() -> Result<Claim, SecondAgent> {
    let address = SocketAddr::from_abstract_name(NAME)?;
    match UnixListener::bind_addr(&address) {
        Ok(listener) => Ok(Claim(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(SecondAgent::Running),
        Err(error) => Err(error.into()),
    }
}
