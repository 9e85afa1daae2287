use proptest::prelude::*;

use super::*;

/// Lists of a real kernel, of a server at port 4701 and connections to it. By IPv4: one that sent 1,000 bytes, got 50 and sent
/// its FIN; one that its client closed after it got a byte, of which only a stub is left there; one that both closed.
const IPV4: &[u8] = include_bytes!("../../../../../tests/fixtures/diag/ipv4.bin");
/// By IPv6: one on which the server sent 77 bytes.
const IPV6: &[u8] = include_bytes!("../../../../../tests/fixtures/diag/ipv6.bin");

fn sockets(bytes: &[u8]) -> (Vec<DiagSocket>, Answer) {
    let mut found = Vec::new();
    let answer = answer(bytes, |socket| found.push(socket));
    found.sort_by_key(|socket| (socket.port, socket.cookie));
    (found, answer)
}

fn carries(sent: u64, received: u64) -> SocketKind {
    SocketKind::Carries(Traffic { sent, received, retransmits: 0 })
}

#[test]
fn a_kernels_list_is_read() {
    let (found, told) = sockets(IPV4);
    assert_eq!(told, Answer { is_done: true, ..Answer::default() });
    let told: Vec<_> = found.iter().map(|socket| (socket.port, socket.what.clone())).collect();
    let expected = [
        (4701, SocketKind::Listens),
        (4701, carries(1, 0)),
        (4701, carries(50, 1_000)),
        (4702, carries(1_000, 50)),
        (4703, SocketKind::Else),
    ];
    assert_eq!(told, expected);
    let cookies: Vec<_> = found.iter().map(|socket| socket.cookie).collect();
    assert_eq!(cookies, [14, 15, 16, 17, 18], "as SO_COOKIE told");
    let cgroups: Vec<_> = found.iter().map(|socket| socket.cgroup).collect();
    assert_eq!(cgroups, [Some(1), Some(1), Some(1), Some(1), None], "a stub is nobody's");
    let (found, told) = sockets(IPV6);
    assert!(told.is_done && told.malformed == 0);
    let told: Vec<_> = found.into_iter().map(|socket| socket.what).collect();
    assert_eq!(told, [SocketKind::Listens, carries(77, 0), carries(0, 77)]);
}

#[test]
fn a_request_is_what_the_kernel_takes() {
    let bytes = request(10, 1 << 1 | 1 << 10);
    assert_eq!(bytes[..8], [[72, 0, 0, 0], [20, 0, 1, 3]].concat());
    assert_eq!(bytes[8..24], [0, 0, 0, 0, 0, 0, 0, 0, 10, 6, 2, 0, 2, 4, 0, 0]);
    assert_eq!(bytes[24..], [0; 48]);
}

/// A message with this body.
fn message_of(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEAD + body.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8], body].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A socket in this state with so many bytes of `tcp_info`, each of which is 1.
fn socket_of(state: u8, info: usize) -> DiagSocket {
    let mut body = vec![0; SOCKET];
    body[1] = state;
    let length = u16::try_from(ATTRIBUTE + info).unwrap();
    body.extend([&length.to_ne_bytes()[..], &INFO.to_ne_bytes(), &vec![1; info]].concat());
    sockets(&message_of(BY_FAMILY, 0, &body)).0.remove(0)
}

#[test]
fn a_fin_is_no_byte_received() {
    let all = u64::from_ne_bytes([1; 8]);
    let received = |state| match socket_of(state, 216).what {
        SocketKind::Carries(traffic) => Some(all - traffic.received),
        _ => None,
    };
    assert_eq!([1, 4, 5, 8, 9, 11].map(received), [0, 0, 0, 1, 1, 1].map(Some));
    assert_eq!([0, 2, 3, 6, 7, 10, 12, 255].map(received), [None; 8]);
    let traffic = Traffic { sent: 0, received: all, retransmits: 0x0101_0101 };
    assert_eq!(socket_of(1, 280).what, SocketKind::Carries(traffic), "a newer kernel tells more");
}

#[test]
fn a_kernel_that_does_not_tell_traffic_is_not_taken_to_say_that_there_is_none() {
    assert_eq!(socket_of(1, 215).what, SocketKind::Untold);
    assert_eq!(socket_of(1, 192).what, SocketKind::Untold);
    assert_eq!(socket_of(1, 0).what, SocketKind::Untold);
    assert_eq!(socket_of(10, 192).what, SocketKind::Listens);
    assert_eq!(socket_of(1, 216).cgroup, None);
}

#[test]
fn errors_and_interruptions_are_told() {
    let refused = sockets(&message_of(ERROR, 0, &(-2_i32).to_ne_bytes())).1;
    assert_eq!((refused.is_done, refused.error), (true, Some(2)));
    let gave_up = sockets(&message_of(DONE, 0, &(-12_i32).to_ne_bytes())).1;
    assert_eq!((gave_up.is_done, gave_up.error), (true, Some(12)));
    let done = sockets(&message_of(DONE, INTERRUPTED, &[])).1;
    assert_eq!((done.is_done, done.error, done.is_interrupted), (true, None, true));
    let odd = [message_of(99, 0, &[1; 7]), message_of(BY_FAMILY, 0, &[0; 71]), message_of(DONE, 0, &[])].concat();
    assert_eq!(sockets(&odd), (vec![], Answer { is_done: true, malformed: 1, ..Answer::default() }));
}

#[test]
fn what_is_cut_is_counted_and_the_rest_read() {
    let whole = sockets(IPV4).0.len();
    for length in 1..IPV4.len() {
        let (found, told) = sockets(&IPV4[..length]);
        assert!(found.len() <= whole && told.malformed <= 1);
        assert!(told.is_done || told.malformed == 1 || found.len() < whole + 1, "{length}");
    }
    assert_eq!(sockets(&[0; 16]).1.malformed, 1, "a message that is shorter than its head");
    assert_eq!(sockets(&[0xff; 64]).1.malformed, 1);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(sockets(&bytes).0.len() * (HEAD + SOCKET) <= bytes.len());
    }

    #[test]
    fn no_damage_panics(at in 0..IPV4.len(), byte: u8) {
        let mut bytes = IPV4.to_vec();
        bytes[at] = byte;
        prop_assert!(sockets(&bytes).0.len() * (HEAD + SOCKET) <= bytes.len());
    }
}
