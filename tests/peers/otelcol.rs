//! A Collector that writes down what it is sent.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;

use super::{
    programs::{Running, free, listens, until},
    received::received,
};

pub(super) struct Collector {
    program: PathBuf,
    config: PathBuf,
    pub(super) otlp: SocketAddr,
    log: PathBuf,
    /// What it was sent, over all its lives.
    pub(super) file: PathBuf,
    /// Of it, log records.
    pub(super) logs: PathBuf,
}

/// A memory limit, in MiB, which the Collector is over with nothing to do: it refuses everything.
const REFUSING: u32 = 1;
/// And one that is never reached here.
const ROOMY: u32 = 2_000;

impl Collector {
    pub(super) fn new(program: PathBuf, folder: &Path) -> Self {
        let (otlp, file, config) = (free(), folder.join("out.jsonl"), folder.join("collector.yaml"));
        let logs = folder.join("logs.jsonl");
        Self { program, config, otlp, log: folder.join("collector.log"), file, logs }
    }

    /// Starts it.
    pub(super) fn start(&self) -> Running {
        self.start_with(ROOMY)
    }

    /// Starts it so that its `memory_limiter` refuses whatever it is sent, from when this returns.
    pub(super) fn start_refusing(&self) -> Running {
        let running = self.start_with(REFUSING);
        // Its memory is looked at some times a second, and not before it listens.
        until("the Collector refuses", || self.answer() == 503);
        running
    }

    /// Status with which it answers a request of somebody else.
    fn answer(&self) -> u16 {
        let who = ["namespace", "name", "instance.id"];
        let who = who.map(|key| json!({"key": format!("service.{key}"), "value": {"stringValue": "test"}}));
        let metric = json!({"name": "probe", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asDouble": 1.5}]}});
        let scope = json!({"metrics": [metric]});
        let resource = json!({"resource": {"attributes": who}, "scopeMetrics": [scope]});
        let body = json!({"resourceMetrics": [resource]}).to_string();
        let mut stream = TcpStream::connect(self.otlp).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = "POST /v1/metrics HTTP/1.0\r\ncontent-type: application/json\r\n";
        write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn start_with(&self, limit: u32) -> Running {
        // What is acknowledged is soon in the file: one that is killed forgets what was not flushed.
        let text = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"{}\"}}}}}}}}\n\
            processors: {{memory_limiter: {{check_interval: 200ms, limit_mib: {limit}}}}}\n\
            exporters: {{file: {{path: \"{}\", append: true, flush_interval: 20ms}}, \
            file/logs: {{path: \"{}\", append: true, flush_interval: 20ms}}}}\n\
            service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
            pipelines: {{metrics: {{receivers: [otlp], processors: [memory_limiter], exporters: [file]}}, \
            logs: {{receivers: [otlp], processors: [memory_limiter], exporters: [file/logs]}}}}\n",
            self.otlp,
            self.file.display(),
            self.logs.display()
        );
        fs::write(&self.config, text).unwrap();
        let mut command = Command::new(&self.program);
        let mut running = Running::start(command.arg("--config").arg(&self.config), &self.log);
        until("the Collector listens", || {
            assert!(running.is_running(), "the Collector ended: {}", running.said());
            listens(self.otlp)
        });
        running
    }

    /// Cuts off the line that a Collector which was killed has not finished: the next one would write on in it.
    pub(super) fn mend(&self) {
        let file = fs::OpenOptions::new().write(true).open(&self.file).unwrap();
        let text = fs::read(&self.file).unwrap();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(u64::try_from(whole).unwrap()).unwrap();
    }

    /// Time of the newest point in the file.
    pub(super) fn newest(&self) -> u64 {
        if self.file.exists() { received(&self.file).iter().map(|point| point.at).max().unwrap_or(0) } else { 0 }
    }

    /// Waits for two snapshots more.
    pub(super) fn wait(&self) {
        for _ in 0..2 {
            let before = self.newest();
            until("a snapshot arrives", || self.newest() > before);
        }
    }
}
