//! A machine with known prices, and the agent that measures it.

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_setaffinity},
};
use wattrace_tests::{
    receiver::{Fault, Receiver},
    simulator::{Parameter, Simulator, Truth},
};

use crate::{
    agent::{Agent, Place},
    outcome::Outcome,
    received::{self, Point},
    scaphandre::Scaphandre,
};

/// Physical packages of the machine.
pub const SOCKETS: u32 = 2;
/// µW of a busy CPU, by socket: they differ, or a mistaken socket would not be seen.
pub const BUSY_UW: [u32; 2] = [10_000_000, 25_000_000];
pub const DRAM_BUSY_UW: [u32; 2] = [1_500_000, 2_500_000];

/// A simulator, a receiver, and what the agent is to be told.
pub struct World {
    pub simulator: Simulator,
    pub receiver: Receiver,
    pub place: Place,
}

/// The agent measures; loads may start.
pub struct Measured {
    pub world: World,
    pub agent: Agent,
    scaphandre: Option<Scaphandre>,
    /// The truth just before and just after the agent's first reading.
    begin: [Truth; 2],
    /// What an earlier agent told, whose totals this one goes on with.
    told: Vec<Point>,
}

impl World {
    /// With nothing used at rest, so that all energy is somebody's. `None`: there is no simulator, and the test is
    /// reported as skipped.
    pub fn new() -> Option<Self> {
        let Some(simulator) = Simulator::loaded() else {
            println!("SKIPPED: the powercap simulator is not loaded: run `cargo xtask vm accuracy`");
            return None;
        };
        for (socket, (busy, dram)) in (0u32..).zip(BUSY_UW.into_iter().zip(DRAM_BUSY_UW)) {
            simulator.set(Parameter::BusyUw(socket, busy)).unwrap();
            simulator.set(Parameter::DramBusyUw(socket, dram)).unwrap();
        }
        let world = Self { simulator, receiver: Receiver::start(|_| Fault::None).unwrap(), place: Place::new() };
        world.rests_at([0; 2], [0; 2]);
        world.configure("idle_watts = 0");
        world.simulator.reset_truth().unwrap();
        Some(world)
    }

    /// The same, read through powercap, whose counters can wrap and fail, and go on while no agent runs.
    pub fn with_powercap() -> Option<Self> {
        let world = Self::new()?;
        world.configure("idle_watts = 0\nsource = \"powercap\"");
        Some(world)
    }

    /// What the operator told the agent of the machine's energy.
    pub fn configure(&self, energy: &str) {
        self.place.configure(&format!("[agent]\ninterval = \"1s\"\n[energy]\n{energy}\n"));
    }

    /// The simulator's power at rest by socket, in µW.
    pub fn rests_at(&self, packages: [u32; 2], memories: [u32; 2]) {
        for (socket, (package, memory)) in (0u32..).zip(packages.into_iter().zip(memories)) {
            self.simulator.set(Parameter::IdleUw(socket, package)).unwrap();
            self.simulator.set(Parameter::DramIdleUw(socket, memory)).unwrap();
        }
    }

    /// The agent, which sends to the receiver.
    pub fn start(&self, more: &[&str]) -> Agent {
        self.place.start(&[&["--endpoint", &self.receiver.endpoint()], more].concat())
    }

    /// Starts the agent. Loads are ready and in their cgroups by now.
    pub fn measure(self) -> Measured {
        self.measure_with(&[])
    }

    /// The same, with more arguments.
    pub fn measure_with(self, more: &[&str]) -> Measured {
        let told = received::points(&self.receiver);
        // Before the agent: what it takes to start is in no figure.
        let scaphandre = Scaphandre::start(&self.simulator);
        let before = self.simulator.truth().unwrap();
        let agent = self.start(more);
        let begin = [before, self.simulator.truth().unwrap()];
        Measured { world: self, agent, scaphandre, begin, told }
    }
}

impl Measured {
    /// Stops the agent. Loads are over by now.
    pub fn end(self) -> Outcome {
        let Self { world, agent, scaphandre, begin, told } = self;
        let before = world.simulator.truth().unwrap();
        agent.stop();
        let after = world.simulator.truth().unwrap();
        after.check().unwrap();
        assert_eq!(after.overflows, 0, "the simulator's table is full");
        let scaphandre = scaphandre.map(Scaphandre::end);
        Outcome::new(begin, [before, after], &told, &received::points(&world.receiver), scaphandre)
    }
}

/// Lets a process run on these CPUs alone.
pub fn pin(pid: u32, cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    sched_setaffinity(Pid::from_raw(pid.try_into().unwrap()), &set).unwrap();
}
