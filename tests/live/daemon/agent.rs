//! A daemon under test.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use wattrace_tests::{patience, until_within};

use crate::support::until;

/// A folder for its state, and its configuration.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.configure("[agent]\ninterval = \"1s\"\n");
        place
    }

    pub fn configure(&self, text: &str) {
        fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("wattrace.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn state_file(&self) -> PathBuf {
        self.state().join("state.json")
    }

    /// The monotonic clock at the last save.
    pub fn saved_at(&self) -> Option<u64> {
        let state: Value = serde_json::from_slice(&fs::read(self.state_file()).ok()?).ok()?;
        state["at"]["monotonic"].as_u64()
    }

    /// Waits for so many more intervals to be on disk.
    pub fn until_saved(&self, times: usize) {
        for _ in 0..times {
            let before = self.saved_at();
            until("another interval is on disk", || self.saved_at().is_some_and(|at| Some(at) != before));
        }
    }

    /// Not yet started. The environment is empty: its variables would configure the agent.
    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(wattrace_tests::program());
        command.env_clear().arg("run").arg("--config").arg(self.config());
        if !more.contains(&"--state-dir") {
            command.arg("--state-dir").arg(self.state());
        }
        command.args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Measuring when this returns, started by somebody else than root and without kernel programs.
    pub fn start_as(&self, uid: u32, every: &str) -> Agent {
        wait_for_the_host();
        let rights = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions(self.folder.path(), rights(0o777)).unwrap();
        let agent = Agent::of(self.command(&["--no-bpf"]).uid(uid).gid(uid).spawn().unwrap());
        agent.until_said(&format!("measuring every {every}"));
        agent
    }

    /// Measuring when this returns.
    pub fn start(&self, more: &[&str]) -> Agent {
        wait_for_the_host();
        let agent = Agent::of(self.command(more).spawn().unwrap());
        agent.until_said("measuring every 1s");
        agent
    }
}

/// Waits until no other agent runs: one that somebody else started here may take its time.
pub fn wait_for_the_host() {
    let name = SocketAddr::from_abstract_name("wattrace-agent").unwrap();
    let deadline = Instant::now() + patience(60);
    while UnixListener::bind_addr(&name).is_err() {
        assert!(Instant::now() < deadline, "another agent runs on this host and does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A daemon; killed when dropped.
pub struct Agent {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Agent {
    pub fn of(mut child: Child) -> Self {
        let said = Arc::new(Mutex::new(String::new()));
        let (heard, stderr) = (Arc::clone(&said), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                println!("agent: {line}");
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, said }
    }

    /// One whose standard error nobody reads.
    pub fn unheard(child: Child) -> Self {
        Self { child, said: Arc::default() }
    }

    /// Standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn until_said(&self, text: &str) {
        until_within(patience(60), &format!("the agent says {text:?}"), || self.said().contains(text));
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// How it ended, within `within` from now.
    pub fn end(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end within {within:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM; it must exit with 0.
    pub fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.end(patience(10));
        assert!(status.success(), "{status:?}: {}", self.said());
        self.said()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a command that must fail says.
pub fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
