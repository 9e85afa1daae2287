//! Parsers for what the kernel says of control groups.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::{ParseError, digits, text};
use crate::units::{MicroCpus, Nanos};

/// Which control group interface a mount is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// The unified hierarchy.
    V2,
}

/// One control group file system of `/proc/PID/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupMount {
    /// Which interface.
    pub version: Version,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The directory of the hierarchy that is mounted there: `/` is all of it, as seen from our namespace.
    pub root: PathBuf,
}

impl CgroupMount {
    /// Whether the mount shows our namespace's root or one above it, as opposed to a part of the tree.
    pub fn is_whole(&self) -> bool {
        self.root
            .components()
            .all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::ParentDir))
    }
}

/// The control group file systems of `/proc/PID/mountinfo`, in its order. Lines of another form are no mounts.
pub fn cgroup_mounts(bytes: &[u8]) -> Vec<CgroupMount> {
    bytes.split(|byte| *byte == b'\n').filter_map(cgroup_mount).collect()
}

/// Fields as `proc_pid_mountinfo(5)` has them: id, parent, device, root, mount point, options, tags, `-`, type.
fn cgroup_mount(line: &[u8]) -> Option<CgroupMount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    let version = match fields.skip_while(|field| *field != b"-").nth(1)? {
        b"cgroup2" => Version::V2,
        b"cgroup" => Version::V1,
        _ => return None,
    };
    Some(CgroupMount { version, point: unescaped(point), root: unescaped(root) })
}

/// Undoes `\NNN`, octal, by which the kernel writes blanks and backslashes.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { rest.get(4..).unwrap_or_default() } else { tail };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// CPU time of a cgroup and all below it, from `cpu.stat`.
pub fn cpu_usage(bytes: &[u8]) -> Result<Nanos, ParseError> {
    const EXPECTED: &str = "a line `usage_usec N`";
    let value = text(bytes, EXPECTED)?.lines().find_map(|line| line.strip_prefix("usage_usec "));
    let micros = value.and_then(digits).and_then(|micros| micros.checked_mul(1_000));
    micros.map(Nanos).ok_or_else(|| ParseError::new(EXPECTED, bytes))
}

/// How many CPUs a cgroup and all below it may use, from `cpu.max`: quota by period, both in microseconds; `None` for
/// `max`.
pub fn cpu_max(bytes: &[u8]) -> Result<Option<MicroCpus>, ParseError> {
    const EXPECTED: &str = "`QUOTA PERIOD` in microseconds, or `max PERIOD`";
    let malformed = || ParseError::new(EXPECTED, bytes);
    let mut words = text(bytes, EXPECTED)?.split_ascii_whitespace();
    let (Some(quota), Some(period), None) = (words.next(), words.next(), words.next()) else { return Err(malformed()) };
    let period = digits(period).filter(|period| *period > 0).ok_or_else(malformed)?;
    if quota == "max" {
        return Ok(None);
    }
    let cpus = u128::from(digits(quota).ok_or_else(malformed)?) * 1_000_000 / u128::from(period);
    Ok(Some(MicroCpus(u64::try_from(cpus).unwrap_or(u64::MAX))))
}

/// Whether the list in `cgroup.controllers` has the one for CPUs: without it no cgroup has a `cpu.max`.
pub fn has_cpu_controller(bytes: &[u8]) -> Result<bool, ParseError> {
    Ok(text(bytes, "a list of controllers")?.split_ascii_whitespace().any(|name| name == "cpu"))
}

/// Whether the list in `cgroup.subtree_control` has the io controller: the cgroups right below have accounts of their own.
pub fn enables_io(bytes: &[u8]) -> Result<bool, ParseError> {
    Ok(text(bytes, "a list of controllers")?.split_ascii_whitespace().any(|name| name == "io"))
}

/// Whether there are cgroups below, from `cgroup.stat`.
pub fn has_descendants(bytes: &[u8]) -> Result<bool, ParseError> {
    const EXPECTED: &str = "a line `nr_descendants N`";
    let value = text(bytes, EXPECTED)?.lines().find_map(|line| line.strip_prefix("nr_descendants "));
    value.and_then(digits).map(|count| count > 0).ok_or_else(|| ParseError::new(EXPECTED, bytes))
}

/// Whether `/proc/PID/stat` is that of a kernel thread: `PF_KTHREAD` (0x00200000, `linux/sched.h`) in its flags.
pub fn is_kernel_thread(bytes: &[u8]) -> Result<bool, ParseError> {
    const EXPECTED: &str = "`PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS`";
    // The name may hold anything, blanks and brackets too: what follows its last bracket is numbers.
    let end = bytes.iter().rposition(|byte| *byte == b')').map_or(0, |at| at + 1);
    let after = text(bytes.get(end..).unwrap_or_default(), EXPECTED)?;
    let flags = after.split_ascii_whitespace().nth(6).and_then(digits);
    flags.map(|flags| flags & 0x0020_0000 != 0).ok_or_else(|| ParseError::new(EXPECTED, bytes))
}

/// A path below `root`, for a path that is absolute on the host.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOUNTS: &[u8] = b"\
23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 /../.. /host/a\\040b\\134 rw,relatime - cgroup2 cgroup2 rw
42 31 0:38 /system.slice /part rw - cgroup2 none rw
43 31 0:39 / /sys - sysfs sysfs rw
broken line
";

    #[test]
    fn mounts_of_both_kinds_are_found() {
        let mounts = cgroup_mounts(MOUNTS);
        let points: Vec<_> = mounts.iter().map(|m| (m.version, m.point.to_str().unwrap(), m.is_whole())).collect();
        let expected = [
            (Version::V1, "/sys/fs/cgroup/cpu,cpuacct", true),
            (Version::V2, "/host/a b\\", true),
            (Version::V2, "/part", false),
        ];
        assert_eq!(points, expected);
    }

    #[test]
    fn cpu_usage_is_its_own_line() {
        assert_eq!(cpu_usage(b"usage_usec 12\nuser_usec 5\n"), Ok(Nanos(12_000)));
        assert_eq!(cpu_usage(b"nr_periods 1\nusage_usec 0\n"), Ok(Nanos(0)));
        for bad in [&b""[..], b"user_usec 5\n", b"usage_usec -1\n", b"usage_usec 18446744073709551615\n", b"\xff"] {
            assert!(cpu_usage(bad).is_err());
        }
    }

    #[test]
    fn a_quota_is_a_number_of_cpus() {
        for (text, expected) in [
            ("max 100000\n", None),
            ("100000 100000\n", Some(1_000_000)),
            ("50000 100000\n", Some(500_000)),
            ("1000 1000000\n", Some(1_000)),
            ("1 3", Some(333_333)),
            ("18446744073709551615 1", Some(u64::MAX)),
        ] {
            assert_eq!(cpu_max(text.as_bytes()), Ok(expected.map(MicroCpus)), "{text}");
        }
        for bad in ["", "max", "100000", "100000 0", "max 0", "-1 100000", "1 2 3", "1.5 100000", "max max", "a b"] {
            assert!(cpu_max(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(cpu_max(b"\xff 1").is_err());
    }

    #[test]
    fn the_controller_is_a_word_of_its_own() {
        let has = |text: &str| has_cpu_controller(text.as_bytes());
        assert_eq!([has("cpuset cpu io memory\n"), has("cpuset io\n"), has("")], [Ok(true), Ok(false), Ok(false)]);
        assert!(has_cpu_controller(b"\xff").is_err());
    }

    #[test]
    fn for_whom_a_cgroup_stands_is_told_by_two_files() {
        let enables = |text: &str| enables_io(text.as_bytes());
        assert_eq!(
            [
                enables(
                    "cpu io memory
"
                ),
                enables(
                    "cpu pio
"
                ),
                enables("\n")
            ],
            [Ok(true), Ok(false), Ok(false)]
        );
        assert_eq!(has_descendants(b"nr_descendants 2\nnr_dying_descendants 0\n"), Ok(true));
        assert_eq!(has_descendants(b"nr_descendants 0\nnr_dying_descendants 7\n"), Ok(false));
        for bad in [&b""[..], b"nr_dying_descendants 7\n", b"nr_descendants x\n", b"\xff"] {
            assert!(has_descendants(bad).is_err());
        }
        assert!(enables_io(b"\xff").is_err());
    }

    #[test]
    fn kernel_threads_are_told_by_their_flags() {
        assert_eq!(is_kernel_thread(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0"), Ok(true));
        assert_eq!(is_kernel_thread(b"7 (a) S 0) R 1 7 7 0 -1 4194560 1 0"), Ok(false));
        for bad in [&b""[..], b"7 (x", b"7 (x) R 1 7 7 0 -1"] {
            assert!(is_kernel_thread(bad).is_err());
        }
    }

    #[test]
    fn paths_are_put_below_the_root() {
        assert_eq!(below(Path::new("/host"), Path::new("/a/b")), Path::new("/host/a/b"));
        assert_eq!(below(Path::new("/"), Path::new("/a")), Path::new("/a"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop((cgroup_mounts(&bytes), cpu_usage(&bytes), is_kernel_thread(&bytes)));
            drop((cpu_max(&bytes), has_cpu_controller(&bytes), enables_io(&bytes), has_descendants(&bytes)));
        }
    }
}
