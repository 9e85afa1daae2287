//! Holds the kernel programs of one level attached until it is ended, for benches: the loader of the agent without the rest of it.
//!
//! `attach LEVEL` holds them; `attach LEVEL which` says the level that this build would load for it, and ends.
#![expect(clippy::disallowed_methods, reason = "it only waits to be ended")]

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use wattrace::probes::{
    bpf::{self, Machine, layout::Layouts},
    cgroupfs, lockdown, process, topology,
};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [level, "which"] => println!("{}", loaded(level)?),
        [level] => hold(level)?,
        other => bail!("attach: `attach LEVEL [which]`, and not {other:?}"),
    }
    Ok(())
}

/// The level that is loaded where `level` is asked for. The loader knows one so far: whoever gives [`Machine`] a level
/// answers with `level` here and sets it in [`machine`]. Benches say nothing of a level that another stands in for.
fn loaded(level: &str) -> Result<&'static str> {
    match level {
        "lean" | "full" => Ok("lean"),
        other => bail!("attach: no such level: {other}"),
    }
}

fn hold(level: &str) -> Result<()> {
    let machine = machine(level)?;
    let layouts = Layouts::load(&machine.btf).context("finding the kernel's fields")?;
    let _programs = bpf::load(&layouts, &machine)?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// As the agent describes it.
fn machine(level: &str) -> Result<Machine> {
    loaded(level)?;
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
        me: process::expected(root, mount.as_deref(), root_cgroup),
    })
}
