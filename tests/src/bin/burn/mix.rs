//! Of everything a little: one program started, one block read past the cache, one connection made.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// Payload of a connection, each way; and what is read of the disk.
const BYTES: usize = 64;
const BLOCK: usize = 4096;

/// What each turn of a load does besides; nothing, where it was not asked for.
pub(super) struct Mix(Option<(String, SocketAddr)>);

impl Mix {
    /// `FILE ADDRESS`, of something that can be read past the cache, and of a server that answers as much as it was told. A file
    /// named `-` is not read.
    pub(super) fn of(words: &[&str]) -> Result<Self> {
        match words {
            [] => Ok(Self(None)),
            [file, address] => Ok(Self(Some(((*file).to_owned(), address.parse()?)))),
            other => bail!("burn: not a file and an address: {other:?}"),
        }
    }

    pub(super) fn turn(&self) -> Result<()> {
        let Some((file, address)) = &self.0 else { return Ok(()) };
        let status = Command::new("/proc/self/exe").args(["now", "spin", "1"]).stdin(Stdio::null()).status();
        ensure!(status.context("starting a program")?.success());
        if file != "-" {
            super::disk::read(file, BLOCK, 1)?;
        }
        let mut stream = TcpStream::connect(address).context("connecting")?;
        stream.write_all(&[7; BYTES])?;
        stream.read_exact(&mut [0; BYTES])?;
        Ok(())
    }
}
