//! Direct reads from a loop device whose blocks are in memory: as fast as the block layer lets one.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use crate::{bench::turns::Load, shell};

/// Blocks of the device, 4 KiB each.
const BLOCKS: u32 = 16_384;

/// The device, until it is dropped.
pub(super) struct Disk {
    path: String,
    file: PathBuf,
    /// How often it is read.
    passes: u32,
}

impl Disk {
    /// One for loads of so many thousands of reads, at least.
    pub(super) fn new(thousands: u32) -> Result<Self> {
        let file = PathBuf::from(format!("/dev/shm/wattrace-bench-{}", std::process::id()));
        fs::write(&file, vec![1; BLOCKS as usize * 4096]).with_context(|| format!("writing {}", file.display()))?;
        let made = shell::output(shell::command("losetup").args(["--find", "--show"]).arg(&file));
        if made.is_err() {
            drop(fs::remove_file(&file));
        }
        Ok(Self { path: made?.trim().to_owned(), file, passes: (thousands * 1_000).div_ceil(BLOCKS) })
    }

    fn read_all(&self) -> Result<()> {
        let from = format!("if={}", self.path);
        let mut dd = shell::command("dd");
        dd.args([from.as_str(), "of=/dev/null", "bs=4k", "iflag=direct", "status=none"]);
        shell::output(&mut dd).map(drop)
    }
}

impl Load for Disk {
    fn operations(&self) -> u64 {
        u64::from(self.passes * BLOCKS)
    }

    fn run(&mut self) -> Result<()> {
        (0..self.passes).try_for_each(|_| self.read_all())
    }

    fn cpu(&self) -> Result<Option<Duration>> {
        // The device works in threads of the kernel.
        Ok(None)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        shell::quietly(shell::command("losetup").args(["--detach", &self.path]));
        drop(fs::remove_file(&self.file));
    }
}
