//! Loads of a disk: `disk FILE [STEP...]`. Steps are `read BYTES COUNT`, `write BYTES COUNT`, both past the cache and one
//! behind the other from the start of the file, `dirty BYTES` into the cache, `sync` what is there to the disk, `join CGROUP` to go on as a member of another.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
};

use anyhow::{Context, Result, bail};

/// What blocks of every disk can be read in, and where memory must begin for it.
const BLOCK: usize = 4096;

pub(super) fn load(file: &str, steps: &[&str]) -> Result<()> {
    let mut steps = steps.iter();
    let mut next = || steps.next().copied();
    while let Some(step) = next() {
        if step == "join" {
            super::join(next().context("join which?")?)?;
            continue;
        }
        let mut number = || -> Result<usize> { Ok(next().with_context(|| format!("{step}: how much?"))?.parse()?) };
        match step {
            "read" => read(file, number()?, number()?)?,
            "write" => write(file, number()?, number()?)?,
            "dirty" => dirty(file, number()?)?,
            "sync" => File::open(file)?.sync_all().context("sync")?,
            other => bail!("burn: no such step: {other}"),
        }
    }
    Ok(())
}

/// From the disk, not from memory: each read is waited for as I/O.
pub(super) fn read(file: &str, bytes: usize, count: usize) -> Result<()> {
    let mut file = direct(fs::OpenOptions::new().read(true), file)?;
    for_each_block(bytes, count, |at, memory| {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(memory).context("a direct read")
    })
}

fn write(file: &str, bytes: usize, count: usize) -> Result<()> {
    let mut file = direct(fs::OpenOptions::new().write(true), file)?;
    for_each_block(bytes, count, |at, memory| {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(memory).context("a direct write")
    })
}

fn dirty(file: &str, bytes: usize) -> Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(&vec![7; bytes]).context("a write")
}

fn direct(how: &mut fs::OpenOptions, file: &str) -> Result<File> {
    let flags = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    how.custom_flags(flags).open(file).context("opening past the cache")
}

/// Hands out memory that begins where disks want it.
fn for_each_block(bytes: usize, count: usize, mut each: impl FnMut(u64, &mut [u8]) -> Result<()>) -> Result<()> {
    let mut memory = vec![0; bytes + BLOCK];
    let begin = memory.as_ptr().align_offset(BLOCK);
    let aligned = memory.get_mut(begin..begin + bytes).context("no aligned memory")?;
    (0..count).try_for_each(|turn| each((turn * bytes) as u64, aligned))
}
