//! The agent's own log records, from the event to a receiver on loopback; and what is said when they do not get there.

use std::{collections::BTreeMap, fs::File, io::Read, time::Duration};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::{LogRecord, SeverityNumber},
};
use prost::Message;
use tracing::{Dispatch, debug, dispatcher, error, info, warn};
use wattrace::{
    config::{self, Config, Flags},
    diagnostics::{self, Diagnostics, Records, Settings, faults::Faults},
    outputs::otlp::http::proxy::Proxies,
    telemetry::{added::Added, describe::Host},
};
use wattrace_tests::receiver::{Fault, Receiver, Request, closed_port};

/// A test that needs longer hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// Diagnostics of one test, and what is on their standard error.
struct Said {
    diagnostics: Diagnostics,
    dispatch: Dispatch,
    stderr: File,
}

fn start(file: &str) -> Result<Said> {
    let config = config::parse("w.toml".as_ref(), file, &BTreeMap::new(), &Flags::default())?.config;
    start_with(&config)
}

fn start_with(config: &Config) -> Result<Said> {
    let host = Host { id: "4711".into(), name: Some("node-1".into()) };
    let config::Resource { attributes, service_name } = config.resource.clone();
    let settings = Settings::new(config, &host, Added { attributes, service_name }, Proxies::default())?;
    let stderr = tempfile::tempfile()?;
    let (diagnostics, subscriber) = diagnostics::prepare(&settings, stderr.try_clone()?.into(), None)?;
    Ok(Said { diagnostics, dispatch: Dispatch::new(subscriber), stderr })
}

impl Said {
    fn of<T>(&self, events: impl FnOnce() -> T) -> T {
        dispatcher::with_default(&self.dispatch, events)
    }

    /// The final account, and the lines.
    fn stop(self, within: Duration) -> Result<(Option<Records>, String)> {
        let records = self.diagnostics.stop(within);
        let mut text = String::new();
        // The descriptor shares its place with the writer's.
        rustix::fs::seek(&self.stderr, rustix::fs::SeekFrom::Start(0))?;
        (&self.stderr).read_to_string(&mut text)?;
        Ok((records, text))
    }
}

fn decoded(requests: &[Request]) -> Result<Vec<ExportLogsServiceRequest>> {
    let taken = requests.iter().filter(|request| request.path == "/v1/logs");
    taken.map(|request| Ok(ExportLogsServiceRequest::decode(&*request.body)?)).collect()
}

fn records(requests: &[Request]) -> Result<Vec<LogRecord>> {
    let resources = decoded(requests)?.into_iter().flat_map(|request| request.resource_logs);
    Ok(resources.flat_map(|logs| logs.scope_logs).flat_map(|scope| scope.log_records).collect())
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}

fn pairs(attributes: &[KeyValue]) -> Vec<String> {
    attributes.iter().map(|pair| format!("{}={}", pair.key, text(pair.value.as_ref()))).collect()
}

fn bodies(requests: &[Request]) -> Result<Vec<String>> {
    Ok(records(requests)?.iter().map(|record| text(record.body.as_ref())).collect())
}

const fn all(delivered: u64) -> Records {
    Records { offered: delivered, delivered, failed: 0 }
}

#[test]
fn events_arrive_as_log_records_of_the_agent() -> Result<()> {
    let receiver = Receiver::start(|_| Fault::None)?;
    let said = start(&format!(
        "otlp.endpoint = \"{}\"\notlp.headers.token = \"t\"\nresource.attributes = {{ site = \"lab\", \"host.name\" = \"x\" }}",
        receiver.endpoint()
    ))?;
    said.of(|| {
        info!(target: "wattrace::pipeline", "measuring every {}", "15s");
        warn!(target: "wattrace::pipeline", lost = 3, why = %"full", "data is lost");
        error!(name: "wattrace.totals.lost", target: "wattrace::pipeline", kept = false, "totals are lost");
        debug!(target: "wattrace::pipeline", "a detail below the level");
        error!(target: "hyper", "what a library says");
    });
    let (counts, lines) = said.stop(DEADLINE)?;
    assert_eq!(counts, Some(all(3)));
    assert_eq!(
        lines,
        "INFO measuring every 15s\nWARN data is lost lost=3 why=full\nERROR totals are lost kept=false\n\
         ERROR what a library says\n"
    );

    let requests = receiver.requests();
    assert_eq!(requests[0].header("token"), Some("t"));
    assert_eq!(requests[0].header("content-type"), Some("application/x-protobuf"));
    assert_eq!(requests[0].header("content-encoding"), Some("gzip"));
    let found = records(&requests)?;
    assert_eq!(bodies(&requests)?, ["measuring every 15s", "data is lost", "totals are lost"]);
    let severities: Vec<_> = found.iter().map(|record| (record.severity_number(), &*record.severity_text)).collect();
    let [info, warn, error] = [SeverityNumber::Info, SeverityNumber::Warn, SeverityNumber::Error];
    assert_eq!(severities, [(info, "INFO"), (warn, "WARN"), (error, "ERROR")]);
    assert_eq!(pairs(&found[1].attributes), ["lost=3", "why=full"]);
    assert_eq!(pairs(&found[2].attributes), ["kept=false"]);
    let names: Vec<&str> = found.iter().map(|record| &*record.event_name).collect();
    assert_eq!(names, ["", "", "wattrace.totals.lost"]);
    assert!(found.iter().all(|record| record.observed_time_unix_nano > 0));

    let request = decoded(&requests)?.remove(0);
    let resource = request.resource_logs[0].resource.clone().unwrap_or_default();
    let mut attributes = pairs(&resource.attributes);
    attributes.sort();
    let version = format!("service.version={}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        attributes,
        [
            "host.id=4711",
            "host.name=node-1",
            "service.instance.id=4711/agent",
            "service.name=agent",
            "service.namespace=wattrace",
            &*version,
            "site=lab",
        ]
    );
    assert_eq!(request.resource_logs[0].scope_logs[0].scope.clone().unwrap_or_default().name, "wattrace::pipeline");
    Ok(())
}

#[test]
fn a_broken_data_path_is_reported_where_log_records_go() -> Result<()> {
    let receiver = Receiver::start(|_| Fault::None)?;
    let said = start(&format!(
        "otlp.endpoint = \"http://{}\"\notlp.logs_endpoint = \"{}\"\notlp.compression = \"none\"",
        closed_port()?,
        receiver.endpoint()
    ))?;
    let mut faults = Faults::default();
    said.of(|| {
        for _ in 0..5 {
            let why = "connection refused";
            if faults.raise("metric_export", why) == diagnostics::faults::Say::Text {
                warn!(target: "wattrace::commands::run", why, "metrics cannot be sent");
            }
        }
    });
    let (counts, lines) = said.stop(DEADLINE)?;
    assert_eq!(counts, Some(all(1)), "{lines}");
    assert_eq!(bodies(&receiver.requests())?, ["metrics cannot be sent"]);
    assert_eq!(receiver.requests()[0].header("content-encoding"), None);
    Ok(())
}

#[test]
fn a_receiver_without_logs_is_said_once_on_standard_error() -> Result<()> {
    let receiver = Receiver::start(|_| Fault::status(404))?;
    let said = start(&format!("otlp.endpoint = \"{}\"", receiver.endpoint()))?;
    // More than one batch: each fails.
    said.of(|| (0..600).for_each(|at| info!(target: "wattrace", at, "said")));
    let (counts, lines) = said.stop(DEADLINE)?;
    assert_eq!(counts, Some(Records { offered: 600, delivered: 0, failed: 600 }));
    assert!(receiver.count() > 1);
    let about: Vec<&str> = lines.lines().filter(|line| line.starts_with("WARN ")).collect();
    let expected = format!(
        "WARN log records cannot be sent to {}/v1/logs: HTTP 404; they stand here only, \
         and otlp.logs_endpoint = \"off\" keeps them from being sent",
        receiver.endpoint()
    );
    assert_eq!(about, [expected]);
    assert_eq!(lines.lines().count(), 601);
    Ok(())
}

#[test]
fn refused_records_are_counted_and_their_reason_is_said() -> Result<()> {
    let receiver = Receiver::start(|_| Fault::partial(2, "too old"))?;
    let said = start(&format!("otlp.endpoint = \"{}\"", receiver.endpoint()))?;
    said.of(|| (0..3).for_each(|at| info!(target: "wattrace", at, "said")));
    let (counts, lines) = said.stop(DEADLINE)?;
    assert_eq!(counts, Some(Records { offered: 3, delivered: 1, failed: 2 }));
    assert!(lines.contains(": 2 were refused: too old; "), "{lines}");
    Ok(())
}

#[test]
fn a_short_fault_costs_no_record() -> Result<()> {
    let receiver = Receiver::start(|at| if at == 0 { Fault::status(503) } else { Fault::None })?;
    let said = start(&format!("otlp.endpoint = \"{}\"", receiver.endpoint()))?;
    said.of(|| info!(target: "wattrace", "said"));
    assert_eq!(said.stop(DEADLINE)?.0, Some(all(1)));
    Ok(())
}

#[test]
fn a_receiver_that_never_answers_holds_nobody_up_and_takes_no_memory_without_end() -> Result<()> {
    let receiver = Receiver::start(|_| Fault::Stall)?;
    let said = start(&format!("otlp.endpoint = \"{}\"\notlp.timeout = \"5m\"", receiver.endpoint()))?;
    said.of(|| (0..5_000).for_each(|at| info!(target: "wattrace", at, "said")));
    // What finds the queue full is counted at once; the receiver has told nothing of the rest.
    let lost = said.diagnostics.lost_records().unwrap_or_default();
    assert!((1..5_000).contains(&lost), "{lost}");
    let (counts, lines) = said.stop(Duration::from_millis(50))?;
    assert_eq!(counts, Some(Records { offered: 5_000, delivered: 0, failed: 0 }));
    assert!(
        lines.ends_with("WARN 5000 log records were not sent: the queue was full, or time ran out\n"),
        "{}",
        lines.len()
    );
    Ok(())
}

#[test]
fn many_threads_may_speak_at_once() -> Result<()> {
    let receiver = Receiver::start(|_| Fault::None)?;
    let said = start(&format!("otlp.endpoint = \"{}\"", receiver.endpoint()))?;
    let speak = |dispatch: Dispatch, of: usize| {
        let events = move || (0..50).for_each(|at| info!(target: "wattrace", of, at, "said"));
        std::thread::spawn(move || dispatcher::with_default(&dispatch, events))
    };
    let speakers: Vec<_> = (0..4).map(|of| speak(said.dispatch.clone(), of)).collect();
    for speaker in speakers {
        assert!(speaker.join().is_ok());
    }
    let (counts, lines) = said.stop(DEADLINE)?;
    assert_eq!(counts, Some(all(200)));
    assert_eq!(records(&receiver.requests())?.len(), 200);
    assert_eq!(lines.lines().filter(|line| line.starts_with("INFO said of=")).count(), 200);
    Ok(())
}

#[test]
fn without_a_destination_lines_are_all() -> Result<()> {
    let said = start("")?;
    said.of(|| info!(target: "wattrace", "said"));
    assert_eq!(said.stop(DEADLINE)?, (None, "INFO said\n".to_owned()));
    Ok(())
}
