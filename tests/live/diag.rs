//! Connections that are open: bytes to the byte, of the cgroup that made them, by IPv4 and by IPv6.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
};

use wattrace::{
    clock,
    probes::inet_diag::{Diag, DiagCounts, DiagError},
    samples::OpenConnection,
};
use wattrace_common::owner::OwnerKey;

use crate::support::{Cgroup, live, until};

/// Connections by each family of addresses.
const EACH: usize = 50;

/// This thread's cgroup, for as long as it lives; the thread goes back when it is dropped.
struct Inside<'a>(&'a Cgroup);

impl<'a> Inside<'a> {
    /// The whole process: a thread alone can go to a threaded cgroup only.
    fn new(cgroup: &'a Cgroup) -> Self {
        cgroup.add(std::process::id());
        Self(cgroup)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let root = self.0.path.parent().unwrap();
        fs::write(root.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    }
}

/// Both ends of a connection, and what went over it.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    there: u64,
    back: u64,
}

fn pair(listener: &TcpListener, at: usize) -> Pair {
    let address = listener.local_addr().unwrap();
    // A listener at every address takes connections of IPv4 on a socket of IPv6.
    let peer = if address.ip().is_unspecified() { (Ipv4Addr::LOCALHOST, address.port()).into() } else { address };
    let mut client = TcpStream::connect(peer).unwrap();
    let mut server = listener.accept().unwrap().0;
    let (there, back) = (vec![1; 1_000 + at], vec![2; at * 7]);
    client.write_all(&there).unwrap();
    server.read_exact(&mut vec![0; there.len()]).unwrap();
    server.write_all(&back).unwrap();
    client.read_exact(&mut vec![0; back.len()]).unwrap();
    Pair { client, server, there: there.len() as u64, back: back.len() as u64 }
}

fn cookie(stream: &TcpStream) -> u64 {
    rustix::net::sockopt::socket_cookie(stream).unwrap()
}

fn read(diag: &mut Diag) -> BTreeMap<u64, OpenConnection> {
    let open = diag.read(clock::monotonic).unwrap();
    let count = open.len();
    let by_cookie: BTreeMap<_, _> = open.into_iter().map(|connection| (connection.cookie, connection)).collect();
    assert_eq!(by_cookie.len(), count, "each is there once");
    by_cookie
}

#[test]
fn open_connections_are_told_to_the_byte_and_of_their_cgroup() {
    live!();
    let root = OwnerKey::cgroup(fs::metadata(wattrace::probes::cgroupfs::mount("/".as_ref()).unwrap()).unwrap().ino());
    let cgroup = Cgroup::new();
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let older = pair(&outside, 5);
    let mut diag = match Diag::open(clock::monotonic) {
        Err(DiagError::Refused(error)) if error.kind() == io::ErrorKind::NotFound => {
            return println!("SKIPPED: {}", DiagError::Refused(error));
        }
        diag => diag.unwrap(),
    };
    let mut pairs = Vec::new();
    {
        let _inside = Inside::new(&cgroup);
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            pairs.extend((0..EACH).map(|at| pair(&listener, at)));
            // It must be seen while it listens.
            read(&mut diag);
        }
    }
    let open = read(&mut diag);
    for pair in &pairs {
        let expected = |stream: &TcpStream, is_server, sent, received| OpenConnection {
            cookie: cookie(stream),
            owner: OwnerKey::cgroup(cgroup.id),
            is_older: false,
            is_server,
            sent,
            received,
            retransmits: 0,
        };
        assert_eq!(open[&cookie(&pair.client)], expected(&pair.client, false, pair.there, pair.back));
        assert_eq!(open[&cookie(&pair.server)], expected(&pair.server, true, pair.back, pair.there));
    }
    let of_cgroup = open.values().filter(|connection| connection.owner == OwnerKey::cgroup(cgroup.id)).count();
    assert_eq!(of_cgroup, 2 * pairs.len());
    let client = &open[&cookie(&older.client)];
    assert_eq!((client.owner, client.is_older, client.sent, client.received), (root, true, 1_005, 35));
    drop(pairs);
    until("they are gone", || read(&mut diag).values().all(|connection| connection.owner == root));
    assert_eq!(diag.counts(), DiagCounts::default());
    cgroup.remove();
}
