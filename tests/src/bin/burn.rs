//! A process that uses CPU time in a known way, for tests to put into a cgroup.
//!
//! It says `ready` and waits for a line on standard input, so that the test can move it first; then it does what its
//! arguments say: `spin SECONDS`, `fifo CPU SECONDS`, `duty SECONDS`, `storm COUNT MILLISECONDS`, `pingpong SECONDS`,
//! `turns MILLISECONDS`. A last argument that starts with `/` is a label: it changes nothing, and is in the command line of its
//! children too, for tools that know a process by that alone.
#![expect(clippy::disallowed_methods, reason = "it is a clock-driven load, not the agent")]

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    let label = words.pop_if(|word| word.starts_with('/'));
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
        ["turns", millis] => turns(Duration::from_millis(millis.parse()?))?,
        ["pingpong", seconds] => pingpong(seconds_of(seconds)?)?,
        other => bail!("burn: no such load: {other:?}"),
    }
    Ok(())
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
    let mut only = rustix::thread::CpuSet::new();
    only.set(cpu);
    rustix::thread::sched_setaffinity(None, &only).context("pinning")?;
    let chrt = Command::new("chrt").args(["--fifo", "--pid", "1", &std::process::id().to_string()]).status();
    if !chrt.context("chrt (package util-linux)")?.success() {
        bail!("SCHED_FIFO was refused");
    }
    println!("spinning");
    io::stdout().flush()?;
    spin(span);
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
fn turns(span: Duration) -> Result<()> {
    for line in io::stdin().lines() {
        line?;
        spin(span);
        println!("done");
        io::stdout().flush()?;
    }
    Ok(())
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
