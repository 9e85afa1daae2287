//! Requests against those that `prost` makes of the protocol's own definition.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource as ResourceMessage,
};
use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;
use wattrace_common::events::{ClosedEvent, ExitEvent, Head, Who};

use super::*;
use crate::{
    attribution::ledger::Cgroup,
    identity::{Triplet, Workload},
    samples::{Event, Exec, Instant},
    telemetry::{
        events::{Clocks, Happened, Price},
        snapshot::Resource,
    },
    units::Microjoules,
};

const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";
const OBSERVED: Nanos = Nanos(77);

fn resource(name: &str) -> Arc<Resource> {
    let id = Triplet { namespace: "test".to_owned(), name: name.to_owned(), instance: format!("host/{name}") };
    let attributes = vec![("service.name", id.name.clone()), ("service.instance.id", id.instance.clone())];
    Arc::new(Resource { id, attributes })
}

fn occurrences(name: &str, events: Vec<Event>) -> Occurrences {
    let happened = Happened {
        workload: Arc::new(Workload::unattributed("host")),
        cgroup: Some(Cgroup { id: 1, path: "/x".to_owned() }),
        price: Price::new(Microjoules(5), Nanos(7)),
        events,
    };
    let end = Instant { monotonic: Nanos(1 << 40), boottime: Nanos(1 << 41), wall: Nanos(1 << 60) };
    Occurrences { resource: resource(name), clocks: Clocks::after(None, end), happened }
}

fn expected(of: &[Occurrences]) -> ExportLogsServiceRequest {
    let entity = |of: &Occurrences| ResourceLogs {
        resource: Some(ResourceMessage {
            attributes: of.resource.attributes.iter().map(|(key, value)| pair(key, text(value))).collect(),
            ..ResourceMessage::default()
        }),
        scope_logs: vec![ScopeLogs {
            scope: Some(InstrumentationScope {
                name: "wattrace".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            log_records: of.records().map(|event| record(&event)).collect(),
            schema_url: SCHEMA.to_owned(),
        }],
        schema_url: SCHEMA.to_owned(),
    };
    let resource_logs = of.iter().filter(|of| !of.happened.events.is_empty()).map(entity).collect();
    ExportLogsServiceRequest { resource_logs }
}

fn record(event: &LogEvent) -> LogRecord {
    let value = |value: &LogValue| match value {
        LogValue::Text(is) => text(is),
        LogValue::Texts(texts) => {
            any_value::Value::ArrayValue(ArrayValue { values: texts.iter().map(|is| holding(text(is))).collect() })
        }
        LogValue::Int(number) => any_value::Value::IntValue(*number),
        LogValue::Double(number) => any_value::Value::DoubleValue(*number),
        LogValue::Bool(is) => any_value::Value::BoolValue(*is),
    };
    LogRecord {
        time_unix_nano: event.at.0,
        observed_time_unix_nano: OBSERVED.0,
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        attributes: event.attributes.iter().map(|(key, is)| pair(key.name, value(is))).collect(),
        event_name: event.event.name.to_owned(),
        ..LogRecord::default()
    }
}

fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

fn holding(value: any_value::Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(holding(value)), ..KeyValue::default() }
}

fn chunks(encoder: &mut LogEncoder, of: &[Occurrences]) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    encoder.encode(of, OBSERVED, |chunk| chunks.push(chunk));
    chunks
}

fn decoded(chunk: &Chunk) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest::decode(&*chunk.bytes).unwrap()
}

fn any_event() -> impl Strategy<Value = Event> {
    let bytes = |most| vec(any::<u8>(), 0..most);
    (any::<[u64; 6]>(), any::<[u32; 4]>(), any::<[u8; 16]>(), bytes(64), bytes(1_024), 0..3_u8).prop_map(
        |(numbers, small, comm, file, args, kind)| {
            let head = Head { at: numbers[0], ..Head::default() };
            let who = Who { start: numbers[1], tgid: small[0], parent: small[1], comm };
            match kind {
                0 => Event::Exec(Exec { head, who, file, args, is_cut: small[2].is_multiple_of(2) }),
                1 => {
                    let (cpu, read, written) = (numbers[2], numbers[3], numbers[4]);
                    Event::Exit(ExitEvent { head, who, cpu, read, written, status: small[2], reason: small[3] % 5 })
                }
                _ => {
                    let (sent, received, rtt) = (numbers[3], numbers[4], numbers[5]);
                    let (role, family) = (small[0] % 4, small[1] % 3);
                    let closed = ClosedEvent { head, sent, received, rtt, role, family, ..ClosedEvent::default() };
                    Event::Closed(ClosedEvent { local: comm, peer: comm, established: numbers[1], ..closed })
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn requests_are_what_the_protocol_says(
        of in vec((select(&["a", "b"][..]), vec(any_event(), 0..4)), 0..5)
    ) {
        let of: Vec<_> = of.into_iter().map(|(name, events)| occurrences(name, events)).collect();
        let chunks = chunks(&mut LogEncoder::default(), &of);
        prop_assert!(chunks.len() <= 1);
        let told = chunks.first().map(decoded).unwrap_or_default();
        prop_assert_eq!(told, expected(&of));
        let records: usize = of.iter().map(|of| of.happened.events.len()).sum();
        prop_assert_eq!(chunks.iter().map(|chunk| chunk.points).sum::<u64>(), records as u64);
    }
}

fn execs(count: usize, args: usize) -> Vec<Event> {
    let exec = Exec {
        head: Head::default(),
        who: Who::default(),
        file: b"/bin/true".into(),
        args: [&vec![b'a'; args][..], &[0]].concat(),
        is_cut: false,
    };
    vec![Event::Exec(exec); count]
}

#[test]
fn chunks_are_cut_between_resources_and_a_large_one_stands_in_several() {
    let of = [occurrences("a", execs(1_000, 600)), occurrences("b", execs(3, 10))];
    let limit = 300 << 10;
    let chunks = chunks(&mut LogEncoder::new(Bytes(limit)), &of);
    assert!(chunks.len() > 2 && chunks.iter().all(|chunk| chunk.bytes.len() as u64 <= limit));
    let whole: Vec<_> = chunks.iter().flat_map(|chunk| decoded(chunk).resource_logs).collect();
    for (name, records) in [("a", 1_000), ("b", 3)] {
        let own = whole
            .iter()
            .filter(|logs| logs.resource == expected(&[occurrences(name, execs(1, 1))]).resource_logs[0].resource);
        assert_eq!(own.map(|logs| logs.scope_logs[0].log_records.len()).sum::<usize>(), records, "{name}");
    }
    assert!(chunks.iter().any(|chunk| chunk.split().is_some()), "a large one can be cut again");
}

#[test]
fn what_the_operator_adds_is_in_the_resource() {
    let mut encoder = LogEncoder::default();
    encoder.add(Added { attributes: [("env".to_owned(), "lab".to_owned())].into(), service_name: None });
    let chunks = chunks(&mut encoder, &[occurrences("a", execs(1, 1))]);
    let logs = decoded(&chunks[0]).resource_logs.remove(0);
    assert!(logs.resource.unwrap().attributes.contains(&pair("env", text("lab"))));
}
