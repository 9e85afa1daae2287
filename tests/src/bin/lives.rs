//! Processes that begin and end in known ways, for tests to count: it says what became of each by `wait4`.
//!
//! `in=CGROUP WHAT...` goes into the cgroup, says `ready` and the nanoseconds it ran before and after that, and waits for a line on
//! standard input. Then it does `mix COUNT`, `shapes COUNT NAME...`, `reuse`, `storm COUNT`, `many COUNT MILLIS PROGRAM ARGUMENTS...`,
//! `kept COUNT` or `sibling`, says `done`, and the same again for each further line. `kept` has its processes of several threads
//! when it first says `done`, and ends them after one more line. Of each child it says `PID STATUS MICROSECONDS NAME`. `now SHAPE`
//! is such a child.
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "one SAFETY holds for each")]
#![expect(unsafe_code, reason = "forks, waits and ends of single threads, for which there is no library")]
#![expect(clippy::disallowed_methods, reason = "it is a load, not the agent")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["now", shape @ ..] => child(shape),
        [home, what @ ..] => parent(home.strip_prefix("in=").context("in=CGROUP comes first")?, what),
        [] => bail!("see the documentation"),
    }
}

fn parent(home: &str, what: &[&str]) -> Result<()> {
    let before = ran(ClockId::ProcessCPUTime).as_nanos();
    fs::write(format!("{home}/cgroup.procs"), "0").with_context(|| home.to_owned())?;
    println!("ready {before} {}", ran(ClockId::ProcessCPUTime).as_nanos());
    while line()? {
        match what {
            ["mix", count] => mix(count.parse()?)?,
            ["shapes", count, names @ ..] => shapes(count.parse()?, names)?,
            ["reuse"] => reuse()?,
            ["kept", count] => kept(count.parse()?)?,
            ["sibling"] => sibling()?,
            ["storm", count] => storm(count.parse()?)?,
            ["many", count, millis, program, args @ ..] => many(count.parse()?, millis.parse()?, program, args)?,
            other => bail!("no such load: {other:?}"),
        }
        println!("done");
    }
    Ok(())
}

/// Whether there is one more line on standard input.
fn line() -> Result<bool> {
    io::stdout().flush()?;
    Ok(io::stdin().read_line(&mut String::new())? > 0)
}

fn ran(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

fn spin(millis: u64) {
    let until = ran(ClockId::ThreadCPUTime) + Duration::from_millis(millis);
    while ran(ClockId::ThreadCPUTime) < until {}
}

/// Ends this thread alone.
fn end_thread(status: i32) -> ! {
    // SAFETY: no memory is shared that this thread would have to give back.
    unsafe { libc::syscall(libc::SYS_exit, status) };
    unreachable!()
}

/// Ends the process without any more ado.
fn end(status: i32) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(status) }
}

fn end_by(signal: i32) -> ! {
    // SAFETY: no preconditions. No core is written, and no program started for it.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

fn forked(child: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child();
        end(0);
    }
    pid
}

/// Waits for a child; its id, status, and microseconds on the CPU.
fn wait() -> Option<(i32, i32, i64)> {
    let mut status = 0;
    // SAFETY: both are written to.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(-1, &raw mut status, 0, &raw mut usage), usage)
    };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    (pid > 0).then(|| (pid, status, micros(usage.ru_utime) + micros(usage.ru_stime)))
}

/// Says what became of all children.
fn reap(names: &BTreeMap<i32, &str>) {
    while let Some((pid, status, micros)) = wait() {
        println!("{pid} {status} {micros} {}", names.get(&pid).unwrap_or(&"?"));
    }
}

const ENDS: [&str; 4] = ["normal", "error", "kill", "segv"];

fn end_as(name: &str) -> ! {
    match name {
        "normal" => end(0),
        "error" => end(3),
        "kill" => end_by(libc::SIGKILL),
        _ => end_by(libc::SIGSEGV),
    }
}

/// All kinds of ends in turn, fifty at a time. Every fifth is another program before; every tenth works for a while. The first
/// two live longer than a second.
fn mix(count: usize) -> Result<()> {
    let me = std::env::current_exe()?;
    let ends: Vec<(usize, &str)> = (0..count).zip(ENDS.into_iter().cycle()).collect();
    for batch in ends.chunks(50) {
        let mut names = BTreeMap::new();
        for (number, name) in batch {
            let pid = forked(|| {
                if *number < 2 {
                    thread::sleep(Duration::from_millis(1_100));
                }
                if number % 10 == 0 {
                    spin(3);
                }
                if number % 5 == 0 {
                    drop(Command::new(&me).args(["now", "end", name]).exec());
                    end(99);
                }
                end_as(name);
            });
            names.insert(pid, *name);
        }
        reap(&names);
    }
    Ok(())
}

/// So many of each shape, all of them at the same time.
fn shapes<'a>(count: usize, shapes: &[&'a str]) -> Result<()> {
    let me = std::env::current_exe()?;
    let mut names: BTreeMap<i32, &'a str> = BTreeMap::new();
    for shape in shapes.iter().flat_map(|shape| std::iter::repeat_n(*shape, count)) {
        let pid = forked(|| {
            drop(Command::new(&me).args(["now", shape]).exec());
            end(99);
        });
        names.insert(pid, shape);
    }
    reap(&names);
    Ok(())
}

/// Processes that have eight threads before they are told to end. Every other is killed; the rest make one more thread first.
fn kept(count: usize) -> Result<()> {
    let me = std::env::current_exe()?;
    let mut names = BTreeMap::new();
    for name in ["killed", "told"].into_iter().cycle().take(count) {
        let mut child = Command::new(&me).args(["now", "kept"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (mut said, into) = ([0], child.stdin.take());
        child.stdout.take().context("no output")?.read_exact(&mut said)?;
        names.insert(i32::try_from(child.id())?, (name, into));
    }
    println!("done");
    line()?;
    for (pid, (name, into)) in &mut names {
        if *name == "killed" {
            // SAFETY: a child that nobody waited for.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        drop(into.take());
    }
    reap(&names.iter().map(|(pid, (name, _))| (*pid, *name)).collect());
    Ok(())
}

/// A process whose parent is this one's own.
fn sibling() -> Result<()> {
    // SAFETY: plain numbers, of which most are zero; this process has one thread, and the child has a copy of its memory.
    let pid = unsafe {
        let mut args: libc::clone_args = std::mem::zeroed();
        args.flags = libc::CLONE_PARENT as u64;
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    };
    match pid {
        0 => end(3),
        1.. => println!("{pid} {} 0 sibling", 3 << 8),
        _ => return Err(io::Error::last_os_error()).context("clone3"),
    }
    Ok(())
}

/// Two processes with the same id, one after the other.
fn reuse() -> Result<()> {
    let pid = forked(|| spin(2));
    reap(&BTreeMap::from([(pid, "first")]));
    // SAFETY: plain numbers, of which most are zero; this process has one thread, and the child has a copy of its memory.
    let again = unsafe {
        let mut args: libc::clone_args = std::mem::zeroed();
        args.exit_signal = libc::SIGCHLD as u64;
        args.set_tid = (&raw const pid) as u64;
        args.set_tid_size = 1;
        libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>())
    };
    match again {
        0 => end(3),
        again if again == i64::from(pid) => reap(&BTreeMap::from([(pid, "again")])),
        _ => bail!("clone3: {}", io::Error::last_os_error()),
    }
    Ok(())
}

/// Programs as fast as may be, and nothing said of each.
fn storm(count: usize) -> Result<()> {
    for _ in 0..count {
        Command::new("/bin/true").env_clear().status()?;
    }
    Ok(())
}

/// The same program again and again, so many milliseconds apart.
fn many(count: usize, millis: u64, program: &str, args: &[&str]) -> Result<()> {
    for _ in 0..count {
        Command::new(program).args(args).env_clear().stdout(Stdio::null()).spawn().context("spawn")?;
        reap(&BTreeMap::new());
        thread::sleep(Duration::from_millis(millis));
    }
    Ok(())
}

fn child(shape: &[&str]) -> Result<()> {
    match shape {
        ["end", name] => end_as(name),
        // A thread that is not the first starts another program.
        ["exec-thread"] => exec_thread(&["end", "error"]),
        // The same, and the one that it is then ends before its threads.
        ["exec-then-first"] => exec_thread(&["leader-first"]),
        // More memory than it may have.
        ["hog"] => {
            let mut memory: Vec<Vec<u8>> = Vec::new();
            loop {
                memory.push(vec![1; 1 << 20]);
            }
        }
        ["kept"] => keep(),
        ["vfork"] => {
            let status = Command::new(std::env::current_exe()?).args(["now", "end", "error"]).status()?;
            end(status.code().unwrap_or(99) + 1)
        }
        [shape] => threads(shape),
        other => bail!("no such shape: {other:?}"),
    }
}

/// Processes of several threads.
fn threads(shape: &str) -> Result<()> {
    match shape {
        // The first thread ends first, and the process with the second, whose status nobody gets.
        "leader-first" => {
            thread::spawn(|| {
                spin(5);
                thread::sleep(Duration::from_millis(20));
                end_thread(7);
            });
            spin(2);
            end_thread(4)
        }
        // The first thread ends the others.
        "together" => {
            for _ in 0..7 {
                thread::spawn(|| spin(1_000));
            }
            spin(5);
            end(5)
        }
        "killed" => {
            for _ in 0..7 {
                thread::spawn(|| spin(1_000));
            }
            spin(5);
            end_by(libc::SIGKILL)
        }
        // All at the same time, each by itself.
        "at-once" => {
            let barrier = Arc::new(Barrier::new(8));
            for _ in 0..7 {
                let barrier = barrier.clone();
                thread::spawn(move || {
                    barrier.wait();
                    end_thread(6)
                });
            }
            barrier.wait();
            end_thread(2)
        }
        "churn" => {
            for _ in 0..30 {
                thread::spawn(|| spin(1)).join().ok();
            }
            end(0)
        }
        other => bail!("no such shape: {other:?}"),
    }
}

/// Eight threads, until it is told to end.
fn keep() -> Result<()> {
    for _ in 0..7 {
        thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_secs(1));
            }
        });
    }
    println!();
    line()?;
    spin(2);
    thread::spawn(|| spin(2)).join().ok();
    end(5)
}

fn exec_thread(next: &'static [&'static str]) -> ! {
    thread::spawn(|| spin(1_000));
    thread::spawn(move || {
        spin(5);
        if let Ok(me) = std::env::current_exe() {
            drop(Command::new(me).arg("now").args(next).exec());
        }
        end(99)
    });
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}
