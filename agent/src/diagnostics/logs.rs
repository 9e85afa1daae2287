//! The agent's own log records as OTLP logs: the SDK batches them on a thread of its own, our client posts them.
//!
//! Nothing here goes through `tracing`: what goes wrong on this way is said on standard error alone.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
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
use crate::outputs::otlp::{SCHEMA_URL, http::Client};

mod post;

/// Records that wait: a few hundred bytes each.
const QUEUE: usize = 1024;
const BATCH: usize = 256;
/// Between two requests while there is something to send. Each look costs a wake-up, so not every second.
const DELAY: Duration = Duration::from_secs(5);

const FAULT: &str = "log_export";

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
    /// What the last request met: why it failed, or how many records were refused and why.
    met: Mutex<Met>,
    faults: Mutex<Faults>,
    url: String,
    lines: Arc<Lines>,
}

#[derive(Debug, Default)]
struct Met {
    refused: u64,
    why: Option<String>,
}

impl Account {
    fn new(url: String, lines: Arc<Lines>) -> Self {
        let [offered, delivered, failed] = [0; 3].map(AtomicU64::new);
        Self { offered, delivered, failed, met: Mutex::default(), faults: Mutex::default(), url, lines }
    }

    pub(super) fn records(&self) -> Records {
        // What is delivered was offered before: read in this order, the sum fits.
        let [delivered, failed] = [&self.delivered, &self.failed].map(|count| count.load(Ordering::Acquire));
        Records { offered: self.offered.load(Ordering::Acquire), delivered, failed }
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
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(why) = why else {
            if let Some(times) = faults.clear(FAULT) {
                let text = format!("log records reach {} again, after {times} failures", self.url);
                self.lines.say(Level::INFO, &text);
            }
            return;
        };
        if faults.raise(FAULT, &why) == super::faults::Say::Text {
            let text = format!(
                "log records cannot be sent to {}: {why}; they stand here only, and otlp.logs_endpoint = \"off\" keeps them from being sent",
                self.url
            );
            self.lines.say(Level::WARN, &text);
        }
    }
}

/// The SDK's end of the way, and its account.
pub(super) fn provider(
    settings: &Settings,
    logs: &Logs,
    lines: &Arc<Lines>,
) -> Result<(SdkLoggerProvider, Arc<Account>), DiagnosticsError> {
    let url = logs.http.url.to_string();
    let account = Arc::new(Account::new(url.clone(), Arc::clone(lines)));
    let post = Post::new(Client::new(logs.http.clone())?, logs.encoding, Arc::clone(&account))?;
    // What the crate would read from the environment is all given, or does not get past our client.
    let exporter = LogExporter::builder()
        .with_http()
        .with_http_client(post)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(logs.http.timeout)
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
        .with_log_processor(Offered(Arc::clone(&account)))
        .with_log_processor(BatchLogProcessor::builder(watched).with_batch_config(batches).build())
        .build();
    Ok((provider, account))
}

fn resource(settings: &Settings) -> Resource {
    let Settings { resource, added, .. } = settings;
    let all = added.own(resource).chain(added.more(resource));
    let all = all.map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()));
    Resource::builder_empty().with_schema_url(all, SCHEMA_URL).build()
}

/// Counts what is handed over, before the queue that may be full.
#[derive(Debug)]
struct Offered(Arc<Account>);

impl LogProcessor for Offered {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        self.0.offered.fetch_add(1, Ordering::AcqRel);
        // `tracing` names an event that has no name by its place in the source, which is no class of events.
        if record.event_name().is_some_and(|name| name.starts_with("event ")) {
            record.set_event_name("");
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
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
