//! Events, out of their ring.

use std::{
    mem::offset_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use aya::maps::{MapData, RingBuf};
use wattrace_common::events::{ARGS_MAX, ClosedEvent, EventKind, ExecEvent, ExitEvent, FILE_MAX, Head, Who};

use crate::samples::{Event, Exec};

/// The reading end of the ring.
pub struct EventRing {
    ring: RingBuf<MapData>,
    malformed: u64,
}

impl EventRing {
    pub(super) const fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring, malformed: 0 }
    }

    /// Takes all that is waiting, oldest first.
    pub fn drain(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(item) = self.ring.next() {
            match Event::parse(&item) {
                Some(event) => events.push(event),
                None => self.malformed += 1,
            }
        }
        events
    }

    /// Events that made no sense: 0 unless the object and the agent disagree.
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }
}

impl AsFd for EventRing {
    /// Readable when the ring is not empty; who waits is woken when half of it is full.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd: RawFd = self.ring.as_raw_fd();
        #[expect(unsafe_code, reason = "aya's ring offers only the raw descriptor")]
        // SAFETY: the descriptor belongs to `self.ring`, which the returned borrow keeps alive.
        unsafe {
            BorrowedFd::borrow_raw(fd)
        }
    }
}

/// A number of an event, at the place of its field.
macro_rules! number {
    ($of:ty, $bytes:expr, $event:ty, $($field:tt)+) => {
        <$of>::from_ne_bytes(array($bytes, offset_of!($event, $($field)+))?)
    };
}

impl Event {
    /// `None`: no kind of event, or not as long as that kind is.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let is_whole = |size| (bytes.len() == size).then_some(());
        match number!(u32, bytes, Head, kind) {
            kind if kind == EventKind::Exec as u32 => exec(bytes).map(Self::Exec),
            kind if kind == EventKind::Exit as u32 => {
                is_whole(size_of::<ExitEvent>()).and_then(|()| exit(bytes)).map(Self::Exit)
            }
            kind if kind == EventKind::Closed as u32 => {
                is_whole(size_of::<ClosedEvent>()).and_then(|()| closed(bytes)).map(Self::Closed)
            }
            _ => None,
        }
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Every event begins with it.
fn head(bytes: &[u8]) -> Option<Head> {
    Some(Head {
        kind: number!(u32, bytes, Head, kind),
        reserved: 0,
        at: number!(u64, bytes, Head, at),
        key: number!(u64, bytes, Head, key),
    })
}

/// Which process: at the same place in both kinds of event that say it.
fn who(bytes: &[u8]) -> Option<Who> {
    const { assert!(offset_of!(ExecEvent, who) == offset_of!(ExitEvent, who)) };
    Some(Who {
        start: number!(u64, bytes, ExitEvent, who.start),
        tgid: number!(u32, bytes, ExitEvent, who.tgid),
        parent: number!(u32, bytes, ExitEvent, who.parent),
        comm: array(bytes, offset_of!(ExitEvent, who.comm))?,
    })
}

fn exec(bytes: &[u8]) -> Option<Exec> {
    let length = |number: u32, most: usize| usize::try_from(number).ok().filter(|length| *length <= most);
    let file_len = length(number!(u32, bytes, ExecEvent, file_len), FILE_MAX)?;
    let args_len = length(number!(u32, bytes, ExecEvent, args_len), ARGS_MAX)?;
    let file = bytes.get(offset_of!(ExecEvent, file)..)?.get(..file_len)?.to_vec();
    let args = bytes.get(offset_of!(ExecEvent, args)..).filter(|args| args.len() == args_len)?.to_vec();
    let is_cut = length(number!(u32, bytes, ExecEvent, args_total), args_len).is_none();
    Some(Exec { head: head(bytes)?, who: who(bytes)?, file, args, is_cut })
}

fn exit(bytes: &[u8]) -> Option<ExitEvent> {
    Some(ExitEvent {
        head: head(bytes)?,
        who: who(bytes)?,
        cpu: number!(u64, bytes, ExitEvent, cpu),
        read: number!(u64, bytes, ExitEvent, read),
        written: number!(u64, bytes, ExitEvent, written),
        status: number!(u32, bytes, ExitEvent, status),
        reason: number!(u32, bytes, ExitEvent, reason),
    })
}

fn closed(bytes: &[u8]) -> Option<ClosedEvent> {
    Some(ClosedEvent {
        head: head(bytes)?,
        established: number!(u64, bytes, ClosedEvent, established),
        handshake: number!(u64, bytes, ClosedEvent, handshake),
        sent: number!(u64, bytes, ClosedEvent, sent),
        received: number!(u64, bytes, ClosedEvent, received),
        rtt: number!(u64, bytes, ClosedEvent, rtt),
        retransmits: number!(u32, bytes, ClosedEvent, retransmits),
        error: number!(u32, bytes, ClosedEvent, error),
        role: number!(u32, bytes, ClosedEvent, role),
        family: number!(u32, bytes, ClosedEvent, family),
        local_port: number!(u16, bytes, ClosedEvent, local_port),
        peer_port: number!(u16, bytes, ClosedEvent, peer_port),
        reserved: 0,
        local: array(bytes, offset_of!(ClosedEvent, local))?,
        peer: array(bytes, offset_of!(ClosedEvent, peer))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event byte by byte, numbers of four or eight bytes as they follow each other.
    fn bytes(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    fn start(kind: u32) -> Vec<u8> {
        bytes(&[&kind.to_ne_bytes(), &[0; 4], &11_u64.to_ne_bytes(), &22_u64.to_ne_bytes()])
    }

    fn process() -> Vec<u8> {
        bytes(&[&33_u64.to_ne_bytes(), &44_u32.to_ne_bytes(), &55_u32.to_ne_bytes(), b"a name\0\0\0\0\0\0\0\0\0\0"])
    }

    fn program(file_len: u32, args: &[u8], total: u32) -> Vec<u8> {
        let lengths = [file_len, u32::try_from(args.len()).unwrap(), total, 0].map(u32::to_ne_bytes).concat();
        let mut file = [0; FILE_MAX];
        file[..4].copy_from_slice(b"/bin");
        bytes(&[&start(1), &process(), &lengths, &file, args])
    }

    const HEAD: Head = Head { kind: 2, reserved: 0, at: 11, key: 22 };
    const WHO: Who = Who { start: 33, tgid: 44, parent: 55, comm: *b"a name\0\0\0\0\0\0\0\0\0\0" };

    #[test]
    fn a_program_has_its_path_and_as_much_of_its_arguments_as_travelled() {
        let Some(Event::Exec(exec)) = Event::parse(&program(4, b"ls\0-l\0", 6)) else { panic!("no exec") };
        assert_eq!((exec.head, exec.who), (Head { kind: 1, ..HEAD }, WHO));
        assert_eq!((exec.file.as_slice(), exec.args.as_slice(), exec.is_cut), (&b"/bin"[..], &b"ls\0-l\0"[..], false));
        let Some(Event::Exec(exec)) = Event::parse(&program(4, b"ls", 6)) else { panic!("no exec") };
        assert_eq!((exec.args.as_slice(), exec.is_cut), (&b"ls"[..], true));
        let Some(Event::Exec(exec)) = Event::parse(&program(0, b"", 0)) else { panic!("no exec") };
        assert!(exec.file.is_empty() && exec.args.is_empty() && !exec.is_cut);
    }

    #[test]
    fn an_end_of_a_process_comes_back_field_by_field() {
        let numbers = [66, 77, 88_u64].map(u64::to_ne_bytes).concat();
        let whole = bytes(&[&start(2), &process(), &numbers, &9_u32.to_ne_bytes(), &3_u32.to_ne_bytes()]);
        let event = ExitEvent { head: HEAD, who: WHO, cpu: 66, read: 77, written: 88, status: 9, reason: 3 };
        assert_eq!(Event::parse(&whole), Some(Event::Exit(event)));
    }

    #[test]
    fn an_end_of_a_connection_comes_back_field_by_field() {
        let longs = [1, 2, 3, 4, 5_u64].map(u64::to_ne_bytes).concat();
        let words = [6, 7, 8, 9_u32].map(u32::to_ne_bytes).concat();
        let ports = [10, 11_u16].map(u16::to_ne_bytes).concat();
        let whole = bytes(&[&start(3), &longs, &words, &ports, &[0; 4], &[12; 16], &[13; 16]]);
        let event = ClosedEvent {
            head: Head { kind: 3, ..HEAD },
            established: 1,
            handshake: 2,
            sent: 3,
            received: 4,
            rtt: 5,
            retransmits: 6,
            error: 7,
            role: 8,
            family: 9,
            local_port: 10,
            peer_port: 11,
            reserved: 0,
            local: [12; 16],
            peer: [13; 16],
        };
        assert_eq!(Event::parse(&whole), Some(Event::Closed(event)));
    }

    #[test]
    fn what_is_no_event_is_none() {
        let exit = |len: usize| [start(2), vec![0; len]].concat();
        assert!(Event::parse(&exit(64)).is_some());
        for wrong in [Vec::new(), start(0), start(4), start(1), exit(63), exit(65), [start(3), vec![0; 95]].concat()] {
            assert_eq!(Event::parse(&wrong), None, "{wrong:?}");
        }
        let mut long_file = program(65, b"", 0);
        assert_eq!(Event::parse(&long_file), None);
        long_file = program(4, b"ls", 2);
        long_file.push(0);
        assert_eq!(Event::parse(&long_file), None, "longer than it says");
        assert_eq!(Event::parse(&program(4, &[7; ARGS_MAX + 1], 9_999)), None);
    }
}
