//! Block I/O on disks that the host's kernel has not: made up by drivers for tests, mapped, and with file systems that know
//! which cgroup dirtied a page. Debian's full kernels have the drivers; the scenarios are in `tests/disks`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    kernels::{self, Flavour, Kernel},
    live::Choice,
    machine::{Boot, Machine},
    modules,
    programs::Programs,
};
use crate::{
    report::Report,
    shell::{self, say},
};

/// In the order of loading; what they need comes before them by itself. The sums over file systems' blocks are asked for by
/// name only, and what a kernel has built in or lost is left out.
const MODULES: [&str; 16] = [
    "crc32c_generic",
    "crc32c_cryptoapi",
    "crc32c_intel",
    "virtio_pci",
    "virtio_blk",
    "null_blk",
    "scsi_debug",
    "sd_mod",
    "dm_mod",
    "dm_delay",
    "dm_flakey",
    "loop",
    "ext4",
    "blake2b_generic",
    "btrfs",
    "xfs",
];

/// A file system, what makes it, and the size of its disk in MiB: the least that it takes.
const FILE_SYSTEMS: [(&str, &[&str], u64); 3] = [
    ("ext4", &["mkfs.ext4", "-q", "-F"], 256),
    ("xfs", &["mkfs.xfs", "-q", "-f"], 320),
    ("btrfs", &["mkfs.btrfs", "-q", "-f"], 256),
];

/// Programs of the guest besides those of the live tests.
const TOOLS: [&str; 2] = ["dmsetup", "blkdiscard"];

/// One part of the report per kernel.
pub(super) fn run(report: &mut Report, series: &[String], choice: &Choice<'_>) {
    let programs = match Programs::build("disks") {
        Ok(programs) => programs,
        Err(error) => return report.check("vm disks", || Err(error)),
    };
    let on = |kernel: Result<Kernel>| {
        let kernel = kernel?;
        let folder = shell::target().join("vm").join(&kernel.series).join("disks");
        let mut files = programs.files()?;
        TOOLS.iter().try_for_each(|tool| files.tool(tool))?;
        let modules = modules::with_needs(&kernel, &MODULES, &folder.join("modules"))?;
        let machine = Machine { modules, disks: disks(&folder)?, ..Machine::default() };
        let boot = Boot {
            kernel: &kernel,
            machine: &machine,
            files,
            command: programs.command(choice.arguments)?,
            environment: programs.environment(choice.long)?,
            deadline: choice.deadline,
        };
        Ok(boot.run()?.outcome)
    };
    let fetched = series.iter().map(|series| (format!("vm {series} disks"), kernels::fetch(series, Flavour::Full)));
    report.tests_side_by_side(fetched.map(|(name, kernel)| (name, || on(kernel))).collect());
}

/// An image with each file system; its disk is named after it. A file system that cannot be made here has none, and its
/// scenario says so.
fn disks(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut disks = Vec::new();
    for (name, make, size) in FILE_SYSTEMS {
        let image = folder.join(name);
        fs::remove_file(&image).ok();
        let file = fs::File::create(&image).with_context(|| format!("cannot write {}", image.display()))?;
        file.set_len(size << 20)?;
        let Some((program, arguments)) = make.split_first().filter(|(program, _)| shell::has_program(program)) else {
            say(format_args!("vm: no disk with {name}: its mkfs is not here; run `cargo xtask setup --vm`"));
            continue;
        };
        let mut command: Command = shell::command(program);
        shell::run(command.args(arguments).arg(&image))?;
        disks.push((name.to_owned(), image));
    }
    Ok(disks)
}
