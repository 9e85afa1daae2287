//! The kernel programs with TCP connections, and processes that make them: the only file here that knows how the figures are
//! read.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use wattrace::{
    probes::{
        bpf::{self, EventPlan, Machine, Programs, layout::Layouts},
        process,
    },
    samples::{Event, RoleTotals, TcpWorkReading},
};
use wattrace_common::{
    events::ClosedEvent,
    loss::{Program, Reason},
    owner::OwnerKey,
    tcp::{PHASES, Role},
};

use super::networks::Namespace;
use crate::support::{BTF, Cgroup, machine, until};

/// A window of the kernel is a little more than a second.
const RATE: u32 = 107;
/// Connections are told as they end.
pub const CLOSED: EventPlan = EventPlan { exec: false, args: false, exit: false, closed: true, rate: Some(RATE) };

/// Programs of this test's own.
pub struct Probe {
    programs: Programs,
    closed: Vec<ClosedEvent>,
}

impl Probe {
    pub fn start() -> Self {
        Self::with(EventPlan::default())
    }

    pub fn with(events: EventPlan) -> Self {
        Self::on(Machine { events, ..machine() })
    }

    pub fn on(machine: Machine) -> Self {
        let events = machine.events;
        let machine = Machine { tcp: true, network: process::network(Path::new("/")), ..machine };
        let layouts = Layouts::load(Path::new(BTF)).unwrap();
        let programs = bpf::load(&layouts, &machine).map_err(|error| error.to_string()).unwrap();
        if let Err(reason) = &programs.tcp {
            panic!("connections are not counted: {reason}");
        }
        assert_eq!(programs.sock_owners, Ok(()), "sockets name their cgroups");
        assert_eq!(programs.events.is_ok(), events.closed);
        Self { programs, closed: Vec::new() }
    }

    pub fn read(&mut self) -> Vec<TcpWorkReading> {
        let programs = &mut self.programs;
        programs.tcp.as_mut().unwrap().read(&programs.times)
    }

    /// What the connections of a cgroup did.
    pub fn of(&mut self, cgroup: &Cgroup) -> TcpWorkReading {
        let owner = OwnerKey::cgroup(cgroup.id);
        self.read().into_iter().find(|reading| reading.owner == owner).unwrap_or_default()
    }

    /// Waits until so many connections of a cgroup ended that were seen to begin.
    pub fn until_closed(&mut self, cgroup: &Cgroup, count: u64) -> TcpWorkReading {
        until(&format!("{count} connections ended"), || closed(&self.of(cgroup)) >= count);
        self.of(cgroup)
    }

    /// Connections that are noted as open, or on their way to be.
    pub fn open(&self) -> usize {
        self.programs.tcp.as_ref().unwrap().open()
    }

    /// Events of connections of a cgroup so far.
    pub fn events(&mut self, cgroup: &Cgroup) -> Vec<ClosedEvent> {
        for event in self.programs.events.as_mut().unwrap().drain() {
            if let Event::Closed(event) = event {
                self.closed.push(event);
            }
        }
        self.closed.iter().filter(|event| event.head.key == cgroup.id).copied().collect()
    }

    /// The one event of a cgroup, as soon as it is there.
    pub fn event(&mut self, cgroup: &Cgroup) -> ClosedEvent {
        until("an event is told", || !self.events(cgroup).is_empty());
        let events = self.events(cgroup);
        assert_eq!(events.len(), 1);
        events[0]
    }

    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> usize {
        self.programs.tcp.as_mut().unwrap().release(is_dead).len()
    }

    pub fn lost(&self, reason: Reason) -> u64 {
        let losses = self.programs.times.losses().into_iter();
        losses.filter(|loss| loss.program == Program::TcpState && loss.reason == reason).map(|loss| loss.count).sum()
    }

    /// That nothing was lost but what a rate held back.
    pub fn assert_whole(&self) {
        let losses = self.programs.times.losses().into_iter().filter(|loss| loss.program == Program::TcpState);
        let losses: Vec<_> = losses.filter(|loss| loss.count > 0 && loss.reason != Reason::Limited).collect();
        assert!(losses.is_empty(), "{losses:?}");
    }
}

pub fn closed(reading: &TcpWorkReading) -> u64 {
    reading.totals.roles.iter().map(|role| role.closed).sum()
}

/// Bytes sent and received.
pub fn bytes(reading: &TcpWorkReading) -> (u64, u64) {
    (reading.totals.sent, reading.totals.received)
}

pub fn role(reading: &TcpWorkReading, role: Role) -> &RoleTotals {
    &reading.totals.roles[role as usize]
}

/// Failures by phase and class that are not 0, as (phase, class, count).
pub fn failures(reading: &TcpWorkReading, of: Role) -> Vec<(usize, usize, u64)> {
    let failures = role(reading, of).failures;
    let phase = |phase: usize| failures[phase].into_iter().enumerate().map(move |(class, count)| (phase, class, count));
    (0..PHASES.len()).flat_map(phase).filter(|(.., count)| *count > 0).collect()
}

/// A process in a cgroup that does with connections what it is told.
pub struct Talker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Talker {
    pub fn new(cgroup: &Cgroup) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talk"));
        Self::of(command.arg(format!("in={}", cgroup.path.display())))
    }

    /// The same in a network namespace of this name.
    pub fn within(namespace: &str, cgroup: &Cgroup) -> Self {
        // Not `ip netns exec`, which hides the cgroups.
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{namespace}")).arg(env!("CARGO_BIN_EXE_talk"));
        Self::of(command.arg(format!("in={}", cgroup.path.display())))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut talker = Self { child, orders, answers };
        assert_eq!(talker.answer(), "ready");
        talker
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// Tells it to begin with something.
    pub fn order(&mut self, what: &str) {
        writeln!(self.orders, "{what}").unwrap();
    }

    /// Waits until it is done with it: what it says, or the number of the error.
    pub fn result(&mut self) -> Result<String, i32> {
        let answer = self.answer();
        match answer.split_once(' ') {
            Some(("ok", told)) => Ok(told.to_owned()),
            Some(("error", number)) => Err(number.parse().unwrap()),
            _ => panic!("the talker said {answer:?}"),
        }
    }

    pub fn try_to(&mut self, what: &str) -> Result<String, i32> {
        self.order(what);
        self.result()
    }

    #[track_caller]
    pub fn must(&mut self, what: &str) -> String {
        self.try_to(what).unwrap_or_else(|error| panic!("{what}: error {error}"))
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A server and a client, in cgroups of their own.
pub struct Pair {
    pub server: Talker,
    pub client: Talker,
    pub server_group: Cgroup,
    pub client_group: Cgroup,
}

impl Pair {
    pub fn new() -> Self {
        let (server_group, client_group) = (Cgroup::new(), Cgroup::new());
        Self { server: Talker::new(&server_group), client: Talker::new(&client_group), server_group, client_group }
    }

    /// Each in a network namespace.
    pub fn within(server: &Namespace, client: &Namespace) -> Self {
        let (server_group, client_group) = (Cgroup::new(), Cgroup::new());
        let server = Talker::within(&server.0, &server_group);
        Self { server, client: Talker::within(&client.0, &client_group), server_group, client_group }
    }

    /// The server listens as `l` on a port of its own of this address; returns both.
    pub fn listen(&mut self, address: IpAddr) -> SocketAddr {
        let port = self.server.must(&format!("listen l {}", SocketAddr::new(address, 0)));
        SocketAddr::new(address, port.parse().unwrap())
    }

    /// Both have a connection of this name.
    pub fn connect(&mut self, name: &str, to: SocketAddr) {
        self.client.must(&format!("connect {name} {to}"));
        self.server.must(&format!("accept {name} l"));
    }

    /// So many bytes go to the server, and so many back.
    pub fn exchange(&mut self, name: &str, there: u64, back: u64) {
        self.server.order(&format!("receive {name} {there}"));
        self.client.must(&format!("send {name} {there}"));
        self.server.result().unwrap();
        self.client.order(&format!("receive {name} {back}"));
        self.server.must(&format!("send {name} {back}"));
        self.client.result().unwrap();
    }
}
