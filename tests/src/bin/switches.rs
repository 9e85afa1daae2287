//! A load that switches tasks, for benches: many sleepers on mostly idle CPUs, or pairs that wake each other.
//!
//! `switches sleepers SECONDS THREADS MEAN_MICROSECONDS CGROUP...` has a process with so many threads in each cgroup: each
//! sleeps for an uneven span, then writes to 64 KiB of memory, so that what a switch needs has left the caches.
//! `switches pairs SECONDS RATE CGROUP` has one process with two threads on each CPU that wake each other through pipes: at
//! RATE switches a second in all, or as fast as they can where that is 0.
//!
//! It says `operations N cpu_ns N`: wake-ups of sleepers, or there and back of pairs, and the CPU time of its threads.
#![expect(clippy::disallowed_methods, reason = "it is a clock-driven load, not the agent")]

use std::{
    fs,
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    path::Path,
    process::{Command, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::{
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Memory that each process of sleepers walks through: more than a CPU's own caches hold.
const MEMORY: usize = 8 << 20;
/// What a thread writes to at each wake-up.
const PART: usize = 64 << 10;
const LINE: usize = 64;
/// A pair with a rate does the share of this span, then sleeps until its end.
const TICK: Duration = Duration::from_millis(4);

/// What was done.
#[derive(Clone, Copy, Default)]
struct Done {
    operations: u64,
    cpu: u64,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["sleepers", seconds, threads, mean, cgroup] => {
            enter(cgroup)?;
            sleepers(span_of(seconds)?, threads.parse()?, mean.parse()?)?
        }
        ["sleepers", seconds, threads, mean, cgroups @ ..] => in_each(cgroups, &[seconds, threads, mean])?,
        ["pairs", seconds, rate, cgroup] => {
            enter(cgroup)?;
            pairs(span_of(seconds)?, rate.parse()?)?
        }
        other => bail!("switches: no such load: {other:?}"),
    };
    println!("operations {} cpu_ns {}", done.operations, done.cpu);
    Ok(())
}

fn span_of(text: &str) -> Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

fn enter(cgroup: &str) -> Result<()> {
    let file = Path::new(cgroup).join("cgroup.procs");
    fs::write(&file, "0").with_context(|| format!("entering {}", file.display()))
}

/// This program once in each cgroup, all at once.
fn in_each(cgroups: &[&str], args: &[&str]) -> Result<Done> {
    let myself = std::env::current_exe()?;
    let start =
        |cgroup: &&str| Command::new(&myself).arg("sleepers").args(args).arg(cgroup).stdout(Stdio::piped()).spawn();
    let children = cgroups.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let mut done = Done::default();
    for child in children {
        let text = String::from_utf8(child.wait_with_output()?.stdout)?;
        done.add(parse(&text).with_context(|| format!("one of the cgroups did not finish: {text:?}"))?);
    }
    Ok(done)
}

fn parse(text: &str) -> Option<Done> {
    let mut fields = text.split_whitespace();
    let mut number = |name| fields.next().filter(|found| *found == name).and_then(|_| fields.next()?.parse().ok());
    Some(Done { operations: number("operations")?, cpu: number("cpu_ns")? })
}

impl Done {
    fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.cpu += other.cpu;
    }
}

/// CPU time of this process.
fn cpu_time() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0)
}

fn joined<T>(threads: Vec<JoinHandle<T>>) -> Result<Vec<T>> {
    threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))).collect()
}

fn sleepers(span: Duration, threads: u64, mean: u64) -> Result<Done> {
    let start = Instant::now();
    let share = MEMORY / usize::try_from(threads.max(1))?;
    let begun = |number| std::thread::spawn(move || sleeper(start + span, mean, number, share.max(PART)));
    let counts = joined((0..threads).map(begun).collect())?;
    Ok(Done { operations: counts.iter().sum(), cpu: cpu_time() })
}

/// Wake-ups until `end`. Spans are even over half to one and a half of `mean` microseconds.
fn sleeper(end: Instant, mean: u64, number: u64, share: usize) -> u64 {
    let mut memory = vec![0_u8; share];
    let mut random = Random(number + 1);
    let (mut count, mut at) = (0, 0);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_micros(mean / 2 + random.below(mean.max(1))));
        let part = memory.iter_mut().skip(at).take(PART).step_by(LINE);
        part.for_each(|byte| *byte = byte.wrapping_add(1));
        at = (at + PART) % share;
        count += 1;
    }
    std::hint::black_box(&memory);
    count
}

/// xorshift64: the same spans in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn pairs(span: Duration, rate: u64) -> Result<Done> {
    let allowed = sched_getaffinity(None).context("asking for the CPUs")?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let each = rate.div_ceil(u64::try_from(cpus.len().max(1))?);
    let end = Instant::now() + span;
    let pairs = cpus.into_iter().map(|cpu| std::thread::spawn(move || pair(cpu, end, each)));
    let counts = joined(pairs.collect())?.into_iter().collect::<Result<Vec<u64>>>()?;
    Ok(Done { operations: counts.iter().sum(), cpu: cpu_time() })
}

/// Turns of this thread and another one on the same CPU until `end`.
fn pair(cpu: usize, end: Instant, rate: u64) -> Result<u64> {
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).context("pinning")?;
    let (there, ask) = pipe()?;
    let (answer, back) = pipe()?;
    // It inherits the CPU.
    let partner = std::thread::spawn(move || serve(there, back));
    let count = if rate == 0 { flat_out(end, ask, answer) } else { paced(end, rate, ask, answer) }?;
    drop(partner.join());
    Ok(count)
}

/// Answers until nobody asks.
fn serve(mut ask: PipeReader, mut answer: PipeWriter) {
    let mut byte = [0];
    while ask.read_exact(&mut byte).is_ok() && answer.write_all(&byte).is_ok() {}
}

fn turn(ask: &mut PipeWriter, answer: &mut PipeReader) -> Result<()> {
    let mut byte = [0];
    ask.write_all(&byte)?;
    Ok(answer.read_exact(&mut byte)?)
}

fn flat_out(end: Instant, mut ask: PipeWriter, mut answer: PipeReader) -> Result<u64> {
    let mut count = 0;
    while Instant::now() < end {
        turn(&mut ask, &mut answer)?;
        count += 1;
    }
    Ok(count)
}

fn paced(end: Instant, rate: u64, mut ask: PipeWriter, mut answer: PipeReader) -> Result<u64> {
    // Two switches a turn; to idle and back is two more.
    let turns = (rate * u64::try_from(TICK.as_millis())? / 1_000).saturating_sub(2).div_ceil(2).max(1);
    let (mut count, mut next) = (0, Instant::now());
    while next < end {
        next += TICK;
        for _ in 0..turns {
            turn(&mut ask, &mut answer)?;
        }
        count += turns;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_read_back() {
        let done = parse("operations 12 cpu_ns 3456\n").unwrap();
        assert_eq!((done.operations, done.cpu), (12, 3456));
        assert!(parse("operations 12\n").is_none());
        assert!(parse("operations x cpu_ns 1\n").is_none());
    }

    #[test]
    fn spans_are_uneven_and_below_their_limit() {
        let mut random = Random(1);
        let spans: Vec<u64> = (0..100).map(|_| random.below(1_000)).collect();
        assert!(spans.iter().all(|span| *span < 1_000));
        assert!(spans.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_pair_takes_turns_at_its_rate_or_as_fast_as_it_can() {
        let cpu = (0..CpuSet::MAX_CPU).find(|cpu| sched_getaffinity(None).unwrap().is_set(*cpu)).unwrap();
        // An end that has passed: none where it is looked at first.
        assert_eq!(pair(cpu, Instant::now(), 0).unwrap(), 0);
        assert!(pair(cpu, Instant::now() + TICK, 1_000).unwrap() >= 1);
    }
}
