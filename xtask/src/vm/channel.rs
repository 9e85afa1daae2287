//! What a guest says on its second serial port: lines of its tests, files, and how its command ended.

use std::{
    collections::BTreeMap,
    io::{BufRead, Read},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, ensure};

/// How lines of the guest's first program start.
const MARK: &str = "wattrace-vm ";
/// Longer files are not taken.
const LARGEST: u64 = 64 << 20;

/// Everything a guest said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Lines of its command.
    pub(super) output: String,
    /// Files it left in `/vm/out`, by name.
    pub(super) records: BTreeMap<String, Vec<u8>>,
    /// Exit code of its command; nothing when the guest ended, or was ended, before.
    pub(super) exit: Option<i32>,
}

/// Reads until the guest says that it is done, or is gone. `booted` becomes true when its first program runs.
pub(super) fn read(from: &mut impl BufRead, booted: &AtomicBool, mut show: impl FnMut(&str)) -> Result<Said> {
    let mut said = Said::default();
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes).into_owned();
        bytes.clear();
        match line.strip_prefix(MARK).map(|rest| rest.trim_end().splitn(3, ' ').collect::<Vec<_>>()).as_deref() {
            Some(["boot", release]) => {
                booted.store(true, Ordering::SeqCst);
                show(&format!("Linux {release}"));
            }
            Some(["exit", code]) => {
                said.exit = code.parse().ok();
                return Ok(said);
            }
            Some(["record", size, name]) => {
                said.records.insert((*name).to_owned(), record(from, size.parse()?, name)?);
            }
            _ => {
                if !line.trim_end().is_empty() {
                    show(line.trim_end());
                }
                said.output.push_str(&line);
            }
        }
    }
    Ok(said)
}

fn record(from: &mut impl BufRead, size: u64, name: &str) -> Result<Vec<u8>> {
    ensure!(size <= LARGEST, "the guest's file {name} has {size} bytes, {LARGEST} is the most");
    let mut bytes = Vec::new();
    from.take(size).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 == size, "the guest ended within its file {name}");
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(bytes: &[u8]) -> (Result<Said>, bool, Vec<String>) {
        let (booted, mut shown) = (AtomicBool::new(false), Vec::new());
        let said = read(&mut &*bytes, &booted, |line| shown.push(line.to_owned()));
        (said, booted.into_inner(), shown)
    }

    #[test]
    fn lines_files_and_the_end_are_told_apart() {
        let bytes = b"wattrace-vm boot 6.12\nrunning 1 test\ntest a ... \nwattrace-vm record 4 a b.json\n\n\xff{}\n\
            wattrace-vm exit 101\nnever read\n";
        let (said, booted, shown) = heard(bytes);
        let said = said.unwrap();
        assert!(booted);
        assert_eq!(said.output, "running 1 test\ntest a ... \n\n");
        assert_eq!(said.records["a b.json"], b"\n\xff{}");
        assert_eq!(said.exit, Some(101));
        assert_eq!(shown, ["Linux 6.12", "running 1 test", "test a ..."]);
    }

    #[test]
    fn a_guest_that_ends_early_has_no_exit_code() {
        let (said, booted, _) = heard(b"garbage\nwattrace-vm exit");
        assert_eq!((said.unwrap().exit, booted), (None, false));
        assert!(heard(b"wattrace-vm record 10 a\nabc").0.is_err());
        assert!(heard(b"wattrace-vm record 99999999999 a\nabc").0.is_err());
    }
}
