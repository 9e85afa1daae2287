//! A process that uses CPU time in a known way, for tests to put into a cgroup.
//!
//! It says `ready` and waits for a line on standard input, so that the test can move it first; then it does what its
//! arguments say: `spin SECONDS`, `fifo CPU SECONDS`, `duty SECONDS`, `storm COUNT MILLISECONDS`, `pingpong SECONDS`,
//! `turns MILLISECONDS [FILE ADDRESS]`, `roam COUNT MILLISECONDS FILE FILE [thread]`, and what `offcpu.rs` and `disk.rs` have. A last argument `of=NAME` is
//! a label: it changes nothing, and is in the command line of its children too, for tools that know a process by that alone.
//! Before that, `class=fifo` or `class=deadline`, `pin=CPU`, `in=CGROUP` say how and where it runs before it says `ready`, and
//! `stay` that it says `done` and waits for one more line before it ends.
#![expect(clippy::disallowed_methods, reason = "it is a clock-driven load, not the agent")]

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

mod disk;
mod mix;
mod offcpu;

use anyhow::{Context, Result, bail};
use rustix::time::ClockId;

use self::mix::Mix;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    let label = words.pop_if(|word| word.starts_with("of="));
    let stays = words.pop_if(|word| *word == "stay").is_some();
    let is_option = |word: &mut &str| PREPARATIONS.iter().any(|(option, _)| word.starts_with(option));
    let options: Vec<&str> = std::iter::from_fn(|| words.pop_if(is_option)).collect();
    for (option, prepare) in PREPARATIONS {
        for value in options.iter().filter_map(|word| word.strip_prefix(option)) {
            prepare(value)?;
        }
    }
    if words.first() != Some(&"now") {
        println!("ready");
        io::stdout().flush()?;
        io::stdin().read_line(&mut String::new())?;
    }
    match words.as_slice() {
        ["now", "spin", millis] => spin(Duration::from_millis(millis.parse()?)),
        ["spin", seconds] => spin(seconds_of(seconds)?),
        ["fifo", cpu, seconds] => fifo(cpu.parse()?, seconds_of(seconds)?)?,
        ["duty", seconds] => duty(seconds_of(seconds)?),
        ["storm", count, millis] => storm(count.parse()?, millis, label)?,
        ["turns", millis, mix @ ..] => turns(Duration::from_millis(millis.parse()?), mix)?,
        ["roam", count, millis, homes @ ..] => roam(count.parse()?, Duration::from_millis(millis.parse()?), homes)?,
        ["pingpong", seconds] => pingpong(seconds_of(seconds)?)?,
        ["disk", file, steps @ ..] | ["now", "disk", file, steps @ ..] => disk::load(file, steps)?,
        other => offcpu::load(other)?,
    }
    if stays {
        println!("done");
        io::stdout().flush()?;
        io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

type Prepare = fn(&str) -> Result<()>;

/// How and where it runs: what an option says, and what it does, in this order: a cgroup may undo what was pinned before.
const PREPARATIONS: [(&str, Prepare); 3] = [("class=", class), ("in=", join), ("pin=", pin)];

/// Another program does it, before this one is in its cgroup.
fn class(name: &str) -> Result<()> {
    let words: &[&str] = match name {
        "fifo" => return become_fifo(&[]),
        "deadline" => &["--sched-runtime", "5000000", "--sched-deadline", "10000000", "--sched-period", "10000000"],
        other => bail!("burn: no such class: {other}"),
    };
    let myself = std::process::id().to_string();
    let status = Command::new("chrt").arg("--deadline").args(words).args(["--pid", "0", &myself]).status();
    if !status.context("chrt (package util-linux)")?.success() {
        bail!("SCHED_DEADLINE was refused");
    }
    Ok(())
}

fn pin(cpu: &str) -> Result<()> {
    let mut only = rustix::thread::CpuSet::new();
    only.set(cpu.parse()?);
    rustix::thread::sched_setaffinity(None, &only).context("pinning")
}

fn join(cgroup: &str) -> Result<()> {
    fs::write(format!("{cgroup}/cgroup.procs"), "0").context("moving itself")
}

fn seconds_of(text: &str) -> Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

fn spin(span: Duration) {
    let start = Instant::now();
    while start.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// Spins where nothing of normal priority can take the CPU away.
fn fifo(cpu: usize, span: Duration) -> Result<()> {
    pin(&cpu.to_string())?;
    become_fifo(&[])?;
    println!("spinning");
    io::stdout().flush()?;
    spin(span);
    Ok(())
}

/// Lets nothing of normal priority take the CPU from this thread.
fn become_fifo(more: &[&str]) -> Result<()> {
    let myself = std::process::id().to_string();
    let chrt = Command::new("chrt").args(more).args(["--fifo", "--pid", "1", &myself]).status();
    if !chrt.context("chrt (package util-linux)")?.success() {
        bail!("SCHED_FIFO was refused");
    }
    Ok(())
}

/// Half of the time busy, in turns of 5 ms.
fn duty(span: Duration) {
    let start = Instant::now();
    while start.elapsed() < span {
        spin(Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Children of this program that spin so long, one after the other, two at a time.
fn storm(count: u32, millis: &str, label: Option<&str>) -> Result<()> {
    let myself = std::env::current_exe()?;
    let child = || Command::new(&myself).args(["now", "spin", millis]).args(label).spawn();
    for _ in 0..count / 2 {
        let (mut one, mut other) = (child()?, child()?);
        one.wait()?;
        other.wait()?;
    }
    Ok(())
}

/// Spins once for each line, and says when that is over: between them it can be moved while it sleeps.
fn turns(span: Duration, mix: &[&str]) -> Result<()> {
    let mix = Mix::of(mix)?;
    for line in io::stdin().lines() {
        line?;
        spin(span);
        mix.turn()?;
        println!("done");
        io::stdout().flush()?;
    }
    Ok(())
}

/// Spins in one thread, while the other moves it, or the whole process, from one of two cgroups (their `cgroup.procs` or
/// `cgroup.threads`) to the other and back; says how many nanoseconds of CPU time it used before the first move, and in each.
fn roam(count: u32, stay: Duration, homes: &[&str]) -> Result<()> {
    let (files, whole) = match homes {
        [one, other] => ([*one, *other], true),
        [one, other, "thread"] => ([*one, *other], false),
        other => bail!("burn: not two cgroups: {other:?}"),
    };
    let mut files = files.map(|file| fs::OpenOptions::new().write(true).open(file));
    let first = cpu_time(whole);
    // Else it may be held up between a move and the look at the clock, for as long as the other thread spins.
    become_fifo(&["--reset-on-fork"])?;
    let is_over = Arc::new(AtomicBool::new(false));
    let (ask, told) = mpsc::channel();
    let spinner = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            ask.send(rustix::thread::gettid()).ok();
            while !is_over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    });
    let id = if whole { std::process::id() } else { told.recv()?.as_raw_nonzero().get().unsigned_abs() };
    let (mut at_first, mut one, mut other, mut before) = (0, 0, 0, 0);
    for turn in 0..count {
        let home = turn as usize % 2;
        let file = files.get_mut(home).and_then(|file| file.as_mut().ok()).context("opening a cgroup")?;
        file.write_all(id.to_string().as_bytes())?;
        let start = cpu_time(whole);
        match turn {
            0 => at_first = start - first,
            _ => *if home == 1 { &mut one } else { &mut other } += start - before,
        }
        before = start;
        std::thread::sleep(stay);
    }
    is_over.store(true, Ordering::Relaxed);
    drop(spinner.join());
    *if count % 2 == 1 { &mut one } else { &mut other } += cpu_time(whole) - before;
    println!("{at_first} {one} {other}");
    Ok(())
}

/// Nanoseconds of CPU time of this process, up to now, with or without this thread's.
fn cpu_time(whole: bool) -> u64 {
    let read = |clock| {
        let time = rustix::time::clock_gettime(clock);
        u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
    };
    let mine = if whole { 0 } else { read(ClockId::ThreadCPUTime) };
    read(ClockId::ProcessCPUTime) - mine
}

/// Two threads that wake each other as fast as they can.
fn pingpong(span: Duration) -> Result<()> {
    let (mut here, mut there) = UnixStream::pair()?;
    let partner = std::thread::spawn(move || {
        let mut byte = [0];
        while there.read_exact(&mut byte).is_ok() && there.write_all(&byte).is_ok() {}
    });
    let start = Instant::now();
    let mut byte = [0];
    while start.elapsed() < span {
        here.write_all(&byte)?;
        here.read_exact(&mut byte)?;
    }
    drop(here);
    drop(partner.join());
    Ok(())
}
