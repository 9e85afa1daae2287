//! What a process read from storage and had written there, as its end tells it.

use std::{fs, os::unix::fs::MetadataExt};

use wattrace_common::{events::UNKNOWN_BYTES, process::ExitReason};

use super::probe::{EXITS, Probe};
use crate::{
    support::{Cgroup, Load, live, until},
    threads::disk::{is_direct, whole_disk},
};

/// What the kernel's account of a process says.
fn bytes(account: &str, field: &str) -> u64 {
    account.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().parse().unwrap()
}

#[test]
fn an_end_tells_what_was_read_and_written_as_the_kernel_accounts_it() {
    const BLOCK: usize = 65_536;

    live!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocks");
    fs::write(&file, vec![1; 8 * BLOCK]).unwrap();
    rustix::fs::fsync(fs::File::open(&file).unwrap()).unwrap();
    let device = fs::metadata(&file).unwrap().dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    // Files in memory can be read as if past a cache, too.
    if whole_disk(&number).is_none() || !is_direct(&file) {
        return println!("SKIPPED: no file on a disk can be read past the cache here");
    }
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(EXITS);
    let [path, block] = [file.display().to_string(), BLOCK.to_string()];
    let steps = ["disk", &path, "read", &block, "8", "write", &block, "4"];
    let mut load = Load::born_in(&cgroup, &steps, &["stay"]);
    load.tell();
    assert_eq!(load.line(), "done\n");
    let account = fs::read_to_string(format!("/proc/{}/io", load.child.id())).ok();
    load.tell();
    load.wait();
    until("its end is told", || !probe.exits(&cgroup).is_empty());
    let [exit] = probe.exits(&cgroup)[..] else { panic!("it is one process") };
    assert_eq!((exit.who.tgid, exit.reason), (load.child.id(), ExitReason::Normal as u32));
    let Some(account) = account else {
        return assert_eq!((exit.read, exit.written), (UNKNOWN_BYTES, UNKNOWN_BYTES), "the kernel keeps no account");
    };
    let block = BLOCK as u64;
    let [read, written] = ["read_bytes:", "write_bytes:"].map(|field| bytes(&account, field));
    println!("read {} of {read}, written {} of {written}", exit.read, exit.written);
    assert!(read >= 8 * block && written >= 4 * block, "{account}");
    // To end, it may need pages of its program that were not in memory.
    assert!((read..=read + block).contains(&exit.read), "{} of {read}", exit.read);
    assert_eq!(exit.written, written);
}
