//! Holds the kernel programs of one level attached until it is ended, for benches: the loader of the agent without the rest of it.
//!
//! `attach LEVEL`, which is `lean`, `full`, or lean with block I/O: `block-total`, `block-device`.
#![expect(clippy::disallowed_methods, reason = "it only waits to be ended")]

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use wattrace::probes::{
    bpf::{self, BlockMode, EventPlan, Machine, layout::Layouts},
    cgroupfs, disks, lockdown, process, topology,
};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["lean"] => hold(false, BlockMode::Off),
        ["full"] => hold(true, BlockMode::Off),
        ["block-total"] => hold(false, BlockMode::Total),
        ["block-device"] => hold(false, BlockMode::Device),
        other => bail!("attach: no such level: {other:?}"),
    }
}

fn hold(follows_threads: bool, block: BlockMode) -> Result<()> {
    let machine = machine(follows_threads, block)?;
    let layouts = Layouts::load(&machine.btf).context("finding the kernel's fields")?;
    let programs = bpf::load(&layouts, &machine)?;
    if let (true, Err(why)) = (follows_threads, &programs.threads) {
        bail!("{why}");
    }
    if let (true, Err(why)) = (block != BlockMode::Off, &programs.block) {
        bail!("{why}");
    }
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// As the agent describes it.
fn machine(follows_threads: bool, block: BlockMode) -> Result<Machine> {
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
        follows_threads,
        block,
        requests: disks::requests(root),
        tcp: false,
        network: 0,
        process: false,
        events: EventPlan::default(),
        siblings: topology.siblings(),
        me: process::expected(root, mount.as_deref(), root_cgroup),
    })
}
