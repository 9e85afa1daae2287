//! `identify PID|CGROUP ID|PATH`: whose work something is, and which rule says so.
//!
//! It answers from `/proc` and the control group file system alone; a running agent is not asked.

mod report;

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use report::Report;

use crate::{
    identity::{PathIdentity, PathKind, Workload, unified_path},
    probes::{
        FileError,
        cgroupfs::{self, CgroupfsError, Finder, Mode},
        host::{self, HostIdError},
        parse::cgroup::{below, is_kernel_thread},
        sys::HandleError,
    },
};

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum IdentifyError {
    /// The argument is of no known form.
    #[error("{what:?} is no pid, cgroup id or path: write pid:N, cgroup:N, or a path that begins with /")]
    What {
        /// The argument.
        what: String,
    },
    /// No such process.
    #[error("there is no process {pid} in {}: it ended, or --root must name where the host's /proc is; cgroup:{pid} asks for a cgroup id", proc.display())]
    NoProcess {
        /// The process.
        pid: u32,
        /// Where it was looked for.
        proc: PathBuf,
    },
    /// The process is there and cannot be read.
    #[error("cannot read {}: {source}; run as root", path.display())]
    Process {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No such cgroup.
    #[error("no cgroup below {} has the id {id}: it was removed, or the id is of another host or hierarchy ({unread} directories could not be read)", mount.display())]
    NoCgroup {
        /// The id.
        id: u64,
        /// Where it was looked for.
        mount: PathBuf,
        /// Directories that could not be searched.
        unread: u64,
    },
    /// Ids cannot be looked up.
    #[error(transparent)]
    Cgroupfs(#[from] CgroupfsError),
    /// The mount cannot be opened.
    #[error(transparent)]
    Mount(#[from] FileError),
    /// Workloads have no key.
    #[error(transparent)]
    HostId(#[from] HostIdError),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Write(#[from] io::Error),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Pid(u32),
    Cgroup(u64),
    Path(PathBuf),
}

/// What was found out about a target.
struct Found {
    identity: PathIdentity,
    /// Path in the unified hierarchy, where there is one.
    path: Option<String>,
    /// Who is charged; `None`: several, and the note says whom.
    workload: Option<Workload>,
    notes: Vec<String>,
}

/// Tells whose work `what` is: a pid, a cgroup id or a path, on the host whose files are below `root`.
///
/// A number that is a living process is a pid; `pid:N` and `cgroup:N` leave no doubt. A path is one of the unified
/// hierarchy, or a directory of the mounted file system. `json` gives one object in one line, `null` for what is not
/// known.
pub fn run(what: &str, root: &Path, json: bool, out: &mut impl Write) -> Result<(), IdentifyError> {
    let (target, doubt) = target(what, root)?;
    let host_id = host::host_id(root)?.id;
    let mount = cgroupfs::mount(root);
    let mut found = match &target {
        Target::Pid(pid) => of_pid(*pid, root, &host_id)?,
        Target::Cgroup(id) => of_path(path_of_id(*id, &mount.clone()?)?, &host_id),
        Target::Path(path) => of_directory(path, root, mount.as_deref().ok(), &host_id),
    };
    found.notes.splice(0..0, doubt);
    let id = match (&target, &found.path, &mount) {
        (Target::Cgroup(id), _, _) => Some(*id),
        // A path that begins above our namespace's root is not below the mount.
        (_, Some(path), Ok(mount)) if !path.contains("/..") => cgroupfs::cgroup_id(&below(mount, Path::new(path))),
        _ => None,
    };
    let report = Report::new(&asked(&target), &found, id);
    let written = if json { report.write_json(out) } else { report.write_table(out) };
    Ok(written?)
}

/// What the argument means, and what else it might have meant.
fn target(what: &str, root: &Path) -> Result<(Target, Option<String>), IdentifyError> {
    let unclear = || IdentifyError::What { what: what.to_owned() };
    if what.starts_with('/') {
        return Ok((Target::Path(PathBuf::from(what)), None));
    }
    if let Some(pid) = what.strip_prefix("pid:") {
        return Ok((Target::Pid(pid.parse().map_err(|_| unclear())?), None));
    }
    if let Some(id) = what.strip_prefix("cgroup:") {
        return Ok((Target::Cgroup(id.parse().map_err(|_| unclear())?), None));
    }
    let number: u64 = what.parse().map_err(|_| unclear())?;
    match u32::try_from(number) {
        Ok(pid) if process(root, pid).is_dir() => {
            Ok((Target::Pid(pid), Some(format!("{pid} is a living process; cgroup:{pid} asks for a cgroup id"))))
        }
        _ => Ok((Target::Cgroup(number), Some(format!("{number} is no process, so it is taken for a cgroup id")))),
    }
}

fn asked(target: &Target) -> String {
    match target {
        Target::Pid(pid) => format!("pid {pid}"),
        Target::Cgroup(id) => format!("cgroup {id}"),
        Target::Path(path) => path.to_string_lossy().into_owned(),
    }
}

fn process(root: &Path, pid: u32) -> PathBuf {
    root.join("proc").join(pid.to_string())
}

fn of_pid(pid: u32, root: &Path, host_id: &str) -> Result<Found, IdentifyError> {
    let bytes = read_process(root, pid, "cgroup")?;
    let text = String::from_utf8_lossy(&bytes);
    let identity = PathIdentity::from_proc(&text);
    let path = unified_path(&text);
    let unified = path.map(PathIdentity::from_path).filter(|unified| !is_root(unified.kind));
    let mut notes = Vec::new();
    let workload = if let (Some(path), Some(unified)) = (path, unified) {
        if unified != identity {
            notes.push("a v1 hierarchy says more than the unified one, by whose path the work is booked".to_owned());
        }
        Workload::of(&unified, path, host_id)
    } else {
        notes.push("in the root of the unified hierarchy work is booked by the name of the process".to_owned());
        of_root(root, pid, host_id)?
    };
    Ok(Found { identity, path: path.map(str::to_owned), workload: Some(workload), notes })
}

const fn is_root(kind: PathKind) -> bool {
    matches!(kind, PathKind::KernelOrRoot | PathKind::RelativeRoot)
}

/// A process of the root cgroup goes by its name, a kernel thread with all others.
fn of_root(root: &Path, pid: u32, host_id: &str) -> Result<Workload, IdentifyError> {
    let stat = read_process(root, pid, "stat")?;
    if is_kernel_thread(&stat).unwrap_or(false) {
        return Ok(Workload::kernel(host_id));
    }
    let text = read_process(root, pid, "comm")?;
    let mut comm = [0; 16];
    comm.iter_mut().zip(text.strip_suffix(b"\n").unwrap_or(&text)).for_each(|(to, from)| *to = *from);
    Ok(Workload::process(host_id, &comm))
}

fn read_process(root: &Path, pid: u32, file: &str) -> Result<Vec<u8>, IdentifyError> {
    let path = process(root, pid).join(file);
    fs::read(&path).map_err(|source| match source.kind() {
        // ESRCH: it ended between opening and reading.
        _ if source.raw_os_error() == Some(libc::ESRCH) => IdentifyError::NoProcess { pid, proc: root.join("proc") },
        io::ErrorKind::NotFound => IdentifyError::NoProcess { pid, proc: root.join("proc") },
        _ => IdentifyError::Process { path, source },
    })
}

/// By the handle, which needs a right; else by a walk, which only needs time.
fn path_of_id(id: u64, mount: &Path) -> Result<String, IdentifyError> {
    let gone = |unread| IdentifyError::NoCgroup { id, mount: mount.to_owned(), unread };
    match Finder::open(mount)?.find(id) {
        Ok(path) => return Ok(path),
        Err(HandleError::Gone { .. }) => return Err(gone(0)),
        Err(_) => {}
    }
    let walk = cgroupfs::walk(mount);
    walk.found.into_iter().find(|(found, _)| *found == id).map(|(_, path)| path).ok_or_else(|| gone(walk.errors))
}

fn of_path(path: String, host_id: &str) -> Found {
    let identity = PathIdentity::from_path(&path);
    let mut notes = Vec::new();
    let workload = if is_root(identity.kind) {
        notes.push(
            "work of the root cgroup is booked by the name of each process, and to kernel; ask for a pid".to_owned(),
        );
        None
    } else {
        Some(Workload::of(&identity, &path, host_id))
    };
    Found { identity, path: Some(path), workload, notes }
}

fn of_directory(path: &Path, root: &Path, mount: Option<&Path>, host_id: &str) -> Found {
    if let Some(below) = mount.and_then(|mount| path.strip_prefix(mount).ok()) {
        return of_path(format!("/{}", below.to_string_lossy()), host_id);
    }
    let Some(v1) = v1_path(path, root) else {
        let mut found = of_path(path.to_string_lossy().into_owned(), host_id);
        if mount.is_none_or(|mount| cgroupfs::cgroup_id(&below(mount, path)).is_none()) {
            found.notes.push("there is no such cgroup now: this is what the path would mean".to_owned());
        }
        return found;
    };
    let note = "a directory of a v1 hierarchy: work is booked by the unified hierarchy's path, which may differ";
    let found = of_path(v1, host_id);
    Found { path: None, notes: vec![note.to_owned()], ..found }
}

/// The path in a v1 hierarchy of a directory of one: `sys/fs/cgroup/CONTROLLER/PATH`.
fn v1_path(path: &Path, root: &Path) -> Option<String> {
    let mut below = path.strip_prefix(root.join("sys/fs/cgroup")).ok()?.components();
    below.next()?;
    matches!(cgroupfs::mode(root), Mode::Hybrid | Mode::V1).then(|| format!("/{}", below.as_path().to_string_lossy()))
}

#[cfg(test)]
mod tests;
