//! The kernel programs with block I/O, and what happened between two readings: the only file here that knows how the figures
//! are read.

use std::path::Path;

use wattrace::{
    probes::{
        bpf::{self, BlockMode, Machine, Programs, layout::Layouts},
        disks, fdinfo,
    },
    samples::{DeviceNumber, DiskDeviceReading, DiskReading, DiskTotals, DiskWorkReading},
};
use wattrace_common::{
    block::{DIRECTIONS, Direction},
    loss::{Program, Reason},
    owner::OwnerKey,
};

use crate::support::{BTF, machine};

/// Programs of this test's own.
pub struct Probe {
    programs: Programs,
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

    /// Reads as if none of these disks were there.
    pub fn read_without(&mut self, gone: &[DeviceNumber]) -> DiskReading {
        let programs = &mut self.programs;
        programs.block.as_mut().unwrap().read(&programs.times, |device| !gone.contains(&device))
    }

    /// Gives the rows of dead owners back.
    pub fn release(&mut self, is_dead: impl Fn(u64) -> bool) -> usize {
        self.programs.block.as_mut().unwrap().release(is_dead).len()
    }

    /// Runs that did not take place, by program, since it was running there; `None`: the kernel does not say.
    pub fn interrupted(&self) -> Vec<(&'static str, Option<u64>)> {
        let programs = self.programs.interruptible.iter();
        programs.map(|(name, descriptor)| (*name, fdinfo::missed_by(Path::new("/"), *descriptor))).collect()
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

/// What came between two readings.
pub fn since(now: &DiskTotals, before: &DiskTotals) -> DiskTotals {
    DiskTotals {
        operations: std::array::from_fn(|at| now.operations[at] - before.operations[at]),
        bytes: std::array::from_fn(|at| now.bytes[at] - before.bytes[at]),
        unmeasured: std::array::from_fn(|at| now.unmeasured[at] - before.unmeasured[at]),
        errors: std::array::from_fn(|at| now.errors[at] - before.errors[at]),
    }
}

pub fn device(reading: &DiskReading, number: DeviceNumber) -> DiskDeviceReading {
    reading.devices.iter().find(|device| device.device == Some(number)).cloned().unwrap_or_default()
}

/// Requests of a device whose duration is known, by direction, since an earlier reading.
pub fn timed(now: &DiskDeviceReading, before: &DiskDeviceReading) -> [u64; DIRECTIONS.len()] {
    let count = |device: &DiskDeviceReading, at: usize| device.durations[at].counts.iter().sum::<u64>();
    std::array::from_fn(|at| count(now, at) - count(before, at))
}

/// Seconds of requests of a device in one direction since an earlier reading.
pub fn seconds(now: &DiskDeviceReading, before: &DiskDeviceReading, direction: Direction) -> f64 {
    let sum = |device: &DiskDeviceReading| device.durations[direction as usize].sum;
    sum(now).saturating_sub(sum(before)).seconds()
}
