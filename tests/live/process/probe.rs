//! The kernel programs with processes: the only file here that knows how the figures are read.

use std::{collections::BTreeMap, path::Path};

use wattrace::{
    probes::bpf::{self, EventPlan, Machine, Programs, layout::Layouts},
    samples::{ActorReading, Event, Exec, ProcessTotals},
};
use wattrace_common::{
    events::ExitEvent,
    loss::{Program, Reason},
    process::ActorKey,
};

use crate::support::{BTF, Cgroup, machine};

/// Ends are told.
pub const EXITS: EventPlan = EventPlan { exec: false, args: false, exit: true, closed: false, rate: None };
/// Programs that are started are, without their arguments.
pub const EXECS: EventPlan = EventPlan { exec: true, exit: false, ..EXITS };

/// Programs of this test's own.
pub struct Probe {
    pub programs: Programs,
    exits: Vec<ExitEvent>,
    execs: Vec<Exec>,
}

impl Probe {
    pub fn start(events: EventPlan) -> Self {
        Self::with(events, false)
    }

    pub fn with(events: EventPlan, follows_threads: bool) -> Self {
        Self::on(Machine { events, follows_threads, ..machine() })
    }

    pub fn on(machine: Machine) -> Self {
        let events = machine.events;
        let machine = Machine { process: true, ..machine };
        let layouts = Layouts::load(Path::new(BTF)).unwrap();
        let programs = bpf::load(&layouts, &machine).map_err(|error| error.to_string()).unwrap();
        if let Err(reason) = &programs.processes {
            panic!("processes are not counted: {reason}");
        }
        assert_eq!(programs.events.is_ok(), events != EventPlan::default());
        Self { programs, exits: Vec::new(), execs: Vec::new() }
    }

    pub fn read(&mut self) -> BTreeMap<ActorKey, ActorReading> {
        let readings = self.programs.processes.as_mut().unwrap().read();
        readings.into_iter().map(|reading| (reading.key, reading)).collect()
    }

    /// The figures of one owner.
    pub fn actor(&mut self, key: ActorKey) -> ActorReading {
        self.read().remove(&key).unwrap_or_default()
    }

    pub fn of(&mut self, cgroup: &Cgroup) -> ProcessTotals {
        self.actor(ActorKey::cgroup(cgroup.id)).totals
    }

    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> Vec<ActorKey> {
        self.programs.processes.as_mut().unwrap().release(is_dead).into_iter().collect()
    }

    fn drain(&mut self) {
        let ring = self.programs.events.as_mut().unwrap();
        for event in ring.drain() {
            match event {
                Event::Exec(exec) => self.execs.push(exec),
                Event::Exit(exit) => self.exits.push(exit),
                Event::Closed(closed) => panic!("no connection was asked for: {closed:?}"),
            }
        }
        assert_eq!(ring.malformed(), 0);
    }

    /// All ends of a cgroup's processes that were told up to now.
    pub fn exits(&mut self, cgroup: &Cgroup) -> Vec<ExitEvent> {
        self.drain();
        self.exits.iter().filter(|exit| exit.head.key == cgroup.id).copied().collect()
    }

    /// Those of all owners.
    pub fn all_exits(&mut self) -> Vec<ExitEvent> {
        self.drain();
        self.exits.clone()
    }

    /// All programs that a cgroup's processes started.
    pub fn execs(&mut self, cgroup: &Cgroup) -> Vec<Exec> {
        self.drain();
        self.execs.iter().filter(|exec| exec.head.key == cgroup.id).cloned().collect()
    }

    /// Events of a cgroup that were not told.
    pub fn dropped(&mut self, cgroup: &Cgroup) -> u64 {
        self.actor(ActorKey::cgroup(cgroup.id)).dropped_events
    }

    /// Those of all.
    pub fn all_dropped(&mut self) -> u64 {
        self.read().values().map(|reading| reading.dropped_events).sum()
    }

    /// Processes that are gone, and the kernel programs did not see it. Notes of those that are there may be left: of all of
    /// this machine, ours or not.
    pub fn unseen(&mut self) -> u64 {
        let processes = self.programs.processes.as_mut().unwrap();
        for _ in 0..2 {
            processes.forget_gone(|tgid| Path::new(&format!("/proc/{tgid}")).exists());
        }
        processes.unseen()
    }

    /// Events and figures that were lost, of all programs that count processes.
    pub fn lost(&self, reason: Reason) -> u64 {
        let programs = [Program::ProcessFork, Program::ProcessExec, Program::ProcessExit];
        let all = self.programs.times.losses().into_iter();
        all.filter(|loss| programs.contains(&loss.program) && loss.reason == reason).map(|loss| loss.count).sum()
    }
}
