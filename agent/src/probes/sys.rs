//! System calls that no safe wrapper offers.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    ptr,
};

use crate::units::Nanos;

/// Why a cgroup id has no path.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// It was removed, or never was (`ESTALE`).
    #[error("no cgroup has the id {id}: it was removed, or the id is of another hierarchy")]
    Gone {
        /// The id.
        id: u64,
    },
    /// The right is missing (`EPERM`).
    #[error("the right to open cgroups by their id is missing: grant CAP_DAC_READ_SEARCH")]
    Denied,
    /// The descriptor is of another file system.
    #[error("the descriptor is not of a cgroup2 file system: open the place where one is mounted")]
    NotCgroup2,
    /// It exists above or beside what is mounted.
    #[error("cgroup {id} lies outside the mounted part of the hierarchy: mount the host's whole cgroup2 tree")]
    Outside {
        /// The id.
        id: u64,
    },
    /// The kernel refused for another reason.
    #[error("cgroup {id} cannot be opened by its id: {source}; kernels before 5.5 do not offer it")]
    Failed {
        /// The id.
        id: u64,
        /// Why.
        source: io::Error,
    },
}

/// A `struct file_handle` of kernfs: eight bytes of content, the node's id.
#[repr(C)]
struct KernfsHandle {
    bytes: u32,
    kind: i32,
    id: u64,
}

/// `FILEID_KERNFS` of `linux/exportfs.h`.
const FILEID_KERNFS: i32 = 0xfe;

/// The path, from the root of the mounted hierarchy, of the cgroup `id`; `mount` is open for reading somewhere in it.
///
/// The path is the kernel's own word (`/proc/self/fd` of this process), so it needs no root argument.
pub fn open_by_handle_at(mount: BorrowedFd<'_>, id: u64) -> Result<PathBuf, HandleError> {
    let failed = |error: rustix::io::Errno| HandleError::Failed { id, source: error.into() };
    if rustix::fs::fstatfs(mount).map_err(failed)?.f_type != libc::CGROUP2_SUPER_MAGIC {
        return Err(HandleError::NotCgroup2);
    }
    let cgroup = open_handle(mount, id)?;
    let top = link(mount).map_err(failed)?;
    let path = link(cgroup.as_fd()).map_err(failed)?;
    let below = path.strip_prefix(&top).map_err(|_| HandleError::Outside { id })?;
    // Removed in between, the link ends in " (deleted)"; so may a living directory's name. Its inode does not lie.
    match rustix::fs::stat(&path) {
        Ok(found) if found.st_ino == id => Ok(Path::new("/").join(below)),
        _ => Err(HandleError::Gone { id }),
    }
}

fn open_handle(mount: BorrowedFd<'_>, id: u64) -> Result<OwnedFd, HandleError> {
    let mut handle = KernfsHandle { bytes: 8, kind: FILEID_KERNFS, id };
    let pointer = (&raw mut handle).cast::<libc::file_handle>();
    #[expect(unsafe_code, reason = "no safe wrapper of open_by_handle_at exists")]
    // SAFETY: `pointer` is to a live handle whose `bytes` tell how many follow its head, all within `handle`.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), pointer, libc::O_PATH | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(refused(id, io::Error::last_os_error()));
    }
    #[expect(unsafe_code, reason = "the call above returns a raw descriptor")]
    // SAFETY: the kernel just gave us `fd`, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn refused(id: u64, source: io::Error) -> HandleError {
    match source.raw_os_error() {
        Some(libc::ESTALE) => HandleError::Gone { id },
        Some(libc::EPERM | libc::EACCES) => HandleError::Denied,
        _ => HandleError::Failed { id, source },
    }
}

/// What the kernel calls an open file.
fn link(fd: BorrowedFd<'_>) -> rustix::io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let link = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(link.into_bytes())))
}

/// The first version of `struct perf_event_attr` of `linux/perf_event.h`, which every kernel takes: later members are 0.
#[repr(C)]
#[derive(Default)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

/// `PERF_ATTR_SIZE_VER0`
const ATTR_BYTES: u32 = 64;
const _: () = assert!(size_of::<PerfEventAttr>() == ATTR_BYTES as usize);
/// `PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_GROUP`: a read tells how long the events were counting, and all of a group.
const READ_FORMAT: u64 = 1 << 1 | 1 << 3;
/// `PERF_FLAG_FD_CLOEXEC`
const CLOEXEC: libc::c_ulong = 1 << 3;

/// Opens a counting event of the PMU number `kind` on a CPU, for all that happens there; in the group of `leader`, an event
/// of the same CPU, or as the leader of a new one.
pub fn perf_event_open(kind: u32, config: u64, cpu: u32, leader: Option<&OwnedFd>) -> io::Result<OwnedFd> {
    let mut attr =
        PerfEventAttr { kind, size: ATTR_BYTES, config, read_format: READ_FORMAT, ..PerfEventAttr::default() };
    let cpu = libc::c_int::try_from(cpu).map_err(|_| rustix::io::Errno::INVAL)?;
    let everybody: libc::pid_t = -1;
    let group: libc::c_int = leader.map_or(-1, AsRawFd::as_raw_fd);
    let pointer = ptr::from_mut(&mut attr);
    #[expect(unsafe_code, reason = "no safe wrapper of perf_event_open exists")]
    // SAFETY: `pointer` is to a live `perf_event_attr` whose `size` tells its length; the kernel may write its `size` and no more.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, pointer, everybody, cpu, group, CLOEXEC) };
    let fd = libc::c_int::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    #[expect(unsafe_code, reason = "the call above returns a raw descriptor")]
    // SAFETY: the kernel just gave us `fd`, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the events of a group counted, in the order in which they joined, and for how many nanoseconds they were counting.
pub type GroupCounts = (Vec<u64>, u64);

/// Reads a group of [`perf_event_open`] by its leader, all at one instant; `None`: it is in a state from which it does not
/// return. `events` is how many it has.
pub fn perf_group_read(leader: &OwnedFd, events: usize) -> io::Result<Option<GroupCounts>> {
    let mut bytes = vec![0; 8 * (2 + events)];
    let read = rustix::io::read(leader, &mut bytes)?;
    let words = bytes.get(..read).unwrap_or_default().chunks_exact(8);
    let mut words = words.filter_map(|word| word.try_into().map(u64::from_ne_bytes).ok());
    let head = words.next().zip(words.next());
    let counts: Vec<u64> = words.collect();
    Ok(head.filter(|_| counts.len() == events).map(|(_, running)| (counts, running)))
}

/// On-CPU time of all threads of a process so far, those that ended included, to the nanosecond; the pid is of this process's
/// own namespace.
pub fn process_cpu(pid: u32) -> io::Result<Nanos> {
    // A clock of a process: its pid inverted, then three bits that ask for the scheduler's account of all threads.
    let inverted = !libc::clockid_t::try_from(pid).map_err(|_| rustix::io::Errno::INVAL)?;
    let clock = inverted << 3 | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let pointer = ptr::from_mut(&mut time);
    #[expect(unsafe_code, reason = "no safe wrapper takes the clock of another process")]
    // SAFETY: `pointer` is to a live `timespec`, which is all that the kernel writes.
    let result = unsafe { libc::clock_gettime(clock, pointer) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let part = |count: i64| u64::try_from(count).unwrap_or(0);
    Ok(Nanos(part(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(time.tv_nsec))))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::probes::cgroupfs;

    #[test]
    fn errors_say_what_happened() {
        let of = |code| refused(7, io::Error::from_raw_os_error(code));
        assert!(matches!(of(libc::ESTALE), HandleError::Gone { id: 7 }));
        assert!(matches!(of(libc::EPERM), HandleError::Denied));
        assert!(matches!(of(libc::EOPNOTSUPP), HandleError::Failed { id: 7, .. }));
    }

    #[test]
    fn a_group_of_events_of_a_cpu_counts_and_runs() {
        // PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK
        let leader = match perf_event_open(1, 0, 0, None) {
            Ok(event) => event,
            Err(error) => return println!("skipped: {error}"),
        };
        let _second = perf_event_open(1, 0, 0, Some(&leader)).expect("another event");
        let read = || perf_group_read(&leader, 2).expect("counts").expect("a living group");
        let (before, after) = (read(), read());
        assert!(after.1 > before.1 && (0..2).all(|at| after.0[at] > before.0[at]), "{before:?} {after:?}");
        let error = perf_event_open(u32::MAX - 1, 0, 0, None).expect_err("no such PMU");
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{error}");
    }

    #[test]
    fn the_clock_of_a_process_is_that_of_the_process() {
        let me = std::process::id();
        let before = crate::clock::own_cpu();
        let told = process_cpu(me).expect("this process");
        assert!(before <= told && told <= crate::clock::own_cpu(), "{before:?} {told:?}");
        assert!(process_cpu(u32::MAX >> 4).is_err(), "no such process");
    }

    #[test]
    fn other_file_systems_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = File::open(directory.path()).expect("an open directory");
        assert!(matches!(open_by_handle_at(open.as_fd(), 1), Err(HandleError::NotCgroup2)));
    }

    #[test]
    fn a_living_cgroup_is_found_by_its_id_and_a_dead_one_is_gone() {
        let Ok(mount) = cgroupfs::mount(Path::new("/")) else {
            println!("skipped: no cgroup2 file system is mounted");
            return;
        };
        let name = format!("wattrace-handle-{}", std::process::id());
        let directory = mount.join(&name);
        if let Err(error) = std::fs::create_dir(&directory) {
            println!("skipped: no cgroup can be made: {error}");
            return;
        }
        let id = cgroupfs::cgroup_id(&directory).expect("a directory");
        let open = File::open(&mount).expect("an open mount");
        let alive = open_by_handle_at(open.as_fd(), id);
        std::fs::remove_dir(&directory).expect("an empty cgroup");
        if matches!(alive, Err(HandleError::Denied)) {
            println!("skipped: CAP_DAC_READ_SEARCH is missing");
            return;
        }
        assert_eq!(alive.expect("a path"), Path::new("/").join(name));
        assert!(matches!(open_by_handle_at(open.as_fd(), id), Err(HandleError::Gone { .. })));
        let root = cgroupfs::cgroup_id(&mount).expect("a directory");
        assert_eq!(open_by_handle_at(open.as_fd(), root).expect("a path"), Path::new("/"));
    }
}
