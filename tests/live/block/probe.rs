//! The kernel programs with block I/O, and what happened between two readings: the only file here that knows how the figures
//! are read.

use std::path::Path;

use wattrace::{
    clock,
    probes::{
        bpf::{self, BlockMode, Machine, Programs, layout::Layouts},
        disks,
    },
    samples::{DeviceNumber, DiskDeviceReading, DiskReading, DiskWorkReading},
};
use wattrace_common::{
    block::{DIRECTIONS, Direction, Failure, OwnerKey},
    loss::{Program, Reason},
};

use crate::support::{BTF, machine};

/// Programs of this test's own.
pub struct Probe {
    programs: Programs,
}

/// Requests of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub operations: u64,
    pub bytes: u64,
    pub unmeasured: u64,
}

impl Probe {
    pub fn start(mode: BlockMode) -> Self {
        let machine = Machine { block: mode, requests: disks::requests(Path::new("/")), ..machine() };
        let layouts = Layouts::load(Path::new(BTF)).unwrap();
        let programs = bpf::load(&layouts, &machine).map_err(|error| error.to_string()).unwrap();
        if let Err(reason) = &programs.block {
            panic!("block I/O is not counted: {reason}");
        }
        assert_eq!(programs.owners, Ok(()), "requests name their cgroups");
        Self { programs }
    }

    pub fn read(&mut self) -> DiskReading {
        let programs = &mut self.programs;
        let block = programs.block.as_mut().unwrap();
        block.read(&programs.times, |device| disks::is_there(Path::new("/"), device))
    }

    /// Gives the rows of dead owners back.
    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> usize {
        self.programs.block.as_mut().unwrap().release(is_dead).len()
    }

    pub fn lost(&self, reason: Reason) -> u64 {
        let all = self.programs.times.losses().into_iter();
        let ours = all.filter(|loss| {
            matches!(loss.program, Program::BlockComplete | Program::BlockIssue | Program::BlockRequeue)
                && loss.reason == reason
        });
        ours.map(|loss| loss.count).sum()
    }
}

/// What an owner did.
pub fn work(reading: &DiskReading, owner: OwnerKey) -> DiskWorkReading {
    reading.work.iter().find(|work| work.owner == owner).cloned().unwrap_or_default()
}

/// What everybody did, in one direction.
pub fn all(reading: &DiskReading, direction: Direction) -> Sum {
    reading.work.iter().map(|work| sum(work, direction)).fold(Sum::default(), |sum, one| Sum {
        operations: sum.operations + one.operations,
        bytes: sum.bytes + one.bytes,
        unmeasured: sum.unmeasured + one.unmeasured,
    })
}

pub fn sum(work: &DiskWorkReading, direction: Direction) -> Sum {
    let at = direction as usize;
    let totals = &work.totals;
    Sum { operations: totals.operations[at], bytes: totals.bytes[at], unmeasured: totals.unmeasured[at] }
}

pub fn since(now: Sum, before: Sum) -> Sum {
    Sum {
        operations: now.operations - before.operations,
        bytes: now.bytes - before.bytes,
        unmeasured: now.unmeasured - before.unmeasured,
    }
}

pub fn device(reading: &DiskReading, number: DeviceNumber) -> DiskDeviceReading {
    reading.devices.iter().find(|device| device.device == Some(number)).cloned().unwrap_or_default()
}

/// Requests of a device whose duration is known, by direction.
pub fn counts(device: &DiskDeviceReading) -> [u64; DIRECTIONS.len()] {
    std::array::from_fn(|at| device.durations[at].counts.iter().sum())
}

pub fn errors(work: &DiskWorkReading, failure: Failure) -> u64 {
    work.totals.errors[failure as usize]
}

/// Now, for deadlines.
pub fn monotonic() -> u64 {
    clock::monotonic().0
}
