//! The agents that are compared: how each is started, read out and weighed.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::read;
use crate::shell::{self, Background};

/// Clock ticks of `/proc/PID/stat`: the kernel's interface has always had this many per second.
const TICKS: u64 = 100;
/// A page of metrics is there by then, or never.
const PATIENCE: Duration = Duration::from_secs(10);

/// One that is measured.
pub(super) struct Agent {
    pub(super) name: &'static str,
    process: Background,
    /// Where it is scraped, if that is how it is read.
    page: Option<SocketAddr>,
}

/// What takes the OTLP of the others.
pub(super) struct Sink {
    address: SocketAddr,
    _process: Background,
}

impl Agent {
    /// User and system time until now.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let stat = read(&self.file("stat"))?;
        let ticks =
            ticks(&stat).with_context(|| format!("{} has ended, or {stat:?} is no line of a process", self.name))?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS))
    }

    /// Resident at its highest, and now, in KiB.
    pub(super) fn memory(&self) -> Result<[u64; 2]> {
        let status = read(&self.file("status"))?;
        let of = |name| kib(&status, name).with_context(|| format!("{} has no {name}", self.name));
        Ok([of("VmHWM:")?, of("VmRSS:")?])
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.process.pid().to_string()).join(name)
    }
}

/// User and system time: the fields 14 and 15, the name before them may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// Lets an interval pass, and reads those that are read from outside.
pub(super) fn scrape(agents: &mut [Agent], interval: Duration) -> Result<()> {
    let (read, took) =
        shell::timed(|| agents.iter().filter_map(|agent| agent.page).try_for_each(|page| get(page).map(|_| ())));
    read?;
    shell::pause(interval.saturating_sub(took));
    for agent in agents {
        ensure!(agent.process.is_running(), "{} ended by itself", agent.name);
    }
    Ok(())
}

/// The body of `/metrics`.
fn get(address: SocketAddr) -> Result<String> {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = ask().with_context(|| format!("cannot read http://{address}/metrics"))?;
    let ok = answer.lines().next().is_some_and(|line| line.contains(" 200 "));
    ensure!(ok, "http://{address}/metrics answered {:?}", answer.lines().next());
    Ok(answer)
}

/// An address on loopback that nobody listens to.
fn free() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    listener.local_addr().context("a listener has no address")
}

/// Waits until somebody listens.
fn until_it_listens(address: SocketAddr, process: &mut Background, name: &str) -> Result<()> {
    const LOOK_AGAIN: Duration = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / LOOK_AGAIN.as_millis() {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        ensure!(process.is_running(), "{name} ended by itself");
        shell::pause(LOOK_AGAIN);
    }
    anyhow::bail!("{name} does not listen on {address} after {PATIENCE:?}")
}

/// A Collector that takes OTLP and throws it away.
pub(super) fn sink(collector: &Path, folder: &Path) -> Result<Sink> {
    let address = free()?;
    let config = format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"{address}\"}}}}}}}}\n\
         exporters: {{debug: {{verbosity: basic}}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
    );
    let mut process = start_collector(collector, &folder.join("sink.yaml"), &config)?;
    until_it_listens(address, &mut process, "the Collector")?;
    Ok(Sink { address, _process: process })
}

fn start_collector(program: &Path, file: &Path, config: &str) -> Result<Background> {
    fs::write(file, config).with_context(|| format!("cannot write {}", file.display()))?;
    Background::start(shell::command(program).arg("--config").arg(file))
}

/// The daemon.
pub(super) fn wattrace(program: &Path, folder: &Path, sink: &Sink, interval: u64) -> Result<Agent> {
    let state = folder.join("state");
    // Totals of an earlier run are not of this one.
    fs::remove_dir_all(&state).ok();
    let mut command = shell::command(program);
    command.args(["run", "--interval", &format!("{interval}s"), "--endpoint", &format!("http://{}", sink.address)]);
    let process = Background::start(command.arg("--state-dir").arg(state))?;
    Ok(Agent { name: "wattrace run", process, page: None })
}

/// Default collectors.
pub(super) fn node_exporter(program: &Path) -> Result<Agent> {
    let address = free()?;
    let mut command = shell::command(program);
    let mut process = Background::start(command.arg(format!("--web.listen-address={address}")))?;
    until_it_listens(address, &mut process, "node_exporter")?;
    Ok(Agent { name: "node_exporter, scraped", process, page: Some(address) })
}

/// The scrapers of a host, those of processes among them.
pub(super) fn hostmetrics(program: &Path, folder: &Path, sink: &Sink, interval: u64) -> Result<Agent> {
    let config = format!(
        "receivers: {{hostmetrics: {{collection_interval: {interval}s, scrapers: {{cpu: {{}}, memory: {{}}, load: {{}}, \
         disk: {{}}, filesystem: {{}}, network: {{}}, process: {{mute_process_all_errors: true}}}}}}}}\n\
         exporters: {{otlphttp: {{endpoint: \"http://{}\"}}}}\n\
         service: {{telemetry: {{metrics: {{level: none}}}}, pipelines: {{metrics: {{receivers: [hostmetrics], exporters: [otlphttp]}}}}}}\n",
        sink.address
    );
    let process = start_collector(program, &folder.join("hostmetrics.yaml"), &config)?;
    Ok(Agent { name: "Collector with hostmetrics", process, page: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_after_the_name_whatever_it_holds() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 31 12 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(43));
        assert_eq!(ticks("7 gone"), None);
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(kib("Name:\tx\nVmHWM:\t   1234 kB\nVmRSS:\t 12 kB\n", "VmHWM:"), Some(1_234));
        assert_eq!(kib("Name:\tx\n", "VmHWM:"), None);
    }
}
