//! What live tests share: cgroups of their own, loads in them, and the truth to compare with.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use wattrace::{
    attribution::ledger::Account,
    identity::Kind,
    pipeline::{Interval, Options, Pipeline},
    probes::{
        bpf::{BlockMode, EventPlan, Machine, Me, REORDERS, Spares},
        cgroupfs, procfs,
    },
    units::Nanos,
};
use wattrace_tests::{patience, until_within};

/// Whether live tests can run here; says why not.
pub fn possible() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "live tests need root"
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        "live tests need a kernel with BTF"
    } else if cgroupfs::mount(Path::new("/")).is_err() {
        "live tests need a cgroup2 mount"
    } else {
        return true;
    };
    println!("SKIPPED: {reason}");
    false
}

/// Ends a test that cannot run here.
macro_rules! live {
    () => {
        if !crate::support::possible() {
            return;
        }
    };
}
pub(crate) use live;

/// A cgroup of the test's own; removed when dropped.
pub struct Cgroup {
    pub path: PathBuf,
    /// As the kernel names it.
    pub name: String,
    pub id: u64,
}

impl Cgroup {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("/wattrace-test-{}-{number}", std::process::id()))
    }

    /// One below it.
    pub fn below(&self, name: &str) -> Self {
        Self::named(format!("{}/{name}", self.name))
    }

    fn named(name: String) -> Self {
        let path = cgroupfs::mount(Path::new("/")).unwrap().join(&name[1..]);
        fs::create_dir(&path).unwrap();
        let id = fs::metadata(&path).unwrap().ino();
        Self { path, name, id }
    }

    /// The kernel's own count of CPU time.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(self.path.join("cpu.stat")).unwrap();
        let line = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
        Duration::from_micros(line.parse().unwrap())
    }

    pub fn add(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// Waits until nobody is left, then removes it.
    pub fn remove(&self) {
        until("the cgroup is empty and can be removed", || fs::remove_dir(&self.path).is_ok());
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.path));
    }
}

/// A load that waits for its start. What it costs to get ready is over when it is there.
pub struct Load {
    pub child: Child,
    out: BufReader<ChildStdout>,
}

impl Load {
    /// Its command line ends with the cgroup's name.
    pub fn in_cgroup(cgroup: &Cgroup, load: &[&str]) -> Self {
        let ready = Self::new(&[load, &[format!("of={}", cgroup.name).as_str()]].concat());
        cgroup.add(ready.child.id());
        ready
    }

    /// In the cgroup before it says `ready`, so that nothing of it is booked elsewhere. `how` are options of the load, `pin=0`.
    pub fn born_in(cgroup: &Cgroup, load: &[&str], how: &[&str]) -> Self {
        let home = format!("in={}", cgroup.path.display());
        let label = format!("of={}", cgroup.name);
        Self::new(&[load, &[home.as_str()], how, &[label.as_str()]].concat())
    }

    pub fn new(load: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_burn"));
        let mut child = command.args(load).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut load = Self { child, out };
        assert_eq!(load.line(), "ready\n");
        // What it still does to get ready would be billed where it is moved to.
        let stat = format!("/proc/{}/stat", load.child.id());
        until("the load waits", || fs::read_to_string(&stat).unwrap().contains(") S "));
        load
    }

    pub fn go(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    /// Goes on, and can be told more later.
    pub fn tell(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Waits for a line that the load prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    pub fn wait(&mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The types of this kernel.
pub const BTF: &str = "/sys/kernel/btf/vmlinux";

/// CPUs that are online: they are numbered from 0 here.
pub fn cpus() -> u32 {
    procfs::cpu_times(Path::new("/"), procfs::user_hz()).unwrap().last().unwrap().cpu + 1
}

/// This machine for kernel programs that count on-CPU time alone.
pub fn machine() -> Machine {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap();
    let possible = possible.trim().rsplit(['-', ',']).next().unwrap().parse::<u32>().unwrap() + 1;
    Machine {
        btf: BTF.into(),
        possible,
        online: (0..cpus()).collect(),
        root_cgroup: fs::metadata(cgroupfs::mount(Path::new("/")).unwrap()).unwrap().ino(),
        locked_down: false,
        time_runs: false,
        reorders: REORDERS,
        follows_threads: false,
        block: BlockMode::Off,
        requests: 0,
        tcp: false,
        network: 0,
        process: false,
        events: EventPlan::default(),
        spares: Spares::on(Path::new("/")),
        siblings: BTreeMap::new(),
        me: Me { cgroup: None, tgid: Some(std::process::id()) },
    }
}

/// Waits for a condition, with a deadline.
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    until_within(patience(10), what, condition);
}

pub fn pipeline() -> Pipeline {
    let options = Options { kernel_programs: true, ..Options::default() };
    let pipeline = Pipeline::start(Path::new("/"), &options).unwrap();
    if let wattrace::pipeline::sources::Sched::Files(files) = &pipeline.sources.sched {
        panic!("kernel programs are off: {}", files.reason);
    }
    pipeline
}

/// Without kernel programs.
pub fn pipeline_of_files() -> Pipeline {
    Pipeline::start(Path::new("/"), &Options::default()).unwrap()
}

/// Lets the pipeline go on for so long.
pub fn run_for(pipeline: &mut Pipeline, span: Duration) {
    let deadline = wattrace::clock::monotonic() + Nanos::from(span);
    pipeline.run_until(deadline).unwrap();
}

/// Goes on until the loads are done.
pub fn run_while(pipeline: &mut Pipeline, loads: &mut [&mut Load]) {
    let deadline = Instant::now() + patience(120);
    while loads.iter_mut().any(|load| load.child.try_wait().unwrap().is_none()) {
        assert!(Instant::now() < deadline, "a load never ends");
        run_for(pipeline, Duration::from_millis(50));
    }
    for load in loads {
        load.wait();
    }
}

/// The account of a cgroup, by its path.
pub fn account<'a>(pipeline: &'a Pipeline, name: &str) -> &'a Account {
    let found =
        pipeline.ledger.accounts().find(|account| account.cgroup.as_ref().is_some_and(|cgroup| cgroup.path == name));
    found.unwrap_or_else(|| panic!("no account for {name}: {:#?}", pipeline.ledger.accounts().collect::<Vec<_>>()))
}

/// Our figure against the kernel's: 1 %, and what the hypervisor took.
pub fn assert_agrees(what: &str, ours: Nanos, truth: Duration, steal: Nanos) {
    let (ours, truth) = (ours.seconds(), truth.as_secs_f64());
    let error = (ours - truth).abs();
    println!("{what}: {ours:.6} s, cpu.stat {truth:.6} s, {:+.3} %", 100.0 * (ours - truth) / truth);
    assert!(error <= truth * 0.01 + steal.seconds(), "{what}: ours {ours} s, truth {truth} s");
}

/// Time the hypervisor took so far, all CPUs.
pub fn steal() -> Nanos {
    procfs::cpu_times(Path::new("/"), procfs::user_hz()).unwrap().iter().map(|cpu| cpu.steal).sum()
}

/// Nanoseconds by which the entries of one reading may lie apart; on a nearly idle machine a thousandth is less.
const READER_SKEW: u64 = 200_000;

/// What holds after every load: books closed, nearly nothing without an owner, nothing lost.
pub fn assert_sound(pipeline: &Pipeline, interval: &Interval) {
    assert!(pipeline.ledger.closes());
    let billed: Nanos = pipeline.ledger.accounts().map(|account| account.cpu).sum();
    let busy = interval.usage.busy_total().max(billed).0;
    let nobody = pipeline.ledger.accounts().find(|account| account.workload.kind == Kind::Unattributed).unwrap();
    println!("unattributed {} ns of {busy} ns busy", nobody.cpu.0);
    assert!(nobody.cpu.0 <= busy / 1000 + READER_SKEW, "unattributed {} of {busy}", nobody.cpu.0);
    let lost: Vec<_> = pipeline.losses().into_iter().filter(|loss| loss.count > 0 && loss.loses).collect();
    assert!(lost.is_empty(), "{lost:?}");
}
