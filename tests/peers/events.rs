//! Events as a Collector writes them down.

use std::{fs, path::Path};

use serde_json::Value as Json;

use super::{
    otelcol::Collector,
    programs::{Workload, agent, can_measure, peer, until},
};

/// Events that are written down, each with its resource. A line that is not finished is none.
fn events(file: &Path) -> Vec<(Json, Json)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    let all = |value: &Json, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for logs in lines.flat_map(|line| all(&line, "resourceLogs")) {
        let records = all(&logs, "scopeLogs").into_iter().flat_map(|scope| all(&scope, "logRecords"));
        let own =
            records.filter(|record| record["eventName"].as_str().is_some_and(|name| name.starts_with("wattrace.")));
        found.extend(own.map(|record| (logs["resource"].clone(), record)));
    }
    found
}

fn attribute<'a>(of: &'a Json, key: &str) -> &'a Json {
    let pairs = of["attributes"].as_array().map(Vec::as_slice).unwrap_or_default();
    pairs.iter().find(|pair| pair["key"] == key).map_or(&Json::Null, |pair| &pair["value"])
}

#[test]
fn a_collector_takes_events_with_all_kinds_of_values() {
    let Some(program) = peer("wattrace-otelcol") else { return };
    if !can_measure() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::new(program, folder.path());
    let mut running = collector.start();
    let config = folder.path().join("wattrace.toml");
    fs::write(&config, "[events]\nprocess_exec = true\nprocess_exit = true\nargs = \"redacted\"\n").unwrap();
    let endpoint = format!("http://{}", collector.otlp);
    let mut agent = agent(&["--endpoint", &endpoint, "--config", config.to_str().unwrap()], folder.path());
    let load = Workload::spin("0.2");
    let name = load.name.clone();
    load.end();
    let of_it = || {
        let all = events(&collector.logs).into_iter();
        all.filter(|(resource, _)| attribute(resource, "wattrace.cgroup.path")["stringValue"] == name.as_str())
            .collect::<Vec<_>>()
    };
    until("the end of the load arrives", || !of_it().is_empty());
    let found = of_it();
    let (_, exit) = found.iter().find(|(_, record)| record["eventName"] == "wattrace.process.exit").unwrap();
    assert_eq!(exit["severityText"], "INFO");
    assert_eq!(attribute(exit, "process.exit.code")["intValue"], "0");
    assert_eq!(attribute(exit, "process.executable.name")["stringValue"], "burn");
    let cpu = attribute(exit, "wattrace.process.cpu.time")["doubleValue"].as_f64().unwrap();
    assert!(cpu > 0.0, "{exit}");
    // It was started in the test's own cgroup.
    let args = |(_, record): &(Json, Json)| attribute(record, "process.command_args")["arrayValue"]["values"].clone();
    until("the start of the load arrives", || {
        events(&collector.logs).iter().map(args).any(|args| args[1]["stringValue"] == "spin")
    });
    assert!(agent.stop(), "{}", agent.said());
    assert!(running.stop());
}
