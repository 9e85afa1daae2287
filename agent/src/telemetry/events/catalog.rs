//! The contract of events: the one table of their names and attributes, from which `docs/events.md` is made.

/// What kind of value an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// A text.
    Text,
    /// Texts.
    Texts,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// True or false.
    Bool,
}

impl ValueKind {
    /// As `OpenTelemetry` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Texts => "string[]",
            Self::Int => "int",
            Self::Double => "double",
            Self::Bool => "boolean",
        }
    }
}

/// One attribute.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Dotted name.
    pub name: &'static str,
    /// Kind of its value.
    pub kind: ValueKind,
    /// One sentence for people.
    pub help: &'static str,
}

/// A kind of event.
#[derive(Debug, PartialEq, Eq)]
pub struct EventType {
    /// `event_name`.
    pub name: &'static str,
    /// The option that asks for it.
    pub option: &'static str,
    /// One sentence for people.
    pub help: &'static str,
    /// In the order in which they are written.
    pub attributes: &'static [&'static Attribute],
}

macro_rules! attributes {
    ($($id:ident = $name:literal $kind:ident $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Attribute = Attribute { name: $name, kind: ValueKind::$kind, help: $help };
        )*
    };
}

attributes! {
    PID = "process.pid" Int "The process, as the machine's own namespace numbers it.";
    PARENT = "process.parent_pid" Int "Its parent.";
    CREATED = "process.creation.time" Text "When the process was made (RFC 3339): with the pid it names the process for good.";
    EXITED = "process.exit.time" Text "When it ended (RFC 3339).";
    CODE = "process.exit.code" Int "Its exit code; absent where a signal ended it.";
    EXECUTABLE = "process.executable.name" Text "Its name as the kernel has it, 15 bytes at most.";
    PATH = "process.executable.path" Text "The program as it was asked for; absent where it has 63 bytes or more, of which not all are kept.";
    ARGUMENTS = "process.command_args" Texts "The first 1 KiB of its arguments, what looks like a secret masked; by `events.args` alone.";
    SIGNAL = "wattrace.process.exit.signal" Int "The signal that ended it.";
    REASON = "wattrace.process.exit.reason" Text "normal (code 0), error (another code), signal, or oom: ended by the kernel for want of memory.";
    DURATION = "wattrace.process.duration" Double "Seconds it lived, those in which the machine was suspended among them.";
    CPU_TIME = "wattrace.process.cpu.time" Double "Seconds all its threads were on a CPU.";
    ENERGY = "wattrace.process.energy" Double "Joules: its CPU time at the price of its workload in the interval in which it ended; by `events.energy` alone, absent where no energy is known.";
    ESTIMATED = "wattrace.energy.estimated" Bool "true beside the energy: nothing measures single processes.";
    READ = "wattrace.process.disk.read" Int "Bytes it had read from storage; absent where the kernel keeps no account.";
    WRITTEN = "wattrace.process.disk.written" Int "Bytes it had written to storage, likewise.";
    TRANSPORT = "network.transport" Text "tcp.";
    NETWORK = "network.type" Text "ipv4 or ipv6; an IPv6 socket that talks to a mapped address talks ipv4.";
    LOCAL_ADDRESS = "network.local.address" Text "Address of the workload's side.";
    LOCAL_PORT = "network.local.port" Int "Port of the workload's side.";
    PEER_ADDRESS = "network.peer.address" Text "Address of the other side.";
    PEER_PORT = "network.peer.port" Int "Port of the other side.";
    ROLE = "wattrace.tcp.role" Text "client or server; absent for a connection that is older than the agent.";
    LIFESPAN = "wattrace.tcp.connection.duration" Double "Seconds from being established to the end; absent for a connection that is older than the agent.";
    HANDSHAKE = "wattrace.tcp.handshake.duration" Double "Seconds its handshake took, where that was measured.";
    SENT = "wattrace.tcp.sent" Int "Payload bytes sent, each once.";
    RECEIVED = "wattrace.tcp.received" Int "Payload bytes received.";
    RETRANSMITS = "wattrace.tcp.retransmits" Int "Segments that were sent again.";
    RTT = "wattrace.tcp.rtt" Double "Smoothed round trip in seconds at the end, where one was measured.";
    ERROR = "error.type" Text "refused, reset, `timed_out`, unreachable or other; absent for a connection that ended in order.";
}

/// A program was started.
pub static EXEC: EventType = EventType {
    name: "wattrace.process.exec",
    option: "events.process_exec",
    help: "A program was started.",
    attributes: &[&PID, &PARENT, &CREATED, &EXECUTABLE, &PATH, &ARGUMENTS],
};

/// A process ended.
pub static EXIT: EventType = EventType {
    name: "wattrace.process.exit",
    option: "events.process_exit",
    help: "A process ended, with its last thread.",
    attributes: &[
        &PID,
        &PARENT,
        &CREATED,
        &EXITED,
        &CODE,
        &SIGNAL,
        &REASON,
        &EXECUTABLE,
        &DURATION,
        &CPU_TIME,
        &ENERGY,
        &ESTIMATED,
        &READ,
        &WRITTEN,
    ],
};

/// A connection ended.
pub static CLOSED: EventType = EventType {
    name: "wattrace.tcp.connection.closed",
    option: "events.tcp_connection_closed",
    help: "A TCP connection ended that had been established.",
    attributes: &[
        &TRANSPORT,
        &NETWORK,
        &LOCAL_ADDRESS,
        &LOCAL_PORT,
        &PEER_ADDRESS,
        &PEER_PORT,
        &ROLE,
        &LIFESPAN,
        &HANDSHAKE,
        &SENT,
        &RECEIVED,
        &RETRANSMITS,
        &RTT,
        &ERROR,
    ],
};

/// All of them, in the order of the documentation.
pub static ALL: [&EventType; 3] = [&EXEC, &EXIT, &CLOSED];

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from the table in the code. Do not edit. -->

# Events

What is told one by one, beside the metrics: OTLP log records with an `event_name`, severity INFO and no body, under the
Resource that the workload's metrics have. Each kind is asked for by itself in `[events]` of the configuration, and none is
sent otherwise. They go where the agent's own log records go (`otlp.logs_endpoint`), at the end of each interval; the time of
a record is when it happened. What is unknown is absent.

Each workload may send `events.rate` of one kind per second: a storm in one costs another no event. What is beyond that, what a
full ring or queue did not take, and what a receiver refused, is counted in `wattrace.agent.events.dropped` and
`otel.sdk.exporter.log.exported`. Metrics count all of it, events or not.

Arguments of programs are never read unless `events.args` is `redacted`. Then secrets are masked by the names before them
(flags, variables, headers, addresses, JSON, connection strings), by what a program is known to take (`mysql -p…`), and by
shape (keys of known services, what looks random). It rather masks too much. A secret that no name goes before and that
looks like a word is not found: who passes secrets so should leave `args` at `none`.

";

/// The page, in Markdown.
pub fn markdown() -> String {
    let sections: Vec<String> = ALL.iter().map(|event| section(event)).collect();
    HEAD.to_owned() + &sections.join("\n")
}

fn section(event: &EventType) -> String {
    let rows = event.attributes.iter();
    let rows = rows.map(|row| format!("| `{}` | {} | {} |\n", row.name, row.kind.name(), row.help));
    let head = format!("## `{}`\n\n{} Asked for by `{}`.\n\n", event.name, event.help, event.option);
    format!("{head}| attribute | type | meaning |\n|---|---|---|\n{}", rows.collect::<String>())
}
