//! What the kernel says of the maps and programs that this process holds: `/proc/self/fdinfo`.
//!
//! It needs no right that the holder of a descriptor does not have; the system call that tells the same needs some.

use std::{fs, path::Path};

use crate::units::Bytes;

/// Kernel memory of all kernel maps and programs that this process holds, as the kernel accounts it. `None`: it holds
/// none, or the kernel does not say of each.
pub fn kernel_memory(root: &Path) -> Option<Bytes> {
    let entries = fs::read_dir(root.join("proc/self/fdinfo")).ok()?;
    // A descriptor that was closed meanwhile, such as the one of this very folder, is not there to be read.
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let sizes: Option<Vec<u64>> = texts.filter(|text| is_ours(text)).map(|text| memory_in(&text)).collect();
    let sizes = sizes.filter(|sizes| !sizes.is_empty())?;
    Some(Bytes(sizes.iter().fold(0, |sum, size| sum.saturating_add(*size))))
}

/// Kernel memory of the map behind a descriptor of this process.
pub fn memory_of(root: &Path, descriptor: i32) -> Option<Bytes> {
    let text = fs::read_to_string(root.join("proc/self/fdinfo").join(descriptor.to_string())).ok()?;
    memory_in(&text).map(Bytes)
}

/// Runs of the program behind a descriptor of this process that did not take place, since it was running on that CPU already.
/// `None`: the kernel does not say (before 5.12).
pub fn missed_by(root: &Path, descriptor: i32) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/self/fdinfo").join(descriptor.to_string())).ok()?;
    field(&text, "recursion_misses:")
}

/// Whether a descriptor is that of a map or a program.
fn is_ours(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("map_type:") || line.starts_with("prog_type:"))
}

fn memory_in(text: &str) -> Option<u64> {
    field(text, "memlock:")
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str =
        "pos:\t0\nflags:\t02000002\nmap_type:\t2\nkey_size:\t4\nmax_entries:\t1\nmemlock:\t4096\nmap_id:\t7\n";
    const PROGRAM: &str = "pos:\t0\nprog_type:\t26\nprog_jited:\t1\nmemlock:\t8192\nprog_id:\t9\nrun_cnt:\t0\n";

    fn told(texts: &[&str]) -> Option<Bytes> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/self/fdinfo");
        fs::create_dir_all(&folder).unwrap();
        for (number, text) in texts.iter().enumerate() {
            fs::write(folder.join(number.to_string()), text).unwrap();
        }
        kernel_memory(root.path())
    }

    #[test]
    fn maps_and_programs_are_added_and_nothing_else() {
        assert_eq!(
            told(&[MAP, "pos:\t0\nflags:\t02\n", PROGRAM, "link_type:\ttracing\nprog_id:\t9\n"]),
            Some(Bytes(12_288))
        );
    }

    #[test]
    fn runs_that_did_not_take_place_are_told() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/self/fdinfo");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("3"), format!("{PROGRAM}recursion_misses:\t12\nverified_insns:\t90\n")).unwrap();
        fs::write(folder.join("4"), PROGRAM).unwrap();
        assert_eq!([3, 4, 5].map(|descriptor| missed_by(root.path(), descriptor)), [Some(12), None, None]);
    }

    #[test]
    fn what_is_not_told_is_not_zero() {
        assert_eq!(told(&[MAP, "map_type:\t2\nmax_entries:\t1\n"]), None);
        assert_eq!(told(&["pos:\t0\n"]), None);
        assert_eq!(kernel_memory(Path::new("/nowhere")), None);
    }
}
