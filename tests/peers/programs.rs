//! Programs that a test runs: found, started, waited for, ended.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal};
use serde_json::Value as Json;
use wattrace::probes::cgroupfs;

/// A program of others: from the tools' folder, else none, and the test is skipped.
pub(super) fn peer(name: &str) -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/wattrace-tools"));
    let tools = std::env::var_os("WATTRACE_TOOLS").map(PathBuf::from).or_else(home)?;
    let program = tools.join("bin").join(name);
    if program.is_file() {
        return Some(program);
    }
    let go = Command::new("go").arg("version").output().is_ok() || Path::new("/usr/local/go/bin/go").is_file();
    let missing = if go { name } else { "go" };
    println!("SKIPPED: missing tool: {missing}; run `cargo xtask setup --peers`");
    None
}

/// Whether the agent can measure CPU time of cgroups here; says why not.
pub(super) fn can_measure() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "the agent needs root for intervals of a second"
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        "the agent needs a kernel with BTF"
    } else if cgroupfs::mount(Path::new("/")).is_err() {
        "the test needs a cgroup2 mount for a workload of its own"
    } else {
        return true;
    };
    println!("SKIPPED: {reason}");
    false
}

/// A program that runs until the test ends it, or ends.
pub(super) struct Running {
    pub(super) child: Child,
    /// What it says.
    log: PathBuf,
}

impl Running {
    /// Starts it; what it says goes to a file, and is shown when the test fails.
    pub(super) fn start(command: &mut Command, log: &Path) -> Self {
        let file = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let both = (file.try_clone().unwrap(), file);
        let child = command.stdin(Stdio::null()).stdout(both.0).stderr(both.1).spawn().unwrap();
        Self { child, log: log.to_owned() }
    }

    /// SIGTERM, and waits for its end. Whether it succeeded.
    pub(super) fn stop(&mut self) -> bool {
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut status = None;
        until("it ends on SIGTERM", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.is_some_and(|status| status.success())
    }

    /// SIGKILL, and waits for its end.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("{}:\n{}", self.log.display(), self.said());
        }
    }
}

/// The agent on this machine, once it measures. A second one on the same host refuses to start: it waits for its turn.
pub(super) fn agent(args: &[&str], folder: &Path) -> Running {
    let log = folder.join("agent.log");
    let mut command = Command::new(wattrace_tests::program());
    command.args(["run", "--interval", "1s", "--location", "FR", "--state-dir"]).arg(folder.join("state")).args(args);
    // Settings of whoever runs the tests are not the test's.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_")) {
        command.env_remove(name);
    }
    let mut agent = Running::start(&mut command, &log);
    until("the agent measures", || {
        if agent.said().contains("measuring every") {
            return true;
        }
        if !agent.is_running() {
            assert!(agent.said().contains("another wattrace runs"), "the agent ended: {}", agent.said());
            fs::remove_file(&log).unwrap();
            pause();
            agent = Running::start(&mut command, &log);
        }
        false
    });
    agent
}

/// A cgroup in which a load runs.
pub(super) struct Workload {
    path: PathBuf,
    /// As the kernel names it.
    pub(super) name: String,
    child: Child,
}

impl Workload {
    /// Starts to spin.
    pub(super) fn spin(seconds: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("/wattrace-peers-{}-{number}", std::process::id());
        let path = cgroupfs::mount(Path::new("/")).unwrap().join(&name[1..]);
        fs::create_dir(&path).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_burn"));
        let mut child = command.args(["spin", seconds]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        fs::write(path.join("cgroup.procs"), child.id().to_string()).unwrap();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        Self { path, name, child }
    }

    /// Waits for its end, and removes the cgroup.
    pub(super) fn end(mut self) {
        assert!(self.child.wait().unwrap().success());
        until("the cgroup is empty and can be removed", || fs::remove_dir(&self.path).is_ok());
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir(&self.path));
    }
}

/// Waits for a condition, a minute at most.
pub(super) fn until(what: &str, condition: impl FnMut() -> bool) {
    wattrace_tests::until_within(Duration::from_secs(60), what, condition);
}

fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// A port of loopback that nobody has now.
pub(super) fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Whether somebody listens.
pub(super) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// The JSON that a GET answers with; `None` without one.
pub(super) fn get(address: SocketAddr, path: &str) -> Option<Json> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // 1.0, so that the answer is not in pieces and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}
