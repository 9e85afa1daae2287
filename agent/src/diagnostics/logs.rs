//! The agent's own log records as OTLP logs: the SDK batches them on a thread of its own, our client posts them.
//!
//! Nothing here goes through `tracing`: what goes wrong on this way is said on standard error alone.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{InstrumentationScope, KeyValue, logs::LogRecord as _};
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{BatchConfigBuilder, BatchLogProcessor, LogBatch, LogProcessor, SdkLogRecord, SdkLoggerProvider},
};
use tracing::Level;

use self::post::Post;
use super::{DiagnosticsError, Logs, Settings, faults::Faults, stderr::Lines};
use crate::outputs::otlp::{SCHEMA_URL, http::Client, outcome::Encoding};

mod post;

/// Records that wait: a few hundred bytes each.
const QUEUE: usize = 1024;
const BATCH: usize = 256;
/// Between two requests while there is something to send. Each look costs a wake-up, so not every second.
const DELAY: Duration = Duration::from_secs(5);

const FAULT: &str = "log_export";

/// The crate wants an address. Ours is the client's.
const NOWHERE: &str = "http://localhost/v1/logs";

/// What became of the agent's own log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Handed over for sending.
    pub offered: u64,
    /// Taken by the destination.
    pub delivered: u64,
    /// Refused by the destination, or given up after a few tries.
    pub failed: u64,
}

impl Records {
    /// Neither delivered nor failed: waiting, or, after the end or with a full queue, lost.
    pub const fn open(&self) -> u64 {
        self.offered.saturating_sub(self.delivered.saturating_add(self.failed))
    }
}

/// Shared by those who hand over, send and count.
#[derive(Debug)]
pub(super) struct Account {
    offered: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    /// Found the queue full. [`Records::open`] has them too.
    refused: AtomicU64,
    /// What the last request met: why it failed, or how many records were refused and why.
    met: Mutex<Met>,
    faults: Mutex<Faults>,
    /// Where records go; `None`: nowhere.
    target: RwLock<Option<Arc<Target>>>,
    lines: Arc<Lines>,
}

/// Where records go.
#[derive(Debug)]
struct Target {
    client: Client,
    encoding: Encoding,
    url: String,
}

impl Target {
    fn new(logs: &Logs) -> Result<Self, DiagnosticsError> {
        let url = logs.http.url.to_string();
        Ok(Self { client: Client::new(logs.http.clone())?, encoding: logs.encoding, url })
    }
}

#[derive(Debug, Default)]
struct Met {
    refused: u64,
    why: Option<String>,
}

impl Account {
    fn new(lines: Arc<Lines>) -> Self {
        let [offered, delivered, failed, refused] = [0; 4].map(AtomicU64::new);
        let (met, faults, target) = (Mutex::default(), Mutex::default(), RwLock::default());
        Self { offered, delivered, failed, refused, met, faults, target, lines }
    }

    fn target(&self) -> Option<Arc<Target>> {
        self.target.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records go there from now on, those that wait too.
    pub(super) fn redirect(&self, logs: Option<&Logs>) -> Result<(), DiagnosticsError> {
        let target = logs.map(Target::new).transpose()?.map(Arc::new);
        *self.target.write().unwrap_or_else(PoisonError::into_inner) = target;
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
        Ok(())
    }

    fn counted(&self) -> Records {
        // What is delivered was offered before: read in this order, the sum fits.
        let [delivered, failed] = [&self.delivered, &self.failed].map(|count| count.load(Ordering::Acquire));
        Records { offered: self.offered.load(Ordering::Acquire), delivered, failed }
    }

    /// `None`: there is no destination, and there was none.
    pub(super) fn records(&self) -> Option<Records> {
        let records = self.counted();
        (self.target().is_some() || records.offered > 0).then_some(records)
    }

    /// Records that are lost for sure, whatever becomes of those that wait.
    pub(super) fn lost(&self) -> u64 {
        let [failed, refused] = [&self.failed, &self.refused].map(|count| count.load(Ordering::Acquire));
        failed.saturating_add(refused)
    }

    /// Whether one more record can wait; counts it otherwise. The SDK would drop it and tell nobody.
    fn has_room(&self) -> bool {
        let refused = self.refused.load(Ordering::Acquire);
        let has_room = self.counted().open().saturating_sub(refused) <= QUEUE as u64;
        if !has_room {
            self.refused.fetch_add(1, Ordering::AcqRel);
        }
        has_room
    }

    /// `refused` records of the last request, or all of them, were not taken for the reason `why`.
    fn meet(&self, refused: u64, why: Option<String>) {
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = Met { refused, why };
    }

    /// A batch of `count` records is done with.
    fn done(&self, count: u64, result: &OTelSdkResult) {
        let met = std::mem::take(&mut *self.met.lock().unwrap_or_else(PoisonError::into_inner));
        let failed = if result.is_ok() { met.refused.min(count) } else { count };
        self.delivered.fetch_add(count - failed, Ordering::AcqRel);
        self.failed.fetch_add(failed, Ordering::AcqRel);
        let why = match result {
            Ok(()) => met.why,
            Err(error) => Some(met.why.unwrap_or_else(|| error.to_string())),
        };
        self.tell(why);
    }

    fn tell(&self, why: Option<String>) {
        let Some(target) = self.target() else { return };
        let url = &target.url;
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(why) = why else {
            if let Some(times) = faults.clear(FAULT) {
                let text = format!("log records reach {url} again, after {times} failures");
                self.lines.say(Level::INFO, &text);
            }
            return;
        };
        if faults.raise(FAULT, &why) == super::faults::Say::Text {
            let text = format!(
                "log records cannot be sent to {url}: {why}; they stand here only, and otlp.logs_endpoint = \"off\" keeps them from being sent"
            );
            self.lines.say(Level::WARN, &text);
        }
    }
}

/// The SDK's end of the way, and its account. It is there without a destination too: there may be one later.
pub(super) fn provider(
    settings: &Settings,
    lines: &Arc<Lines>,
) -> Result<(SdkLoggerProvider, Arc<Account>), DiagnosticsError> {
    let account = Arc::new(Account::new(Arc::clone(lines)));
    account.redirect(settings.logs.as_ref())?;
    let post = Post::new(Arc::clone(&account))?;
    // What the crate would read from the environment is all given, or does not get past our client.
    let exporter = LogExporter::builder()
        .with_http()
        .with_http_client(post)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(NOWHERE)
        .build()
        .map_err(|error| DiagnosticsError::Exporter(error.to_string()))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let watched = Watched { exporter, account: Arc::clone(&account) };
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource(settings))
        .with_log_processor(Gate {
            account: Arc::clone(&account),
            batches: BatchLogProcessor::builder(watched).with_batch_config(batches).build(),
        })
        .build();
    Ok((provider, account))
}

fn resource(settings: &Settings) -> Resource {
    let Settings { resource, added, .. } = settings;
    let all = added.own(resource).chain(added.more(resource));
    let all = all.map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()));
    Resource::builder_empty().with_schema_url(all, SCHEMA_URL).build()
}

/// Counts what is handed over, before the queue that may be full; lets nothing pass while there is no destination.
#[derive(Debug)]
struct Gate {
    account: Arc<Account>,
    batches: BatchLogProcessor,
}

impl LogProcessor for Gate {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.account.target().is_none() {
            return;
        }
        self.account.offered.fetch_add(1, Ordering::AcqRel);
        if !self.account.has_room() {
            return;
        }
        // `tracing` names an event that has no name by its place in the source, which is no class of events.
        if record.event_name().is_some_and(|name| name.starts_with("event ")) {
            record.set_event_name("");
        }
        self.batches.emit(record, scope);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The crate's exporter, with an eye on what becomes of each batch.
#[derive(Debug)]
struct Watched {
    exporter: LogExporter,
    account: Arc<Account>,
}

impl opentelemetry_sdk::logs::LogExporter for Watched {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = u64::try_from(batch.iter().count()).unwrap_or(u64::MAX);
        let result = self.exporter.export(batch).await;
        self.account.done(count, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
