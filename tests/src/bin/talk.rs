//! A process that does with TCP connections what it is told, line by line, for tests to count.
//!
//! `in=CGROUP` goes into the cgroup, says `ready`, and does what each line of standard input says; the answer is a line, too: `ok`
//! with what there is to tell, or `error` with a number. Sockets have names.
#![expect(clippy::disallowed_methods, reason = "it is a load, not the agent")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, listen, socket_with, sockopt},
};

#[derive(Default)]
struct Talk {
    listeners: BTreeMap<String, TcpListener>,
    streams: BTreeMap<String, TcpStream>,
}

fn main() -> Result<()> {
    let home = std::env::args().nth(1).context("in=CGROUP")?;
    let home = home.strip_prefix("in=").context("in=CGROUP")?;
    fs::write(format!("{home}/cgroup.procs"), "0").with_context(|| home.to_owned())?;
    say("ready")?;
    let mut talk = Talk::default();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match talk.follow(&words) {
            Ok(answer) => say(&format!("ok {answer}"))?,
            Err(error) => match error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
                Some(number) => say(&format!("error {number}"))?,
                None => return Err(error).with_context(|| line.clone()),
            },
        }
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    println!("{text}");
    Ok(io::stdout().flush()?)
}

impl Talk {
    fn follow(&mut self, words: &[&str]) -> Result<String> {
        match words {
            ["listen", name, address] => return self.listen(name, TcpListener::bind(address)?),
            ["listen", name, address, "mptcp"] => {
                let socket = mptcp()?;
                bind(&socket, &address.parse::<SocketAddr>()?).map_err(io::Error::from)?;
                listen(&socket, 128).map_err(io::Error::from)?;
                return self.listen(name, socket.into());
            }
            ["accept", name, from] => {
                let (stream, _) = self.listeners.get(*from).context("no such listener")?.accept()?;
                self.keep(name, stream);
            }
            ["connect", name, address] => {
                let stream = TcpStream::connect(address.parse::<SocketAddr>()?)?;
                let port = stream.local_addr()?.port();
                self.keep(name, stream);
                return Ok(port.to_string());
            }
            ["connect", name, address, "mptcp"] => {
                let socket = mptcp()?;
                connect(&socket, &address.parse::<SocketAddr>()?).map_err(io::Error::from)?;
                self.keep(name, socket.into());
            }
            ["abort", address] => abort(&address.parse()?)?,
            ["send", name, bytes] => self.stream(name)?.write_all(&vec![7; bytes.parse()?])?,
            ["receive", name, bytes] => {
                let mut buffer = vec![0; bytes.parse()?];
                self.stream(name)?.read_exact(&mut buffer)?;
            }
            ["finish", name] => {
                let mut rest = Vec::new();
                self.stream(name)?.read_to_end(&mut rest)?;
                return Ok(rest.len().to_string());
            }
            ["shutdown", name] => self.stream(name)?.shutdown(Shutdown::Write)?,
            ["close", name] => drop(self.streams.remove(*name)),
            ["unlisten", name] => drop(self.listeners.remove(*name)),
            ["reset", name] => {
                sockopt::set_socket_linger(self.stream(name)?, Some(Duration::ZERO))?;
                self.streams.remove(*name);
            }
            ["patience", name, millis] => {
                sockopt::set_tcp_user_timeout(self.stream(name)?, millis.parse()?)?;
            }
            ["storm", address, count, bytes] => return storm(&address.parse()?, count.parse()?, bytes.parse()?),
            ["hold", address, count, bytes] => hold(&address.parse()?, count.parse()?, bytes.parse()?)?,
            ["serve", name, count, bytes] => self.serve(name, count.parse()?, bytes.parse()?)?,
            ["host", name, count, bytes] => self.host(name, count.parse()?, bytes.parse()?)?,
            other => bail!("no such thing: {other:?}"),
        }
        Ok(String::new())
    }

    fn listen(&mut self, name: &str, listener: TcpListener) -> Result<String> {
        let port = listener.local_addr()?.port();
        self.listeners.insert(name.to_owned(), listener);
        Ok(port.to_string())
    }

    fn keep(&mut self, name: &str, stream: TcpStream) {
        self.streams.insert(name.to_owned(), stream);
    }

    fn stream(&mut self, name: &str) -> Result<&mut TcpStream> {
        self.streams.get_mut(name).context("no such connection")
    }

    /// Takes so many connections, one after the other: reads until the other side ends, answers as much, ends.
    fn serve(&self, name: &str, count: u32, bytes: usize) -> Result<()> {
        let listener = self.listeners.get(name).context("no such listener")?;
        for _ in 0..count {
            let (mut stream, _) = listener.accept()?;
            stream.read_exact(&mut vec![0; bytes])?;
            stream.write_all(&vec![7; bytes])?;
        }
        Ok(())
    }

    /// The same for those that hold their connections: answers once all has come that the N-th sends, and ends after it.
    fn host(&self, name: &str, count: usize, bytes: usize) -> Result<()> {
        let listener = self.listeners.get(name).context("no such listener")?;
        for number in 1..=count {
            let (mut stream, _) = listener.accept()?;
            stream.read_exact(&mut vec![0; number * bytes])?;
            stream.write_all(&vec![7; bytes])?;
            stream.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    }
}

/// Makes so many connections, one after the other; this side ends first in half of them. Returns their ports.
fn storm(address: &SocketAddr, count: u32, bytes: usize) -> Result<String> {
    let mut ports = Vec::new();
    for number in 0..count {
        let mut stream = TcpStream::connect(address)?;
        ports.push(stream.local_addr()?.port().to_string());
        stream.write_all(&vec![7; bytes])?;
        stream.read_exact(&mut vec![0; bytes])?;
        if number % 2 == 0 {
            stream.read_to_end(&mut Vec::new())?;
        }
    }
    Ok(ports.join(" "))
}

/// Makes so many connections to a host, one after the other: the N-th, from 1 on, sends N times so many bytes, and holds the
/// connection for N mod 20 milliseconds after the answer.
fn hold(address: &SocketAddr, count: usize, bytes: usize) -> Result<()> {
    for number in 1..=count {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&vec![7; number * bytes])?;
        stream.read_exact(&mut vec![0; bytes])?;
        thread::sleep(Duration::from_millis(number as u64 % 20));
    }
    Ok(())
}

/// A socket of MPTCP over IPv4.
fn mptcp() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::MPTCP))?)
}

/// Asks for a connection and gives it up at once.
fn abort(address: &SocketAddr) -> Result<()> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK, Some(ipproto::TCP))?;
    match connect(&socket, address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(io::Error::from(error).into()),
    }
}
