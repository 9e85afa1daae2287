//! The rows of `[events]`: what is told one by one.

use super::{Kind, Opt};

const fn switch(key: &'static str, help: &'static str) -> Opt {
    Opt { key, kind: Kind::Switch, variables: &[], reload: false, example: "", help }
}

pub(super) const EXEC: Opt =
    switch("events.process_exec", "Whether each program that is started is an event (wattrace.process.exec).");

pub(super) const EXIT: Opt =
    switch("events.process_exit", "Whether each process that ends is an event (wattrace.process.exit).");

pub(super) const CLOSED: Opt = switch(
    "events.tcp_connection_closed",
    "Whether each TCP connection that ends is an event (wattrace.tcp.connection.closed). It names addresses and ports.",
);

pub(super) const ARGS: Opt = Opt {
    key: "events.args",
    kind: Kind::OneOf(&["none", "redacted"]),
    variables: &[],
    reload: false,
    example: "",
    help: "What process_exec says of a program's arguments. \"redacted\": the first 1 KiB of them, with what looks like a secret, by its name or its shape, masked; no rule finds every secret. \"none\": nothing.",
};

pub(super) const RATE: Opt = Opt {
    key: "events.rate",
    kind: Kind::Whole(1..=10_000),
    variables: &[],
    reload: false,
    example: "",
    help: "Events of one kind that a workload may send per second at most, so that none drowns the others: counted in windows of 2^30 ns (1.07 s), in each of which as many are sent as that allows, and the rest is dropped and counted.",
};

pub(super) const ENERGY: Opt = switch(
    "events.energy",
    "Whether process_exit tells the estimated joules of the process. Energy of single processes shows what they compute: it is for those who may see that.",
);
