//! Cgroups that are born, work for some milliseconds and die, all the while, and what the kernel said of each at its
//! death.
//!
//! A few processes are handed on from cgroup to cgroup, each while it sleeps: so nothing of its work is billed to
//! where it was before, and none has to be started.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a load that cannot go on fails its test")]
#![expect(clippy::disallowed_methods, reason = "it makes load by the clock")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use wattrace::{probes::cgroupfs, units::Nanos};

use super::{patience, until_within};

/// Cgroups that die in a second, when the machine is quick enough.
pub const PER_SECOND: usize = 50;
const WORKERS: usize = 2;
/// A cgroup that has lived.
pub struct Lived {
    /// As the kernel names it.
    pub name: String,
    /// Its `cpu.stat` when it was empty for good.
    pub cpu: Nanos,
}

/// The threads that make them.
pub struct Churn {
    end: Arc<AtomicBool>,
    died: Arc<AtomicUsize>,
    allowed: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<Lived>>>,
    start: Instant,
}

impl Churn {
    /// Of each worker `command` is the program: it says `ready`, and from then on answers each line, once it has worked, with `done`.
    pub fn start(command: impl Fn() -> Command) -> Self {
        let (end, died) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let allowed = Arc::new(AtomicUsize::new(usize::MAX));
        let thread = |worker| {
            let (end, died, allowed) = (Arc::clone(&end), Arc::clone(&died), Arc::clone(&allowed));
            let program = command();
            std::thread::spawn(move || work(worker, program, &end, (&died, &allowed)))
        };
        let threads = (0..WORKERS).map(thread).collect();
        Self { end, died, allowed, threads, start: Instant::now() }
    }

    /// About so many more may die; then none is born until more are allowed. Without it there is no end.
    pub fn allow(&self, more: usize) {
        self.allowed.store(self.died.load(Ordering::Acquire) + more, Ordering::Release);
    }

    /// Waits until so many more have died.
    pub fn wait(&self, more: usize) {
        let wanted = self.died.load(Ordering::Acquire) + more;
        until_within(patience(180), "cgroups are born and die", || {
            assert!(self.threads.iter().all(|thread| !thread.is_finished()), "nobody makes cgroups any more");
            self.died.load(Ordering::Acquire) >= wanted
        });
    }

    /// All that have lived, once the last is gone.
    pub fn end(mut self) -> Vec<Lived> {
        self.end.store(true, Ordering::Release);
        let lived: Vec<Lived> = self.threads.drain(..).flat_map(|thread| thread.join().unwrap()).collect();
        let seconds = self.start.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "it is small")]
        let rate = lived.len() as f64 / seconds;
        println!("{} cgroups lived and died in {seconds:.0} s, {rate:.0} a second", lived.len());
        lived
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

fn work(
    worker: usize,
    program: Command,
    end: &AtomicBool,
    (died, allowed): (&AtomicUsize, &AtomicUsize),
) -> Vec<Lived> {
    let every = Duration::from_secs(1) * u32::try_from(WORKERS).unwrap() / u32::try_from(PER_SECOND).unwrap();
    let mut burner = Burner::start(program);
    let mut home = Home::new(worker, 0);
    burner.move_to(&home);
    let mut lived = Vec::new();
    let mut due = Instant::now();
    while !end.load(Ordering::Acquire) {
        if died.load(Ordering::Acquire) >= allowed.load(Ordering::Acquire) {
            std::thread::sleep(every);
            continue;
        }
        burner.turn();
        let next = Home::new(worker, lived.len() + 1);
        burner.move_to(&next);
        lived.push(std::mem::replace(&mut home, next).end());
        died.fetch_add(1, Ordering::Release);
        // What a busy machine made late is not caught up.
        due = (due + every).max(Instant::now());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    drop(burner);
    home.end();
    lived
}

/// A cgroup; removed when dropped.
struct Home {
    path: PathBuf,
    name: String,
}

impl Home {
    fn new(worker: usize, number: usize) -> Self {
        let name = format!("/wattrace-churn-{}-{worker}-{number}", std::process::id());
        let path = cgroupfs::mount(Path::new("/")).unwrap().join(&name[1..]);
        fs::create_dir(&path).unwrap();
        Self { path, name }
    }

    fn end(mut self) -> Lived {
        let stat = fs::read_to_string(self.path.join("cpu.stat")).unwrap();
        let used = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
        until_within(patience(60), "a cgroup is empty and can be removed", || fs::remove_dir(&self.path).is_ok());
        Lived { name: std::mem::take(&mut self.name), cpu: Nanos(used.parse::<u64>().unwrap() * 1_000) }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.path));
    }
}

/// The process that works.
struct Burner {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Burner {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut burner = Self { child, out };
        burner.hear("ready\n");
        burner.say();
        burner
    }

    fn move_to(&self, home: &Home) {
        fs::write(home.path.join("cgroup.procs"), self.child.id().to_string()).unwrap();
    }

    fn turn(&mut self) {
        self.say();
        self.hear("done\n");
    }

    fn say(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    fn hear(&mut self, wanted: &str) {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert_eq!(line, wanted);
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
