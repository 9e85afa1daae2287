//! Processes that begin, start a program and end, one after the other, by the workspace's own `lives`.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    bench::{cgroup::Cgroup, turns::Load},
    shell::{self, Told},
};

/// A process that starts others, until it is dropped.
pub(super) struct Lives {
    starter: Told,
    processes: u32,
    // After the process that is in it.
    cgroup: Cgroup,
}

impl Lives {
    /// One that starts so many at each run.
    pub(super) fn new(processes: u32) -> Result<Self> {
        let cgroup = Cgroup::new("wattrace-bench")?;
        let home = format!("in={}", cgroup.path().display());
        let mut command = shell::command(shell::built("release", "lives"));
        let mut starter = Told::start(command.args([&home, "storm", &processes.to_string()]))?;
        let answer = starter.answer()?;
        ensure!(answer.starts_with("ready"), "`lives` says {answer:?}");
        Ok(Self { starter, processes, cgroup })
    }
}

impl Load for Lives {
    fn operations(&self) -> u64 {
        u64::from(self.processes)
    }

    fn run(&mut self) -> Result<()> {
        self.starter.tell("go")?;
        let answer = self.starter.answer()?;
        ensure!(answer == "done", "`lives` says {answer:?}");
        Ok(())
    }

    fn cpu(&self) -> Result<Option<Duration>> {
        self.cgroup.cpu().map(Some)
    }
}
