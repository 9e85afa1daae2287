//! Connections that are open: bytes to the byte, of the cgroup that made them, by IPv4 and by IPv6.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use wattrace::{
    clock,
    probes::{
        cgroupfs,
        inet_diag::{Diag, DiagCounts, DiagError},
    },
    samples::OpenConnection,
};
use wattrace_common::owner::OwnerKey;

use crate::{
    support::{Cgroup, live, until},
    tcp::{self, networks::Namespace},
};

/// Connections by each family of addresses.
const EACH: usize = 50;

/// The folder of this process's cgroup.
fn home() -> PathBuf {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    cgroupfs::mount(Path::new("/")).unwrap().join(path)
}

/// This process is in a cgroup as long as it lives; the process goes back when it is dropped.
struct Inside(PathBuf);

impl Inside {
    /// The whole process: a thread alone can go to a threaded cgroup only.
    fn new(cgroup: &Cgroup) -> Self {
        let inside = Self(home());
        cgroup.add(std::process::id());
        inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        fs::write(self.0.join("cgroup.procs"), std::process::id().to_string()).unwrap();
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

/// `None`, and says why, where the kernel has no such list.
fn opened() -> Option<Diag> {
    match Diag::open(clock::monotonic) {
        Err(DiagError::Refused(error)) if error.kind() == io::ErrorKind::NotFound => {
            println!("SKIPPED: {}", DiagError::Refused(error));
            None
        }
        diag => Some(diag.unwrap()),
    }
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
    let home = OwnerKey::cgroup(fs::metadata(home()).unwrap().ino());
    let cgroup = Cgroup::new();
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let older = pair(&outside, 5);
    let Some(mut diag) = opened() else { return };
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
    assert_eq!((client.owner, client.is_older, client.sent, client.received), (home, true, 1_005, 35));
    drop(pairs);
    until("they are gone", || read(&mut diag).values().all(|open| open.owner != OwnerKey::cgroup(cgroup.id)));
    assert_eq!(diag.counts(), DiagCounts::default());
    cgroup.remove();
}

/// They are told when they end.
#[test]
fn connections_of_another_namespace_are_not_listed() {
    live!();
    let Some(mut diag) = opened() else { return };
    let world = Namespace::new("unlisted");
    let (mut here, mut there) = (tcp::probe::Pair::new(), tcp::probe::Pair::within(&world, &world));
    for pair in [&mut here, &mut there] {
        let to = pair.listen(Ipv4Addr::LOCALHOST.into());
        pair.connect("a", to);
    }
    let open = read(&mut diag);
    let listed = |group: &Cgroup| open.values().filter(|one| one.owner == OwnerKey::cgroup(group.id)).count();
    assert_eq!((listed(&here.client_group), listed(&here.server_group)), (1, 1));
    assert_eq!((listed(&there.client_group), listed(&there.server_group)), (0, 0));
}
