//! Events of a workload, as a receiver has them beside its metrics.

use std::{
    collections::BTreeMap,
    io::Read,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
};
use prost::Message;
use wattrace_tests::receiver::{Fault, Receiver};

use super::{
    agent::{Agent, Place},
    received::{points, until_received},
};
use crate::support::{Cgroup, live, until};

const SECRET: &str = "hunter2correcthorse";

#[derive(Clone, Debug)]
struct Record {
    resource: BTreeMap<String, String>,
    name: String,
    at: u64,
    attributes: BTreeMap<String, String>,
}

impl Record {
    fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

/// Events that were acknowledged, in the order in which they came; the agent's own log records are none.
fn records(receiver: &Receiver) -> Vec<Record> {
    let requests = receiver.requests().into_iter().filter(|request| request.taken && request.path == "/v1/logs");
    let whole = requests.flat_map(|request| ExportLogsServiceRequest::decode(&*request.body).unwrap().resource_logs);
    let of_resource = |logs: opentelemetry_proto::tonic::logs::v1::ResourceLogs| {
        let resource = attributes(&logs.resource.unwrap().attributes);
        let records = logs.scope_logs.into_iter().flat_map(|scope| scope.log_records);
        let events = records.filter(|record| record.event_name.starts_with("wattrace."));
        let record = move |record: opentelemetry_proto::tonic::logs::v1::LogRecord| {
            assert!(record.body.is_none() && record.severity_number == 9, "{record:?}");
            assert!(record.observed_time_unix_nano >= record.time_unix_nano, "{record:?}");
            Record {
                resource: resource.clone(),
                name: record.event_name,
                at: record.time_unix_nano,
                attributes: attributes(&record.attributes),
            }
        };
        events.map(record).collect::<Vec<_>>()
    };
    whole.flat_map(of_resource).collect()
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    pairs.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap()))).collect()
}

fn text(value: &AnyValue) -> String {
    match value.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(is) => is.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::ArrayValue(array) => array.values.iter().map(text).collect::<Vec<_>>().join(" "),
        other => panic!("of another kind: {other:?}"),
    }
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// A daemon that tells events; `None`: it cannot here.
fn start(place: &Place, receiver: &Receiver, events: &str) -> Agent {
    place.configure(&format!("[agent]\ninterval = \"1s\"\n[events]\n{events}"));
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    assert!(!agent.said().contains("no events are sent"), "{}", agent.said());
    agent
}

/// Joins the cgroup, says hello to a server, and becomes another program, which is given a secret and ends with 3.
fn child_in(cgroup: &Cgroup, port: u16) -> Child {
    let script = format!(
        "echo $$ > {}/cgroup.procs; exec 3<>/dev/tcp/127.0.0.1/{port}; printf hello >&3; exec 3>&-; \
         exec /bin/sh -c 'exit 3' --password {SECRET}",
        cgroup.path.display()
    );
    Command::new("bash").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap()
}

#[test]
fn what_a_workload_does_arrives_under_its_resource() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let every =
        "process_exec = true\nprocess_exit = true\ntcp_connection_closed = true\nargs = \"redacted\"\nenergy = true\n";
    let agent = start(&place, &receiver, every);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let cgroup = Cgroup::new();
    let from = now();
    let mut child = child_in(&cgroup, port);
    let mut said = String::new();
    listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let to = now();
    cgroup.remove();
    let of_it = |name: &str| {
        let all = records(&receiver).into_iter();
        let own = all.filter(|record| record.resource.get("wattrace.cgroup.path") == Some(&cgroup.name));
        own.filter(|record| record.name == name).collect::<Vec<_>>()
    };
    for name in ["wattrace.process.exec", "wattrace.process.exit", "wattrace.tcp.connection.closed"] {
        until(&format!("{name} arrives"), || !of_it(name).is_empty());
    }
    let points = until_received(&receiver, "metrics of the workload", |points| {
        points.iter().any(|point| point.is_of(&cgroup.name) && point.metric == "wattrace.workload.cpu.time")
    });
    agent.stop();
    let resource = &points.iter().find(|point| point.is_of(&cgroup.name)).unwrap().resource;
    let pid = child.id().to_string();

    let [exec] = &of_it("wattrace.process.exec")[..] else { panic!("{:?}", of_it("wattrace.process.exec")) };
    assert_eq!(&exec.resource, resource);
    assert_eq!((exec.attribute("process.pid"), exec.attribute("process.executable.path")), (&*pid, "/bin/sh"));
    assert_eq!(exec.attribute("process.parent_pid"), std::process::id().to_string());
    assert_eq!(exec.attribute("process.command_args"), "/bin/sh -c exit 3 --password [redacted]");

    let [exit] = &of_it("wattrace.process.exit")[..] else { panic!("{:?}", of_it("wattrace.process.exit")) };
    assert_eq!(&exit.resource, resource);
    assert_eq!((exit.attribute("process.pid"), exit.attribute("process.exit.code")), (&*pid, "3"));
    assert_eq!(exit.attribute("wattrace.process.exit.reason"), "error");
    assert_eq!(exit.attribute("process.creation.time"), exec.attribute("process.creation.time"));
    assert!(exec.at >= from && exec.at <= exit.at && exit.at <= to, "{from} {exec:?} {exit:?} {to}");
    let seconds = |key| exit.attribute(key).parse::<f64>().unwrap();
    assert!(seconds("wattrace.process.cpu.time") > 0.0, "{exit:?}");
    assert!(seconds("wattrace.process.duration") <= Duration::from_nanos(to - from).as_secs_f64(), "{exit:?}");

    let [closed] = &of_it("wattrace.tcp.connection.closed")[..] else {
        panic!("{:?}", of_it("wattrace.tcp.connection.closed"))
    };
    assert_eq!(&closed.resource, resource);
    assert_eq!(closed.attribute("network.peer.port"), port.to_string());
    assert_eq!(closed.attribute("wattrace.tcp.role"), "client");
    assert_eq!((closed.attribute("wattrace.tcp.sent"), closed.attribute("network.peer.address")), ("5", "127.0.0.1"));
    let told = receiver.requests();
    let leaks = told.iter().filter(|request| request.body.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    assert_eq!(leaks.count(), 0, "the secret left the machine");
}

#[test]
fn what_is_not_asked_for_is_not_sent() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let agent = start(&place, &receiver, "process_exit = true\n");
    let cgroup = Cgroup::new();
    let script = format!("echo $$ > {}/cgroup.procs; exec /bin/sh -c 'kill -9 $$'", cgroup.path.display());
    let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    child.wait().unwrap();
    cgroup.remove();
    let of_it = || {
        let all = records(&receiver).into_iter();
        all.filter(|record| record.attribute("process.pid") == child.id().to_string()).collect::<Vec<_>>()
    };
    until("the exit arrives", || !of_it().is_empty());
    agent.stop();
    let [exit] = &of_it()[..] else { panic!("{:?}", of_it()) };
    assert_eq!(exit.name, "wattrace.process.exit");
    assert_eq!(exit.attribute("wattrace.process.exit.signal"), "9");
    assert!(!exit.attributes.contains_key("process.exit.code"), "{exit:?}");
    assert!(!exit.attributes.contains_key("wattrace.process.energy"), "{exit:?}");
    let kinds: Vec<_> = records(&receiver).into_iter().map(|record| record.name).collect();
    assert!(kinds.iter().all(|kind| kind == "wattrace.process.exit"), "{kinds:?}");
    let dropped = points(&receiver).into_iter().filter(|point| point.metric == "wattrace.agent.events.dropped");
    let reasons: Vec<_> = dropped.map(|point| point.attribute("wattrace.agent.drop.reason").to_owned()).collect();
    assert!(reasons.contains(&"ring_full".to_owned()), "{reasons:?}");
}
