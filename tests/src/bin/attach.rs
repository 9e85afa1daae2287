//! Holds the kernel programs of one level attached until it is ended, for benches: the loader of the agent without the rest of it.
//!
//! `attach LEVEL`, which is `lean`, `full`, or lean with something else: `block-total`, `block-device`, `tcp`, `process`. With
//! `tcp-events` and `process-events`, all that may send an event does, and somebody reads before others run: it ends if one was
//! lost nevertheless.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::nice,
};
use wattrace::{
    probes::{
        bpf::{self, BlockMode, EventPlan, Machine, Programs, Spares, layout::Layouts},
        cgroupfs, disks, lockdown, process, topology,
    },
    samples::Event,
};
use wattrace_common::loss::Reason;

/// The agent looks at its ring that often if nothing wakes it.
const TICK: Duration = Duration::from_secs(1);

/// The least nice one may be.
const FIRST: i32 = -20;

fn main() -> Result<()> {
    let level = std::env::args().nth(1).context("attach LEVEL")?;
    let machine = of_level(&level, machine()?)?;
    let layouts = Layouts::load(&machine.btf).context("finding the kernel's fields")?;
    let mut programs = bpf::load(&layouts, &machine)?;
    if let Some(why) = shortcoming(&programs, &machine) {
        bail!("{why}");
    }
    if programs.events.is_ok() {
        // A load that takes all CPUs must not keep the reader from them for longer than the ring lasts.
        nice(FIRST).context("going before others")?;
    }
    loop {
        wait(&programs)?;
        read(&mut programs)?;
    }
}

/// What a level is, where `lean` is the least.
fn of_level(level: &str, lean: Machine) -> Result<Machine> {
    let closed = EventPlan { closed: true, ..EventPlan::default() };
    let lives = EventPlan { exec: true, exit: true, ..EventPlan::default() };
    Ok(match level {
        "lean" => lean,
        "full" => Machine { follows_threads: true, ..lean },
        "block-total" => Machine { block: BlockMode::Total, ..lean },
        "block-device" => Machine { block: BlockMode::Device, ..lean },
        "tcp" => Machine { tcp: true, ..lean },
        "tcp-events" => Machine { tcp: true, events: closed, ..lean },
        "process" => Machine { process: true, ..lean },
        "process-events" => Machine { process: true, events: lives, ..lean },
        other => bail!("attach: no such level: {other}"),
    })
}

/// Why something of the level is not there.
fn shortcoming<'a>(programs: &'a Programs, machine: &Machine) -> Option<&'a String> {
    let wanted = [
        (machine.follows_threads, programs.threads.as_ref().err()),
        (machine.block != BlockMode::Off, programs.block.as_ref().err()),
        (machine.tcp, programs.tcp.as_ref().err()),
        (machine.process, programs.processes.as_ref().err()),
        (machine.events != EventPlan::default(), programs.events.as_ref().err()),
    ];
    wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).find_map(|(_, why)| why)
}

/// Until the ring fills up, or a tick is over.
fn wait(programs: &Programs) -> Result<()> {
    let mut rings: Vec<PollFd<'_>> = programs.events.iter().map(|ring| PollFd::new(ring, PollFlags::IN)).collect();
    poll(&mut rings, Some(&Timespec::try_from(TICK)?)).context("waiting")?;
    Ok(())
}

/// Takes the events that are there.
fn read(programs: &mut Programs) -> Result<()> {
    let Ok(ring) = &mut programs.events else { return Ok(()) };
    let events: Vec<Event> = ring.drain();
    std::hint::black_box(events);
    let lost = programs.times.losses().iter().any(|loss| loss.reason == Reason::RingFull && loss.count > 0);
    ensure!(!lost, "events were lost: what was measured is not the cost of all");
    Ok(())
}

/// As the agent describes it, for the level `lean`.
fn machine() -> Result<Machine> {
    let root = Path::new("/");
    let topology = topology::read(root).context("reading the CPUs")?;
    let mount = cgroupfs::mount(root).ok();
    let root_cgroup = mount.as_deref().and_then(process::root_cgroup).unwrap_or(process::ROOT_CGROUP);
    Ok(Machine {
        btf: root.join("sys/kernel/btf/vmlinux"),
        possible: topology.possible.iter().max().map_or(1, |last| last + 1),
        online: topology.cpus.keys().copied().collect(),
        root_cgroup,
        locked_down: lockdown::forbids_copies(root),
        time_runs: true,
        reorders: bpf::REORDERS,
        follows_threads: false,
        block: BlockMode::Off,
        requests: disks::requests(root),
        tcp: false,
        network: process::network(root),
        process: false,
        events: EventPlan::default(),
        spares: Spares::on(root),
        siblings: topology.siblings(),
        me: process::expected(root, mount.as_deref(), root_cgroup),
    })
}
