//! Records against values worked out by hand, and bytes that no kernel would send.

use proptest::prelude::*;
use wattrace_common::events::Head;

use super::*;

/// 2026-01-01T00:00:10Z; booted 1,000 s before, of which 400 s were spent suspended.
const END: Instant = Instant {
    monotonic: Nanos::from_secs(600),
    boottime: Nanos::from_secs(1_000),
    wall: Nanos::from_secs(1_767_225_610),
};

fn clocks() -> Clocks {
    Clocks::after(None, END)
}

#[test]
fn small_steps_of_the_wall_clock_do_not_move_the_boot_and_jumps_do() {
    let booted = clocks().booted;
    assert_eq!(booted, Nanos::from_secs(1_767_224_610));
    let later = |step: u64| Instant { wall: Nanos(END.wall.0 + step), ..END };
    assert_eq!(Clocks::after(Some(booted), later(999_999_999)).booted, booted);
    assert_eq!(Clocks::after(Some(booted), later(1_000_000_000)).booted, Nanos(booted.0 + 1_000_000_000));
}

fn head(seconds: u64) -> Head {
    Head { at: Nanos::from_secs(seconds).0, ..Head::default() }
}

fn someone() -> Who {
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"sh\x1bx");
    Who { start: Nanos::from_secs(985).0, tgid: 4711, parent: 1, comm }
}

fn exit(status: u32, reason: u32) -> ExitEvent {
    let (head, who) = (head(595), someone());
    ExitEvent { head, who, cpu: 2_500_000_000, read: 4096, written: UNKNOWN_BYTES, status, reason }
}

fn told(record: &LogEvent) -> Vec<String> {
    let text = |value: &LogValue| match value {
        LogValue::Text(text) => text.clone(),
        LogValue::Texts(texts) => texts.join(" "),
        LogValue::Int(number) => number.to_string(),
        LogValue::Double(number) => number.to_string(),
        LogValue::Bool(is) => is.to_string(),
    };
    record.attributes.iter().map(|(key, value)| format!("{}={}", key.name, text(value))).collect()
}

#[test]
fn a_program_is_told_with_its_arguments_only_where_they_travel() {
    let exec = Exec { head: head(590), who: someone(), file: b"/bin/sh".into(), args: Vec::new(), is_cut: false };
    let bare = describe(&Event::Exec(exec.clone()), clocks(), None);
    assert_eq!((bare.event.name, bare.at), ("wattrace.process.exec", Nanos::from_secs(1_767_225_600)));
    let expected = [
        "process.pid=4711",
        "process.parent_pid=1",
        "process.creation.time=2025-12-31T23:59:55.000000Z",
        r"process.executable.name=sh\u{1b}x",
        "process.executable.path=/bin/sh",
    ];
    assert_eq!(told(&bare), expected);
    let args = b"sh\0--password\0hunter2\0a\nb\0".to_vec();
    let full = describe(&Event::Exec(Exec { args, ..exec.clone() }), clocks(), None);
    assert_eq!(told(&full).last().unwrap(), r"process.command_args=sh --password [redacted] a\u{a}b");
    let long = describe(&Event::Exec(Exec { file: vec![b'x'; FILE_MAX - 1], ..exec }), clocks(), None);
    assert!(!told(&long).iter().any(|attribute| attribute.starts_with("process.executable.path")));
}

#[test]
fn a_process_is_told_with_how_it_ended_and_what_it_took() {
    let price = Price::new(Microjoules(30_000_000), Nanos::from_secs(10));
    let record = describe(&Event::Exit(exit(0x300, 1)), clocks(), price);
    let expected = [
        "process.pid=4711",
        "process.parent_pid=1",
        "process.creation.time=2025-12-31T23:59:55.000000Z",
        "process.exit.time=2026-01-01T00:00:05.000000Z",
        "process.exit.code=3",
        "wattrace.process.exit.reason=error",
        r"process.executable.name=sh\u{1b}x",
        "wattrace.process.duration=10",
        "wattrace.process.cpu.time=2.5",
        "wattrace.process.energy=7.5",
        "wattrace.energy.estimated=true",
        "wattrace.process.disk.read=4096",
    ];
    assert_eq!(told(&record), expected);
    let killed = told(&describe(&Event::Exit(exit(9, 3)), clocks(), None));
    let has = |text: &str| killed.iter().any(|attribute| attribute.starts_with(text));
    assert!(has("wattrace.process.exit.signal=9") && has("wattrace.process.exit.reason=oom"));
    assert!(!has("process.exit.code") && !has("wattrace.process.energy") && !has("wattrace.energy"));
    assert_eq!(Price::new(Microjoules(1), Nanos(0)), None);
}

fn closed() -> ClosedEvent {
    let mut closed = ClosedEvent { head: head(599), established: Nanos::from_secs(597).0, ..ClosedEvent::default() };
    closed.handshake = 3_000_000;
    (closed.sent, closed.received, closed.rtt, closed.retransmits) = (100, 200, 500_000, 2);
    (closed.local_port, closed.peer_port, closed.error, closed.role, closed.family) = (80, 5000, 104, 1, 0);
    closed.local[..4].copy_from_slice(&[10, 0, 0, 1]);
    closed.peer[..4].copy_from_slice(&[10, 0, 0, 2]);
    closed
}

#[test]
fn a_connection_is_told_with_its_ends_and_its_times() {
    let record = describe(&Event::Closed(closed()), clocks(), None);
    let expected = [
        "network.transport=tcp",
        "network.type=ipv4",
        "network.local.address=10.0.0.1",
        "network.local.port=80",
        "network.peer.address=10.0.0.2",
        "network.peer.port=5000",
        "wattrace.tcp.role=server",
        "wattrace.tcp.connection.duration=2",
        "wattrace.tcp.handshake.duration=0.003",
        "wattrace.tcp.sent=100",
        "wattrace.tcp.received=200",
        "wattrace.tcp.retransmits=2",
        "wattrace.tcp.rtt=0.0005",
        "error.type=reset",
    ];
    assert_eq!(told(&record), expected);
}

#[test]
fn what_is_unknown_of_a_connection_is_absent() {
    let mut older = closed();
    (older.established, older.handshake, older.role, older.rtt, older.error) = (0, tcp::UNKNOWN, tcp::NO_ROLE, 0, 0);
    older.family = 1;
    older.peer = [0; 16];
    older.peer[15] = 1;
    let record = told(&describe(&Event::Closed(older), clocks(), None));
    assert!(record.contains(&"network.peer.address=::1".to_owned()));
    for absent in ["role", "connection.duration", "handshake", "rtt", "error.type"] {
        assert!(!record.iter().any(|attribute| attribute.contains(absent)), "{absent}");
    }
}

#[test]
fn the_page_has_every_kind_and_attribute() {
    let page = catalog::markdown();
    for event in catalog::ALL {
        assert!(page.contains(&format!("## `{}`", event.name)) && page.contains(event.option));
        for attribute in event.attributes {
            assert!(page.contains(&format!("| `{}` | {} |", attribute.name, attribute.kind.name())));
            assert!(attribute.help.ends_with('.') && !attribute.help.contains(['|', '\n']), "{}", attribute.name);
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_kernel_sends_becomes_a_record_of_its_kind(
        numbers: [u64; 6], small: [u32; 6], bytes: [u8; 16], file in prop::collection::vec(any::<u8>(), 0..64),
        args in prop::collection::vec(any::<u8>(), 0..200), is_cut: bool, end: [u64; 3],
    ) {
        let end = Instant { monotonic: Nanos(end[0]), boottime: Nanos(end[1]), wall: Nanos(end[2]) };
        let head = Head { at: numbers[0], ..Head::default() };
        let who = Who { start: numbers[1], tgid: small[0], parent: small[1], comm: bytes };
        let exit = ExitEvent { head, who, cpu: numbers[2], read: numbers[3], written: numbers[4], status: small[2], reason: small[3] };
        let closed = ClosedEvent {
            head, established: numbers[1], handshake: numbers[2], sent: numbers[3], received: numbers[4], rtt: numbers[5],
            retransmits: small[0], error: small[1], role: small[2], family: small[3], local: bytes, peer: bytes,
            ..ClosedEvent::default()
        };
        let exec = Exec { head, who, file, args, is_cut };
        let price = Price::new(Microjoules(numbers[5]), Nanos(numbers[4]));
        for event in [Event::Exec(exec), Event::Exit(exit), Event::Closed(closed)] {
            let record = describe(&event, Clocks::after(None, end), price);
            let mut rows = record.event.attributes.iter();
            for (attribute, value) in &record.attributes {
                prop_assert!(rows.any(|row| row == attribute), "out of order: {}", attribute.name);
                prop_assert_eq!(value.kind(), attribute.kind);
                let texts = match value {
                    LogValue::Text(text) => vec![text.clone()],
                    LogValue::Texts(texts) => texts.clone(),
                    _ => Vec::new(),
                };
                prop_assert!(texts.iter().all(|text| text.len() <= LONGEST && !text.contains(char::is_control)));
            }
        }
    }
}
