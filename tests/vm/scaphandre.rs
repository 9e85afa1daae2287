//! Scaphandre under the same loads as the agent, where the guest has it.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs::{self, File},
    mem,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use tempfile::TempDir;
use wattrace_tests::{
    patience,
    scaphandre::Told,
    simulator::{Simulator, Socket},
};

use crate::support::Cgroup;

/// Set where the guest has it: the program.
const PROGRAM: &str = "WATTRACE_SCAPHANDRE";
const ZONES: &str = "/sys/class/powercap";
/// Seconds of a step: as long as an interval of the agent.
const STEP: &str = "1";

/// It measures, in a cgroup of its own.
pub struct Scaphandre {
    child: Child,
    folder: TempDir,
    simulator: Simulator,
    used: Vec<Used>,
    /// Removed once nobody is in it any more.
    _home: Cgroup,
}

/// What sockets used until an instant.
struct Used {
    /// Seconds since the epoch.
    at: f64,
    sockets: BTreeMap<u32, Socket>,
}

/// What it told.
pub struct Beside {
    pub told: Told,
    used: Vec<Used>,
    /// When loads were over.
    until: f64,
    /// How it ended, if it did so by itself, and what it said then.
    ended: Option<String>,
}

/// Whether the guest has it.
pub fn is_here() -> bool {
    env::var_os(PROGRAM).is_some()
}

impl Scaphandre {
    /// Measuring when this returns, unless it ended. `None`: the guest has no such program.
    pub fn start(simulator: &Simulator) -> Option<Self> {
        let program = env::var_os(PROGRAM)?;
        let (home, folder, simulator) = (Cgroup::new(), tempfile::tempdir().unwrap(), simulator.clone());
        let child = command(&program, folder.path()).spawn().unwrap();
        home.add(child.id());
        let mut scaphandre = Self { child, folder, simulator, used: Vec::new(), _home: home };
        // A block is written only when it is full, which takes a report.
        scaphandre.wait(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0));
        Some(scaphandre)
    }

    /// Ends it once it has told of everything until now.
    pub fn end(mut self) -> Beside {
        self.used.push(Used::now(&self.simulator));
        let until = now();
        self.wait(|path| told(path).span().is_some_and(|(_, last)| last >= until));
        let ended = self.child.try_wait().unwrap().map(|status| self.last_words(status));
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Beside { told: told(&reports(self.folder.path())), used: mem::take(&mut self.used), until, ended }
    }

    /// Waits for the file of its reports, as long as it runs and is not given up.
    fn wait(&mut self, is_enough: impl Fn(&Path) -> bool) {
        let (path, deadline) = (reports(self.folder.path()), Instant::now() + patience(10));
        loop {
            self.used.push(Used::now(&self.simulator));
            if is_enough(&path) || self.child.try_wait().unwrap().is_some() || Instant::now() > deadline {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn last_words(&self, status: ExitStatus) -> String {
        let said = fs::read_to_string(errors(self.folder.path())).unwrap_or_default();
        println!("Scaphandre: {status}: {said}");
        // A panic is told in two lines: where, then why.
        let panic = said.lines().skip_while(|line| !line.contains("panicked")).nth(1);
        panic.map_or_else(|| status.to_string(), |why| format!("{status}: it panicked, \"{why}\""))
    }
}

impl Drop for Scaphandre {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Used {
    fn now(simulator: &Simulator) -> Self {
        let sockets = simulator.truth().unwrap().sockets;
        Self { at: now(), sockets }
    }
}

impl Beside {
    /// What there is to know of it besides its figures of workloads.
    pub fn notes(&self) -> Vec<String> {
        let (host, processes) = (self.told.host(), self.told.processes());
        let used = self.used(|used| used.sockets.values().map(|socket| socket.total.package + socket.total.dram).sum());
        let mut notes = vec![format!("host: {host} µJ told, {processes} µJ of them for processes; {used}")];
        notes.extend(self.told.sockets().into_iter().map(|(id, told)| {
            let used = self.used(|used| used.sockets.get(&id).map_or(0, |socket| socket.total.package));
            format!("package-{id}: {told} µJ told; {used}")
        }));
        let last = self.told.span().map(|(_, last)| last);
        if last.is_none_or(|last| last < self.until) {
            let early = last.map_or_else(|| "there are none".to_owned(), |last| format!("{:.1} s", self.until - last));
            notes.push(format!("its reports end before the loads did: {early}"));
        }
        notes.extend(self.ended.iter().map(|ended| format!("it ended by itself, {ended}")));
        println!("Scaphandre: {notes:#?}");
        notes
    }

    /// What was used from its first report to its last, in words. The truth was read around both, but for a last one that was
    /// not awaited.
    fn used(&self, energy: impl Fn(&Used) -> u128) -> String {
        let before = |at| self.used.iter().rev().find(|used| used.at <= at).map(&energy);
        let after = |at| self.used.iter().find(|used| used.at >= at).map(&energy);
        let bounds = |(first, last)| {
            Some((before(last)?.saturating_sub(after(first)?), after(last)?.saturating_sub(before(first)?)))
        };
        let bounds = self.told.span().filter(|(_, last)| *last >= self.until).and_then(bounds);
        let microjoules = |femtojoules: u128| femtojoules / 1_000_000_000;
        bounds.map_or_else(
            || "what was used meanwhile is not known".to_owned(),
            |(least, most)| format!("{} to {} µJ were used", microjoules(least), microjoules(most)),
        )
    }
}

/// All processes, every step; reports go to a file. It gets the zones without the platform's, which it would take for the
/// host's whole energy: with it memory counts twice or not at all, and whatever else the platform has is billed to processes.
fn command(program: &OsStr, folder: &Path) -> Command {
    let zones = folder.join("zones");
    fs::create_dir(&zones).unwrap();
    for zone in fs::read_dir(ZONES).unwrap().map(|entry| entry.unwrap()) {
        let name = fs::read_to_string(zone.path().join("name")).unwrap_or_default();
        if name.trim() != "psys" {
            symlink(zone.path(), zones.join(zone.file_name())).unwrap();
        }
    }
    let mut command = Command::new(program);
    command.env("SCAPHANDRE_POWERCAP_PATH", zones).args(["--no-header", "--vm", "json", "--step", STEP]);
    command.args(["--max-top-consumers", "65535", "--file"]).arg(reports(folder));
    command
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(errors(folder)).unwrap());
    command
}

fn reports(folder: &Path) -> PathBuf {
    folder.join("reports.json")
}

fn errors(folder: &Path) -> PathBuf {
    folder.join("errors")
}

fn told(path: &Path) -> Told {
    Told::read(&fs::read(path).unwrap_or_default())
}

/// Seconds since the epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}
