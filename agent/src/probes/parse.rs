//! Parsers from bytes of `/proc` and `/sys` text to values. Pure: no file is opened here, no input panics.

pub mod cgroup;
pub mod diag;
pub mod disk;
pub mod pressure;
pub mod process;

use crate::{
    samples::machine::CpuIdentity,
    units::{Bytes, Nanos},
};

/// More CPUs than any kernel is built for (`NR_CPUS` is 8,192 at most): a list that claims more is malformed.
const CPUS_MAX: u32 = 65_536;
/// Bytes of the input that an error quotes.
const QUOTED: usize = 40;

/// Text that is not what the kernel's documentation says it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct ParseError {
    /// What should have been there.
    pub expected: &'static str,
    /// The beginning of what was there.
    pub found: String,
}

impl ParseError {
    fn new(expected: &'static str, found: &[u8]) -> Self {
        let start = found.get(..QUOTED).unwrap_or(found);
        Self { expected, found: String::from_utf8_lossy(start).into_owned() }
    }
}

fn text<'a>(bytes: &'a [u8], expected: &'static str) -> Result<&'a str, ParseError> {
    str::from_utf8(bytes).map_err(|_| ParseError::new(expected, bytes))
}

/// One unsigned decimal integer, as most files of sysfs hold.
pub fn unsigned(bytes: &[u8]) -> Result<u64, ParseError> {
    const EXPECTED: &str = "an unsigned integer";
    digits(text(bytes, EXPECTED)?.trim_end()).ok_or_else(|| ParseError::new(EXPECTED, bytes))
}

/// One decimal integer that may be negative: topology files say -1 for "not known".
pub fn signed(bytes: &[u8]) -> Result<i64, ParseError> {
    const EXPECTED: &str = "an integer";
    let text = text(bytes, EXPECTED)?.trim_end();
    text.parse().map_err(|_| ParseError::new(EXPECTED, bytes))
}

/// `u64` without the sign that `parse` would take.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The pid that a directory of `/proc` is named by; `None`: it is another one.
pub fn pid(name: &[u8]) -> Option<u32> {
    let number = name.first().filter(|byte| byte.is_ascii_digit()).and(str::from_utf8(name).ok())?;
    u32::try_from(digits(number)?).ok()
}

/// A list of CPUs, `0-3,8`, in the order given; an empty file is an empty list.
pub fn cpu_list(bytes: &[u8]) -> Result<Vec<u32>, ParseError> {
    const EXPECTED: &str = "a CPU list such as 0-3,8";
    let text = text(bytes, EXPECTED)?.trim();
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range =
            digits(first).zip(digits(last)).filter(|(first, last)| first <= last && *last < u64::from(CPUS_MAX));
        let (first, last) = range.ok_or_else(|| ParseError::new(EXPECTED, bytes))?;
        cpus.extend((first..=last).filter_map(|cpu| u32::try_from(cpu).ok()));
        if cpus.len() > CPUS_MAX as usize {
            return Err(ParseError::new(EXPECTED, bytes));
        }
    }
    Ok(cpus)
}

/// One `cpuN` line of `/proc/stat`, in clock ticks since boot. Guest time is within user time and not repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// CPU number.
    pub cpu: u32,
    /// user + nice + system + irq + softirq
    pub busy: u64,
    /// Time the hypervisor gave to somebody else: neither busy nor idle here.
    pub steal: u64,
    /// idle + iowait
    pub idle: u64,
}

/// The `cpuN` lines of `/proc/stat`. The line `cpu`, their sum, is left out, offline CPUs have none.
pub fn proc_stat(bytes: &[u8]) -> Result<Vec<CpuTicks>, ParseError> {
    let text = text(bytes, "the text of /proc/stat")?;
    let cpus = text.lines().filter_map(|line| Some((line, line.strip_prefix("cpu")?)));
    let cpus: Vec<_> = cpus
        .filter(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
        .map(|(line, rest)| {
            cpu_ticks(rest).ok_or_else(|| ParseError::new("cpuN and at least 4 counts", line.as_bytes()))
        })
        .collect::<Result<_, _>>()?;
    if cpus.is_empty() {
        return Err(ParseError::new("a line that starts with cpu0", bytes));
    }
    Ok(cpus)
}

fn cpu_ticks(line: &str) -> Option<CpuTicks> {
    let mut words = line.split_ascii_whitespace();
    let cpu = u32::try_from(digits(words.next()?)?).ok()?;
    let mut counts = [0; 8];
    let mut seen = 0;
    for (count, word) in counts.iter_mut().zip(words) {
        *count = digits(word)?;
        seen += 1;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = counts;
    let sum = |parts: &[u64]| parts.iter().fold(0, |sum: u64, part| sum.saturating_add(*part));
    (seen >= 4).then(|| CpuTicks {
        cpu,
        busy: sum(&[user, nice, system, irq, softirq]),
        steal,
        idle: sum(&[idle, iowait]),
    })
}

/// Clock ticks as time; `hz` is `USER_HZ`, ticks per second.
pub fn ticks(count: u64, hz: u64) -> Nanos {
    let nanos = u128::from(count) * 1_000_000_000 / u128::from(hz.max(1));
    Nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Threads of the whole system by `/proc/loadavg`: what stands behind the `/`. Those that ended and were not waited for
/// are among them, idle tasks are not.
pub fn threads(bytes: &[u8]) -> Result<u64, ParseError> {
    const EXPECTED: &str = "three loads, and running/all threads";
    let word = text(bytes, EXPECTED)?.split_ascii_whitespace().nth(3);
    let all = word.and_then(|word| word.split_once('/')).and_then(|(_, all)| digits(all));
    all.ok_or_else(|| ParseError::new(EXPECTED, bytes))
}

/// What `/proc/cpuinfo` says of its first CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuInfo {
    /// How it names itself.
    pub identity: CpuIdentity,
    /// Whether the flag `hypervisor` is set; `None` where there is no line of flags (other than x86).
    pub hypervisor: Option<bool>,
}

/// The first CPU of `/proc/cpuinfo`. An architecture without CPUID or MIDR is [`CpuIdentity::Other`], no error.
pub fn cpuinfo(bytes: &[u8]) -> Result<CpuInfo, ParseError> {
    let text = text(bytes, "the text of /proc/cpuinfo")?;
    let first: Vec<_> =
        text.lines().take_while(|line| !line.trim().is_empty()).filter_map(|l| l.split_once(':')).collect();
    let field = |name: &str| first.iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim());
    if first.is_empty() {
        return Err(ParseError::new("lines of the form key: value", bytes));
    }
    let identity = match (field("vendor_id").zip(field("cpu family")), field("CPU implementer")) {
        (Some((vendor, family)), _) => x86(vendor, family, field)?,
        (None, Some(implementer)) => {
            CpuIdentity::Arm { implementer: hex(implementer)?, part: hex(field("CPU part").unwrap_or(""))? }
        }
        (None, None) => CpuIdentity::Other,
    };
    let hypervisor = field("flags").map(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"));
    Ok(CpuInfo { identity, hypervisor })
}

fn x86<'a>(vendor: &str, family: &str, field: impl Fn(&str) -> Option<&'a str>) -> Result<CpuIdentity, ParseError> {
    let number = |text: &str| {
        let value = digits(text).and_then(|value| u32::try_from(value).ok());
        value.ok_or_else(|| ParseError::new("a decimal CPU family, model and stepping", text.as_bytes()))
    };
    Ok(CpuIdentity::X86 {
        vendor: vendor.to_owned(),
        family: number(family)?,
        model: number(field("model").unwrap_or(""))?,
        stepping: number(field("stepping").unwrap_or(""))?,
        name: field("model name").unwrap_or("").to_owned(),
    })
}

fn hex(text: &str) -> Result<u32, ParseError> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or_else(|| ParseError::new("a hexadecimal CPU implementer and part", text.as_bytes()))
}

/// `MemTotal` of `/proc/meminfo`: what the kernel manages, a little less than what is installed.
pub fn memory_total(bytes: &[u8]) -> Result<Bytes, ParseError> {
    const EXPECTED: &str = "a line MemTotal: N kB";
    let line = text(bytes, EXPECTED)?.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")).and_then(|number| digits(number.trim_end()));
    kib.and_then(|kib| kib.checked_mul(1024)).map(Bytes).ok_or_else(|| ParseError::new(EXPECTED, bytes))
}

#[cfg(test)]
mod tests;
