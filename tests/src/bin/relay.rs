//! A link between two network namespaces that takes its time, and may lose some of what it carries.
//!
//! `NAMESPACE NAMESPACE DELAY [LOST...]` makes a TUN device named `link` in each and says `ready`. What one sends comes out of the
//! other DELAY microseconds later. Packets of the first namespace that carry data of TCP are numbered from 1: those of the numbers
//! LOST are dropped; where `answer` is among these, so is the first answer of the second namespace to who asks for a connection.
//! Each line of standard input is answered by how many were dropped, and how many carried data that had been sent before. It stops
//! at IPv4, and tells of one connection alone.
#![expect(clippy::disallowed_methods, reason = "it keeps packets waiting by the clock")]
#![expect(unsafe_code, reason = "TUN devices are made by an ioctl, for which there is no library")]

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, Read, Write},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    ioctl::{Setter, ioctl},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// More than a TUN device hands over at once.
const PACKET: usize = 65_536;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [first, second, delay, lost @ ..] = args.as_slice() else { bail!("NAMESPACE NAMESPACE DELAY [LOST...]") };
    let mut link = Link {
        first: device(first)?,
        second: device(second)?,
        delay: Duration::from_micros(delay.parse()?),
        on_the_way: VecDeque::new(),
        losses: Losses::of(lost)?,
    };
    say("ready")?;
    while link.turn()? {}
    Ok(())
}

fn say(text: &str) -> Result<()> {
    println!("{text}");
    Ok(io::stdout().flush()?)
}

/// `struct ifreq`, as far as TUN devices use it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// A TUN device in a network namespace of this name; it is there as long as the file is open.
fn device(namespace: &str) -> Result<File> {
    const TUNSETIFF: u32 = 0x4004_54ca;
    const TUN: u16 = 1;
    const WITHOUT_HEADER: u16 = 0x1000;

    let network = File::open(format!("/run/netns/{namespace}")).with_context(|| namespace.to_owned())?;
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
    let file = File::options().read(true).write(true).open("/dev/net/tun").context("/dev/net/tun")?;
    let mut request = Request { name: [0; 16], flags: TUN | WITHOUT_HEADER, rest: [0; 22] };
    request.name[..4].copy_from_slice(b"link");
    // SAFETY: this request reads a `struct ifreq`, which this is.
    let setter = unsafe { Setter::<TUNSETIFF, Request>::new(request) };
    // SAFETY: it only names the device that belongs to the file.
    unsafe { ioctl(&file, setter) }.context("TUNSETIFF")?;
    Ok(file)
}

struct Packet {
    due: Instant,
    /// Which end it came in at.
    is_of_first: bool,
    bytes: Vec<u8>,
}

struct Link {
    first: File,
    second: File,
    delay: Duration,
    /// All wait equally long, so the first is due first.
    on_the_way: VecDeque<Packet>,
    losses: Losses,
}

impl Link {
    /// Waits for the next thing to do and does it; `false`: nobody asks any more.
    fn turn(&mut self) -> Result<bool> {
        let stdin = io::stdin();
        let wait = self.on_the_way.front().map(|packet| packet.due.saturating_duration_since(Instant::now()));
        let wait = wait.map(Timespec::try_from).transpose()?;
        let files = [self.first.as_fd(), self.second.as_fd(), stdin.as_fd()];
        let mut watched = files.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN));
        poll(&mut watched, wait.as_ref())?;
        let [first, second, asked] = watched.map(|file| !file.revents().is_empty());
        for (is_of_first, is_ready) in [(true, first), (false, second)] {
            if is_ready {
                self.take(is_of_first)?;
            }
        }
        self.deliver()?;
        if asked {
            let mut line = String::new();
            if stdin.lock().read_line(&mut line)? == 0 {
                return Ok(false);
            }
            say(&format!("{} {}", self.losses.dropped, self.losses.again))?;
        }
        Ok(true)
    }

    fn take(&mut self, is_of_first: bool) -> Result<()> {
        let mut bytes = vec![0; PACKET];
        let end = if is_of_first { &mut self.first } else { &mut self.second };
        let length = end.read(&mut bytes)?;
        bytes.truncate(length);
        let passes = if is_of_first { self.losses.passes(&bytes) } else { self.losses.passes_back(&bytes) };
        if passes {
            self.on_the_way.push_back(Packet { due: Instant::now() + self.delay, is_of_first, bytes });
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<()> {
        while self.on_the_way.front().is_some_and(|packet| packet.due <= Instant::now()) {
            let Some(packet) = self.on_the_way.pop_front() else { break };
            let end = if packet.is_of_first { &mut self.second } else { &mut self.first };
            match end.write_all(&packet.bytes) {
                // The device is not up yet, or no more.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {}
                result => result?,
            }
        }
        Ok(())
    }
}

/// Packets with data, and which of them are lost.
#[derive(Default)]
struct Losses {
    numbers: Vec<u64>,
    /// Whether the next answer to who asks for a connection is one of them.
    answer: bool,
    seen: u64,
    dropped: u64,
    /// Packets that carried what another had carried before.
    again: u64,
    /// Number of the byte after all that were sent.
    next: Option<u32>,
}

impl Losses {
    fn of(words: &[String]) -> Result<Self> {
        let (answers, numbers): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| *word == "answer");
        let numbers = numbers.into_iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
        Ok(Self { numbers, answer: !answers.is_empty(), ..Self::default() })
    }

    fn passes_back(&mut self, packet: &[u8]) -> bool {
        let is_lost = self.answer && is_answer(packet);
        if is_lost {
            self.answer = false;
            self.dropped += 1;
        }
        !is_lost
    }

    fn passes(&mut self, packet: &[u8]) -> bool {
        let Some((start, end)) = data(packet) else { return true };
        let next = *self.next.get_or_insert(start);
        // Numbers wrap.
        if end.wrapping_sub(next).cast_signed() > 0 {
            self.next = Some(end);
        } else {
            self.again += 1;
        }
        self.seen += 1;
        let is_lost = self.numbers.contains(&self.seen);
        self.dropped += u64::from(is_lost);
        !is_lost
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

/// A packet of TCP over IPv4, from TCP's header on.
fn segment(packet: &[u8]) -> Option<&[u8]> {
    const TCP: u8 = 6;

    let first = *packet.first()?;
    if first >> 4 != 4 || *packet.get(9)? != TCP {
        return None;
    }
    packet.get(usize::from(first & 15) * 4..(word(packet, 0)? & 0xffff) as usize)
}

/// Of a packet with data: the number of its first byte, and that of the one after its last.
fn data(packet: &[u8]) -> Option<(u32, u32)> {
    let segment = segment(packet)?;
    let header = (word(segment, 12)? >> 28) as usize * 4;
    let bytes = u32::try_from(segment.len().checked_sub(header)?).ok().filter(|bytes| *bytes > 0)?;
    let start = word(segment, 4)?;
    Some((start, start.wrapping_add(bytes)))
}

/// Whether it is SYN and ACK.
fn is_answer(packet: &[u8]) -> bool {
    const SYN_AND_ACK: u32 = 0x12;

    let flags = segment(packet).and_then(|segment| word(segment, 12)).map(|word| word >> 16);
    flags.is_some_and(|flags| flags & SYN_AND_ACK == SYN_AND_ACK)
}
