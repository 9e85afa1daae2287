//! From what happened to log records: which attributes each has. Pure; outputs only encode them.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use wattrace_common::{
    events::{ClosedEvent, ExitEvent, FILE_MAX, UNKNOWN_BYTES, Who},
    process::EXIT_REASONS,
    tcp::{self, FAMILIES, Failure, Family, ROLES},
};

use self::catalog::{Attribute, EventType, ValueKind};
use super::{redact::redacted, snapshot::Resource};
use crate::{
    attribution::ledger::Cgroup,
    identity::{Workload, bounded},
    samples::{Event, Exec, Instant},
    units::{Joules, Microjoules, Nanos},
};

pub mod catalog;

/// Longest text, in bytes: what travels of all arguments together.
const LONGEST: usize = wattrace_common::events::ARGS_MAX;

/// Events of one workload in an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// Whose.
    pub workload: Arc<Workload>,
    /// One of its cgroups.
    pub cgroup: Option<Cgroup>,
    /// What its CPU time cost; `None`: that is not to be told, or unknown.
    pub price: Option<Price>,
    /// In the order in which they were read.
    pub events: Vec<Event>,
}

/// What a workload's CPU time cost in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Active energy over all zones.
    pub energy: Microjoules,
    /// Of so much time; not 0.
    pub cpu: Nanos,
}

impl Price {
    /// `None` where there was no time.
    pub fn new(energy: Microjoules, cpu: Nanos) -> Option<Self> {
        (cpu.0 > 0).then_some(Self { energy, cpu })
    }

    /// Of so much time.
    fn of(self, cpu: Nanos) -> Joules {
        Joules(self.energy.joules().0 * cpu.0 as f64 / self.cpu.0 as f64)
    }
}

/// What turns the kernel's clocks into the wall's.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// At the end of the interval.
    pub end: Instant,
    /// The wall clock when the machine was booted.
    pub booted: Nanos,
}

impl Clocks {
    /// At this end, after others that took `booted` to be the boot. Two readings of the clocks are some microseconds apart, and
    /// the wall clock is adjusted all the time: a process must not have another time of creation for that. A jump counts.
    pub fn after(booted: Option<Nanos>, end: Instant) -> Self {
        const JUMP: u64 = 1_000_000_000;
        let now = end.wall.saturating_sub(end.boottime);
        Self { end, booted: booted.filter(|booted| booted.0.abs_diff(now.0) < JUMP).unwrap_or(now) }
    }
}

/// Events under the resource of their workload.
#[derive(Clone, Debug)]
pub struct Occurrences {
    /// Whose, as the metrics say it.
    pub resource: Arc<Resource>,
    /// Of its interval.
    pub clocks: Clocks,
    /// What happened.
    pub happened: Happened,
}

impl Occurrences {
    /// One record after the other: all of them at once would take many times the memory.
    pub fn records(&self) -> impl Iterator<Item = LogEvent> {
        self.happened.events.iter().map(|event| describe(event, self.clocks, self.happened.price))
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum LogValue {
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// True or false.
    Bool(bool),
}

impl LogValue {
    /// Its kind.
    pub const fn kind(&self) -> ValueKind {
        match self {
            Self::Text(_) => ValueKind::Text,
            Self::Texts(_) => ValueKind::Texts,
            Self::Int(_) => ValueKind::Int,
            Self::Double(_) => ValueKind::Double,
            Self::Bool(_) => ValueKind::Bool,
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    /// Its row of the catalogue.
    pub event: &'static EventType,
    /// Wall clock, nanoseconds since 1970.
    pub at: Nanos,
    /// What is known.
    pub attributes: Vec<(&'static Attribute, LogValue)>,
}

/// One event as a record.
pub fn describe(event: &Event, clocks: Clocks, price: Option<Price>) -> LogEvent {
    match event {
        Event::Exec(exec) => of_exec(exec, clocks),
        Event::Exit(exit) => of_exit(exit, clocks, price),
        Event::Closed(closed) => of_closed(closed, clocks),
    }
}

fn of_exec(exec: &Exec, clocks: Clocks) -> LogEvent {
    let is_whole = !exec.file.is_empty() && exec.file.len() < FILE_MAX - 1;
    let args = (!exec.args.is_empty()).then(|| redacted(&exec.args, exec.is_cut));
    let args = args.map(|args| LogValue::Texts(args.iter().map(|arg| bounded(arg, LONGEST)).collect()));
    let known = [
        (&catalog::EXECUTABLE, Some(name(&exec.who))),
        (&catalog::PATH, is_whole.then(|| text(&exec.file))),
        (&catalog::ARGUMENTS, args),
    ];
    record(&catalog::EXEC, wall(clocks, Nanos(exec.head.at)), who(&exec.who, clocks).into_iter().chain(known))
}

fn of_exit(exit: &ExitEvent, clocks: Clocks, price: Option<Price>) -> LogEvent {
    let at = Nanos(exit.head.at);
    let ago = clocks.end.monotonic.saturating_sub(at);
    let lived = clocks.end.boottime.saturating_sub(ago).saturating_sub(Nanos(exit.who.start));
    let signal = exit.status & 0x7f;
    let code = exit.status >> 8 & 0xff;
    let reason = EXIT_REASONS.iter().find(|reason| **reason as u32 == exit.reason);
    let energy = price.map(|price| price.of(Nanos(exit.cpu)).0);
    let bytes = |bytes| (bytes != UNKNOWN_BYTES).then(|| whole(bytes));
    let known = [
        (&catalog::EXITED, Some(time(wall(clocks, at)))),
        (&catalog::CODE, (signal == 0).then(|| whole(code.into()))),
        (&catalog::SIGNAL, (signal != 0).then(|| whole(signal.into()))),
        (&catalog::REASON, reason.map(|reason| LogValue::Text(reason.name().to_owned()))),
        (&catalog::EXECUTABLE, Some(name(&exit.who))),
        (&catalog::DURATION, Some(LogValue::Double(lived.seconds()))),
        (&catalog::CPU_TIME, Some(seconds(exit.cpu))),
        (&catalog::ENERGY, energy.map(LogValue::Double)),
        (&catalog::ESTIMATED, energy.map(|_| LogValue::Bool(true))),
        (&catalog::READ, bytes(exit.read)),
        (&catalog::WRITTEN, bytes(exit.written)),
    ];
    record(&catalog::EXIT, wall(clocks, at), who(&exit.who, clocks).into_iter().chain(known))
}

fn of_closed(closed: &ClosedEvent, clocks: Clocks) -> LogEvent {
    let family = FAMILIES.iter().find(|family| **family as u32 == closed.family).copied();
    let role = ROLES.iter().find(|role| **role as u32 == closed.role);
    let named = |name: &str| LogValue::Text(name.to_owned());
    let lifespan = (closed.established != 0).then(|| closed.head.at.saturating_sub(closed.established));
    let handshake = (closed.handshake != tcp::UNKNOWN).then_some(closed.handshake);
    let known = [
        (&catalog::TRANSPORT, Some(named("tcp"))),
        (&catalog::NETWORK, family.map(|family| named(family.name()))),
        (&catalog::LOCAL_ADDRESS, family.map(|family| address(family, closed.local))),
        (&catalog::LOCAL_PORT, Some(whole(closed.local_port.into()))),
        (&catalog::PEER_ADDRESS, family.map(|family| address(family, closed.peer))),
        (&catalog::PEER_PORT, Some(whole(closed.peer_port.into()))),
        (&catalog::ROLE, role.map(|role| named(role.name()))),
        (&catalog::LIFESPAN, lifespan.map(seconds)),
        (&catalog::HANDSHAKE, handshake.map(seconds)),
        (&catalog::SENT, Some(whole(closed.sent))),
        (&catalog::RECEIVED, Some(whole(closed.received))),
        (&catalog::RETRANSMITS, Some(whole(closed.retransmits.into()))),
        (&catalog::RTT, (closed.rtt != 0).then(|| seconds(closed.rtt))),
        (&catalog::ERROR, (closed.error != 0).then(|| named(Failure::of_errno(closed.error).name()))),
    ];
    record(&catalog::CLOSED, wall(clocks, Nanos(closed.head.at)), known)
}

type Known = (&'static Attribute, Option<LogValue>);

fn record(event: &'static EventType, at: Nanos, known: impl IntoIterator<Item = Known>) -> LogEvent {
    let attributes = known.into_iter().filter_map(|(attribute, value)| Some((attribute, value?))).collect();
    LogEvent { event, at, attributes }
}

fn who(who: &Who, clocks: Clocks) -> [Known; 3] {
    let created = Nanos(clocks.booted.0.saturating_add(who.start));
    [
        (&catalog::PID, Some(whole(who.tgid.into()))),
        (&catalog::PARENT, Some(whole(who.parent.into()))),
        (&catalog::CREATED, Some(time(created))),
    ]
}

/// The wall clock at an instant of the monotonic clock that is not after the end.
fn wall(Clocks { end, .. }: Clocks, at: Nanos) -> Nanos {
    let ago = end.monotonic.saturating_sub(at);
    // One that was read after the interval's last reading.
    let since = at.saturating_sub(end.monotonic);
    Nanos(end.wall.saturating_sub(ago).0.saturating_add(since.0))
}

fn name(who: &Who) -> LogValue {
    text(who.comm.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn text(bytes: &[u8]) -> LogValue {
    LogValue::Text(bounded(&String::from_utf8_lossy(bytes), LONGEST))
}

fn whole(number: u64) -> LogValue {
    LogValue::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn seconds(nanos: u64) -> LogValue {
    LogValue::Double(Nanos(nanos).seconds())
}

/// RFC 3339, to the microsecond.
fn time(wall: Nanos) -> LogValue {
    let at = UNIX_EPOCH + Duration::from_nanos(wall.0);
    LogValue::Text(humantime::format_rfc3339_micros(at).to_string())
}

fn address(family: Family, bytes: [u8; 16]) -> LogValue {
    let [a, b, c, d, ..] = bytes;
    LogValue::Text(match family {
        Family::V4 => Ipv4Addr::new(a, b, c, d).to_string(),
        Family::V6 => Ipv6Addr::from(bytes).to_string(),
    })
}

#[cfg(test)]
mod tests;
