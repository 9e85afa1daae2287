//! Parser of what `NETLINK_SOCK_DIAG` answers: sockets of TCP, their cgroup, and what they sent and received.
//!
//! Layouts are those of `linux/netlink.h`, `linux/inet_diag.h` and `linux/tcp.h`, which a kernel only adds to at the end.

/// Bytes of `struct nlmsghdr`.
const HEAD: usize = 16;
/// Bytes of `struct inet_diag_msg`.
const SOCKET: usize = 72;
/// Bytes of `struct rtattr`.
const ATTRIBUTE: usize = 4;

/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLMSG_DONE`
const DONE: u16 = 3;
/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`: the whole list.
const LIST: u16 = 0x301;
/// Bytes of a request: the head and a `struct inet_diag_req_v2`.
const REQUEST: usize = 72;
/// `IPPROTO_TCP`
const TCP: u8 = 6;
/// `NLM_F_DUMP_INTR`: what was walked changed on the way.
const INTERRUPTED: u16 = 0x10;

/// `INET_DIAG_INFO`
const INFO: u16 = 2;
/// `INET_DIAG_CGROUP_ID`
const CGROUP_ID: u16 = 21;

/// `TCP_LISTEN` of `net/tcp_states.h`.
const LISTEN: u8 = 10;
/// `TCP_CLOSE_WAIT`, `TCP_LAST_ACK` and `TCP_CLOSING`: the other side has sent its FIN.
const AFTER_FIN: [u8; 3] = [8, 9, 11];
/// `TCP_ESTABLISHED`, `TCP_FIN_WAIT1` and `TCP_FIN_WAIT2`: it has not.
const BEFORE_FIN: [u8; 3] = [1, 4, 5];

/// A socket of TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagSocket {
    /// The kernel's number of it.
    pub cookie: u64,
    /// Port of this side.
    pub port: u16,
    /// Id of the cgroup of the unified hierarchy it belongs to; `None`: the kernel does not tell, as before 5.9.
    pub cgroup: Option<u64>,
    /// What it is.
    pub what: SocketKind,
}

/// What a socket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// It waits for connections.
    Listens,
    /// A connection that is established, or about to end.
    Carries(Traffic),
    /// Of a connection that ended, the stub that remembers its ports, or one that is not established.
    Else,
    /// A connection whose traffic the kernel does not tell, as before 4.19.
    Untold,
}

/// What a connection carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Payload bytes sent, each once.
    pub sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Segments that were sent again.
    pub retransmits: u64,
}

/// What stood in one datagram besides sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The end was told: nothing follows.
    pub is_done: bool,
    /// Errno with which the kernel refused or gave up.
    pub error: Option<i32>,
    /// What was walked changed on the way: a socket may be missing, or be there twice.
    pub is_interrupted: bool,
    /// Messages that are not as they should be.
    pub malformed: u64,
}

/// Asks for all sockets of TCP of a family of addresses in one of `states`, a bit each, with their traffic.
pub fn request(family: u8, states: u32) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    let parts: [&[u8]; 8] = [
        &72_u32.to_ne_bytes(),
        &BY_FAMILY.to_ne_bytes(),
        &LIST.to_ne_bytes(),
        // Sequence number and port: one request is under way in a socket, and the kernel knows whose that is.
        &[0; 8],
        &[family, TCP],
        // What is asked for besides is a bit by the attribute's number, from 1.
        &[1 << (INFO - 1), 0],
        &states.to_ne_bytes(),
        // Whichever ports and addresses.
        &[0; 48],
    ];
    bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    bytes
}

/// Takes one datagram apart; each socket goes to `found`.
pub fn answer(datagram: &[u8], mut found: impl FnMut(DiagSocket)) -> Answer {
    let mut answer = Answer::default();
    let mut rest = datagram;
    while !rest.is_empty() {
        let Some((kind, flags, body, next)) = message(rest) else {
            answer.malformed += 1;
            return answer;
        };
        answer.is_interrupted |= flags & INTERRUPTED != 0;
        match kind {
            BY_FAMILY => match socket(body) {
                Some(socket) => found(socket),
                None => answer.malformed += 1,
            },
            ERROR | DONE => {
                answer.is_done = true;
                let code = field(body, 0).map_or(0, i32::from_ne_bytes);
                answer.error = (code != 0).then(|| code.saturating_neg());
                return answer;
            }
            // Kinds that were not asked for tell nothing about sockets.
            _ => {}
        }
        rest = next;
    }
    answer
}

/// Kind, flags and body of the message that `bytes` start with, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(field(bytes, 0)?)).ok()?;
    let (kind, flags) = (u16::from_ne_bytes(field(bytes, 4)?), u16::from_ne_bytes(field(bytes, 6)?));
    let body = bytes.get(HEAD..length)?;
    Some((kind, flags, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn socket(body: &[u8]) -> Option<DiagSocket> {
    let state = *body.get(1)?;
    let port = u16::from_be_bytes(field(body, 4)?);
    // Two words, the lower one first, on every machine.
    let [low, high] = [44, 48].map(|at| field(body, at).map(u32::from_ne_bytes).map(u64::from));
    let attributes = body.get(SOCKET..)?;
    let cgroup = attribute(attributes, CGROUP_ID).and_then(|bytes| field(bytes, 0)).map(u64::from_ne_bytes);
    Some(DiagSocket { cookie: low? | high? << 32, port, cgroup, what: kind(state, attribute(attributes, INFO)) })
}

fn kind(state: u8, info: Option<&[u8]>) -> SocketKind {
    let has_fin = AFTER_FIN.contains(&state);
    match info {
        _ if state == LISTEN => SocketKind::Listens,
        Some(info) if has_fin || BEFORE_FIN.contains(&state) => {
            traffic(info, has_fin).map_or(SocketKind::Untold, SocketKind::Carries)
        }
        // Such a stub is told in the state FIN_WAIT2, and has no traffic.
        _ => SocketKind::Else,
    }
}

/// Of `struct tcp_info`. A FIN takes a place in the sequence and counts as a byte received.
fn traffic(info: &[u8], has_fin: bool) -> Option<Traffic> {
    let retransmits = u32::from_ne_bytes(field(info, 100)?);
    let [received, sent, again] = [128, 200, 208].map(|at| field(info, at).map(u64::from_ne_bytes));
    Some(Traffic {
        sent: sent?.saturating_sub(again?),
        received: received?.saturating_sub(u64::from(has_fin)),
        retransmits: u64::from(retransmits),
    })
}

/// The content of the first attribute of this kind.
fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = attributes;
    loop {
        let length = usize::from(u16::from_ne_bytes(field(rest, 0)?));
        let kind = u16::from_ne_bytes(field(rest, 2)?);
        let content = rest.get(ATTRIBUTE..length)?;
        if kind == wanted {
            return Some(content);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests;
