//! The load: many cgroups, few of which compute.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    bench::cgroup,
    shell::{self, Background},
};

/// Moves itself, then computes for about a millisecond, five times a second, and starts nothing.
const BUSY: &str = "echo $$ > \"$1/cgroup.procs\"; exec 3<> <(:); \
                    while :; do for ((i = 0; i < 400; i++)); do :; done; read -t 0.2 -u 3; done";
const QUIET: &str = "echo $$ > \"$1/cgroup.procs\"; exec sleep infinity";

/// Cgroups with a process each; gone when dropped.
pub(super) struct World {
    processes: Vec<Background>,
    cgroups: Vec<PathBuf>,
}

impl World {
    /// All run when this returns.
    pub(super) fn new(cgroups: u32, busy: u32) -> Result<Self> {
        let root = cgroup::mount()?.join("wattrace-bench-daemon");
        create(&root)?;
        let mut world = Self { processes: Vec::new(), cgroups: vec![root.clone()] };
        for number in 0..cgroups {
            let path = root.join(format!("workload-{number}"));
            create(&path)?;
            let script = if number < busy { BUSY } else { QUIET };
            world.processes.push(Background::start(shell::command("bash").args(["-c", script, "bash"]).arg(&path))?);
            world.cgroups.push(path);
        }
        Ok(world)
    }
}

fn create(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))
}

impl Drop for World {
    fn drop(&mut self) {
        self.processes.clear();
        // Nothing depends on it: the next run takes over what is left.
        self.cgroups.iter().rev().for_each(|path| drop(fs::remove_dir(path)));
    }
}
