//! Connections that are open, from the kernel's own list of sockets (`NETLINK_SOCK_DIAG`): the kernel programs tell of those
//! that ended. Those of this network namespace alone, since a socket of netlink belongs to one.
//!
//! The kernel walks its whole table of connections, with each socket locked for as long as its figures are copied. Memory
//! is bounded by [`MOST`] connections and time by [`LONGEST`] for each family of addresses; beyond them the reading fails as
//! a whole, for a part of it would look as if the others had ended.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with, sockopt,
};
use wattrace_common::owner::OwnerKey;

use super::parse::diag::{self, DiagSocket, SocketKind};
use crate::{samples::OpenConnection, units::Nanos};

/// Connections that a reading may have: 14 MB of them.
pub const MOST: usize = 1 << 18;
/// How long the list of one family may take.
pub const LONGEST: Nanos = Nanos::from_secs(2);
/// How long the kernel may take for one datagram of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of the largest datagram of a list: the kernel makes none that is larger.
const DATAGRAM: usize = 32 * 1024;

/// Established, both states of waiting for a FIN, waiting to be closed, for the last acknowledgement, closing; and listening.
const STATES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11 | 1 << 10;

/// Why it is not known what is open.
#[derive(Debug, thiserror::Error)]
pub enum DiagError {
    /// The kernel refuses, or has no such interface.
    #[error("the kernel does not list its sockets: {0}; it needs CONFIG_INET_DIAG, as a module tcp_diag and inet_diag")]
    Refused(#[from] io::Error),
    /// More than [`MOST`].
    #[error("more than {MOST} connections are open: what they carry is known when they end")]
    TooMany,
    /// Longer than [`LONGEST`].
    #[error("listing the open connections takes longer than {} s: what they carry is known when they end", LONGEST.seconds())]
    TooLong,
}

/// What is remembered of a connection from when it was first seen.
#[derive(Clone, Copy, Debug)]
struct FirstSight {
    is_older: bool,
    is_server: bool,
}

/// What went wrong, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiagCounts {
    /// Readings that failed.
    pub failed: u64,
    /// Connections, in each reading, whose traffic the kernel does not tell.
    pub untold: u64,
    /// Messages that are not as they should be.
    pub malformed: u64,
    /// Lists that changed while they were read: they were used.
    pub interrupted: u64,
}

/// Reads open connections, and knows those it has seen.
#[derive(Debug)]
pub struct Diag {
    seen: HashMap<u64, FirstSight>,
    counts: DiagCounts,
}

impl Diag {
    /// Notes what is open already. To be called before kernel programs are attached: what is seen here is older than they are.
    pub fn open(now: impl Fn() -> Nanos) -> Result<Self, DiagError> {
        let mut diag = Self { seen: HashMap::new(), counts: DiagCounts::default() };
        diag.connections(now)?;
        diag.seen.values_mut().for_each(|sight| sight.is_older = true);
        Ok(diag)
    }

    /// What is open now. To be called after the maps of the kernel programs were read.
    pub fn read(&mut self, now: impl Fn() -> Nanos) -> Result<Vec<OpenConnection>, DiagError> {
        self.connections(now).inspect_err(|_| self.counts.failed += 1)
    }

    /// What went wrong so far.
    pub const fn counts(&self) -> DiagCounts {
        self.counts
    }

    fn connections(&mut self, now: impl Fn() -> Nanos) -> Result<Vec<OpenConnection>, DiagError> {
        let mut list = List::default();
        for family in [AddressFamily::INET, AddressFamily::INET6] {
            list.extend(family, &now, &mut self.counts)?;
        }
        let List { listening, mut open } = list;
        // A list that changed on the way may have one twice.
        open.sort_unstable_by_key(|connection| connection.0.cookie);
        open.dedup_by_key(|connection| connection.0.cookie);
        let mut before = std::mem::take(&mut self.seen);
        self.seen.reserve(open.len());
        let open = open.into_iter().map(|(connection, port)| {
            let first = FirstSight { is_older: false, is_server: listening.contains(&port) };
            let sight = before.remove(&connection.cookie).unwrap_or(first);
            self.seen.insert(connection.cookie, sight);
            OpenConnection { is_older: sight.is_older, is_server: sight.is_server, ..connection }
        });
        Ok(open.collect())
    }
}

/// Sockets as they are listed.
#[derive(Default)]
struct List {
    listening: HashSet<u16>,
    /// With their port.
    open: Vec<(OpenConnection, u16)>,
}

impl List {
    /// A socket of netlink for each list: whatever is left in one that failed goes with it.
    fn extend(
        &mut self,
        family: AddressFamily,
        now: &impl Fn() -> Nanos,
        counts: &mut DiagCounts,
    ) -> Result<(), DiagError> {
        let deadline = now() + LONGEST;
        let netlink = ask(family).map_err(io::Error::from)?;
        let mut datagram = vec![0; DATAGRAM];
        loop {
            let (_, length) = recv(&netlink, datagram.as_mut_slice(), RecvFlags::empty()).map_err(io::Error::from)?;
            let answer = diag::answer(datagram.get(..length).unwrap_or_default(), |socket| self.take(&socket, counts));
            counts.malformed += answer.malformed;
            counts.interrupted += u64::from(answer.is_interrupted);
            match answer.error {
                Some(errno) => return Err(io::Error::from_raw_os_error(errno).into()),
                None if answer.is_done => return Ok(()),
                None if self.open.len() > MOST => return Err(DiagError::TooMany),
                None if now() > deadline => return Err(DiagError::TooLong),
                None => {}
            }
        }
    }

    fn take(&mut self, socket: &DiagSocket, counts: &mut DiagCounts) {
        match socket.what {
            SocketKind::Listens => {
                self.listening.insert(socket.port);
            }
            SocketKind::Carries(traffic) => {
                let connection = OpenConnection {
                    cookie: socket.cookie,
                    owner: socket.cgroup.map_or(OwnerKey::NOBODY, OwnerKey::cgroup),
                    sent: traffic.sent,
                    received: traffic.received,
                    retransmits: traffic.retransmits,
                    ..OpenConnection::default()
                };
                self.open.push((connection, socket.port));
            }
            SocketKind::Untold => counts.untold += 1,
            SocketKind::Else => {}
        }
    }
}

/// Asks for the list of one family.
fn ask(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    let (kind, flags) = (SocketType::DGRAM, SocketFlags::CLOEXEC);
    let netlink = socket_with(AddressFamily::NETLINK, kind, flags, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&netlink, sockopt::Timeout::Recv, Some(PATIENCE))?;
    send(&netlink, &diag::request(u8::try_from(family.as_raw()).unwrap_or_default(), STATES), SendFlags::empty())?;
    Ok(netlink)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::clock;

    /// The agent's figures by the port of this side.
    fn of(diag: &mut Diag, stream: &TcpStream) -> OpenConnection {
        let cookie = sockopt::socket_cookie(stream).expect("a cookie");
        let open = diag.read(clock::monotonic).expect("a list");
        let mut found = open.into_iter().filter(|connection| connection.cookie == cookie);
        let one = found.next().expect("the connection");
        assert_eq!(found.next(), None, "it is there once");
        one
    }

    #[test]
    fn connections_are_told_with_their_age_and_role() {
        use std::io::{Read, Write};
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                println!("SKIPPED: no {address}");
                continue;
            };
            let mut older = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut accepted = listener.accept().unwrap().0;
            let mut diag = match Diag::open(clock::monotonic) {
                Ok(diag) => diag,
                Err(error) => return println!("SKIPPED: {error}"),
            };
            let younger = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let younger_side = listener.accept().unwrap().0;
            older.write_all(&[7; 1_000]).unwrap();
            accepted.read_exact(&mut [0; 1_000]).unwrap();
            let (client, server) = (of(&mut diag, &older), of(&mut diag, &accepted));
            assert_eq!((client.sent, client.received, client.is_older, client.is_server), (1_000, 0, true, false));
            assert_eq!((server.sent, server.received, server.is_older, server.is_server), (0, 1_000, true, true));
            let client = of(&mut diag, &younger);
            assert_eq!((client.is_older, client.is_server), (false, false));
            drop(listener);
            let server = of(&mut diag, &younger_side);
            assert_eq!((server.is_older, server.is_server), (false, true), "as it was seen first");
            older.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(accepted.read(&mut [0; 1]).unwrap(), 0, "the other side has closed");
            assert_eq!(of(&mut diag, &accepted).received, 1_000, "a FIN is no byte");
            assert_eq!(diag.counts(), DiagCounts::default());
        }
    }
}
