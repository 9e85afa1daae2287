//! Direct reads from a loop device whose blocks are in memory: as fast as the block layer lets one.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};

use crate::shell;

/// Blocks of the device, 4 KiB each.
const BLOCKS: u32 = 16_384;

/// The device, until it is dropped.
pub(super) struct Disk {
    path: String,
    file: PathBuf,
}

impl Disk {
    pub(super) fn new() -> Result<Self> {
        let file = PathBuf::from(format!("/dev/shm/wattrace-bench-{}", std::process::id()));
        fs::write(&file, vec![1; BLOCKS as usize * 4096]).with_context(|| format!("writing {}", file.display()))?;
        let made = shell::output(shell::command("losetup").args(["--find", "--show"]).arg(&file));
        if made.is_err() {
            drop(fs::remove_file(&file));
        }
        Ok(Self { path: made?.trim().to_owned(), file })
    }

    /// Reads a second, in so many thousands of them.
    pub(super) fn rate(&self, thousands: u32) -> Result<f64> {
        let passes = (thousands * 1_000).div_ceil(BLOCKS);
        let (read, wall) = shell::timed(|| (0..passes).try_for_each(|_| self.read_all()));
        read?;
        Ok(f64::from(passes * BLOCKS) / wall.as_secs_f64())
    }

    fn read_all(&self) -> Result<()> {
        let from = format!("if={}", self.path);
        let mut dd = shell::command("dd");
        dd.args([from.as_str(), "of=/dev/null", "bs=4k", "iflag=direct", "status=none"]);
        shell::output(&mut dd).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        shell::quietly(shell::command("losetup").args(["--detach", &self.path]));
        drop(fs::remove_file(&self.file));
    }
}
