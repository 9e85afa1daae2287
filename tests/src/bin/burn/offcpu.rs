//! Loads that leave the CPU in a known way: `sleeps [COUNT MILLISECONDS]...`, `barriers COUNT`,
//! `relay ROUNDS`, `births COUNT MILLISECONDS`, `places TID TID TID COUNT MILLISECONDS`.

use std::{
    fs,
    io::{self, Read, Write},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::thread::MembarrierCommand;

pub(super) fn load(words: &[&str]) -> Result<()> {
    match words {
        ["sleeps", spans @ ..] => sleeps(spans),
        ["barriers", count] => barriers(count.parse()?),
        ["relay", rounds] => relay(rounds.parse()?),
        ["now", "echo"] => echo(),
        ["births", count, millis] => births(count.parse()?, millis_of(millis)?),
        ["places", one, two, three, count, millis] => {
            places([one.parse()?, two.parse()?, three.parse()?], count.parse()?, millis_of(millis)?)
        }
        other => bail!("burn: no such load: {other:?}"),
    }
}

fn millis_of(text: &str) -> Result<Duration> {
    Ok(Duration::from_millis(text.parse()?))
}

fn sleeps(spans: &[&str]) -> Result<()> {
    for span in spans.chunks(2) {
        let [count, millis] = span else { bail!("burn: {span:?} is no count and milliseconds") };
        for _ in 0..count.parse::<u32>()? {
            std::thread::sleep(millis_of(millis)?);
        }
    }
    Ok(())
}

/// Waits until all CPUs have been through a barrier: not interruptible, and no I/O.
fn barriers(count: u32) -> Result<()> {
    for _ in 0..count {
        rustix::thread::membarrier(MembarrierCommand::Global).context("membarrier")?;
    }
    Ok(())
}

/// Sends a byte to and fro between this process and a child.
fn relay(rounds: u32) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.args(["now", "echo"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut to), Some(mut from)) = (child.stdin.take(), child.stdout.take()) else { bail!("no pipes") };
    let mut byte = [0];
    for _ in 0..rounds {
        to.write_all(&byte)?;
        from.read_exact(&mut byte)?;
    }
    // Both are looked at before they end.
    println!("done");
    io::stdout().flush()?;
    io::stdin().read_line(&mut String::new())?;
    drop(to);
    child.wait()?;
    Ok(())
}

fn echo() -> Result<()> {
    let (mut from, mut to) = (io::stdin().lock(), io::stdout().lock());
    let mut byte = [0];
    while from.read_exact(&mut byte).is_ok() {
        to.write_all(&byte)?;
        to.flush()?;
    }
    Ok(())
}

/// Threads that are born, sleep, spin and die, eight at a time. Says for how many nanoseconds they lived together: at least,
/// by their own clocks, and at most, by that of the thread that made them.
fn births(count: u32, span: Duration) -> Result<()> {
    let (mut least, mut most) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..count / 8 {
        let begun: Vec<_> = (0..8).map(|_| (Instant::now(), std::thread::spawn(move || life(span)))).collect();
        for (start, thread) in begun {
            least += thread.join().ok().context("a thread")?;
            most += start.elapsed();
        }
    }
    println!("{} {}", least.as_nanos(), most.as_nanos());
    io::stdout().flush()?;
    Ok(())
}

fn life(span: Duration) -> Duration {
    let start = Instant::now();
    std::thread::sleep(span);
    super::spin(span / 40);
    start.elapsed()
}

/// Threads with these ids, which sleep so often; they stay as long as the process.
fn places(tids: [u32; 3], count: u32, span: Duration) -> Result<()> {
    let (said, done) = mpsc::channel();
    let mut keep = Vec::new();
    for tid in tids {
        keep.push(thread_with(tid, count, span, &said)?);
    }
    for go in &keep {
        go.send(())?;
    }
    for _ in tids {
        done.recv()?;
    }
    println!("done");
    io::stdout().flush()?;
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Others may be given the id first: then it tries again.
fn thread_with(tid: u32, count: u32, span: Duration, done: &mpsc::Sender<()>) -> Result<mpsc::Sender<()>> {
    for _ in 0..200 {
        fs::write("/proc/sys/kernel/ns_last_pid", (tid - 1).to_string()).context("choosing a thread id")?;
        let (go, told) = mpsc::channel::<()>();
        let (ask, is) = mpsc::channel();
        let done = mpsc::Sender::clone(done);
        std::thread::spawn(move || {
            ask.send(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()).ok();
            if told.recv().is_err() {
                return;
            }
            for _ in 0..count {
                std::thread::sleep(span);
            }
            done.send(()).ok();
            // Until the process ends.
            told.recv().ok();
        });
        if is.recv()? == tid {
            return Ok(go);
        }
    }
    bail!("burn: the thread id {tid} was never to be had")
}
