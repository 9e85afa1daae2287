//! The file that a Collector's file exporter writes: one request a line, in OTLP's JSON.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use serde_json::Value as Json;
use wattrace::identity::Triplet;

/// One number that was received.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) id: Triplet,
    /// `wattrace.cgroup.path`
    pub(super) cgroup: Option<String>,
    pub(super) metric: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) is_sum: bool,
    pub(super) start: u64,
    pub(super) at: u64,
    /// None: `NO_RECORDED_VALUE`.
    pub(super) value: Option<f64>,
}

/// Who, which metric, and the values of its attributes, sorted, those that do not apply left out.
pub(super) type Key = (Triplet, String, Vec<String>);

/// One life of a series: it, and since when it counts.
pub(super) type Life = (Key, u64);

/// The key of a series; values of attributes in any order.
pub(super) fn key(id: &Triplet, metric: &str, values: &[impl AsRef<str>]) -> Key {
    let mut values: Vec<String> = values.iter().map(|value| value.as_ref().to_owned()).collect();
    values.retain(|value| !value.is_empty());
    values.sort();
    (id.clone(), metric.to_owned(), values)
}

impl Point {
    pub(super) fn key(&self) -> Key {
        let values: Vec<&String> = self.attributes.values().collect();
        key(&self.id, &self.metric, &values)
    }
}

fn list<'a>(json: &'a Json, key: &str) -> &'a [Json] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

fn whole(json: &Json) -> u64 {
    json.as_str().map_or(0, |text| text.parse().unwrap())
}

fn attributes(json: &Json) -> BTreeMap<String, String> {
    let text = |pair: &Json| {
        let word = |value: &Json| value.as_str().unwrap().to_owned();
        (word(&pair["key"]), word(&pair["value"]["stringValue"]))
    };
    json.as_array().into_iter().flatten().map(text).collect()
}

/// All numbers of the file, in the order of their arrival. Histograms have tests of their own.
pub(super) fn received(file: &Path) -> Vec<Point> {
    let mut points = Vec::new();
    each(file, |point| points.push(point));
    points
}

/// As [`received`], for files that are long.
pub(super) fn each(file: &Path, mut take: impl FnMut(Point)) {
    let mut file = BufReader::new(File::open(file).unwrap());
    let mut line = String::new();
    // Of a line that is being written the end is missing.
    while file.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
        let request: Json = serde_json::from_str(&line).unwrap();
        line.clear();
        for resource in list(&request, "resourceMetrics") {
            let who = attributes(&resource["resource"]["attributes"]);
            for metric in list(resource, "scopeMetrics").iter().flat_map(|scope| list(scope, "metrics")) {
                numbers(&who, metric).into_iter().for_each(&mut take);
            }
        }
    }
}

fn numbers(who: &BTreeMap<String, String>, metric: &Json) -> Vec<Point> {
    let get = |key: &str| who.get(key).unwrap_or_else(|| panic!("{who:?} has no {key}")).clone();
    let id = Triplet {
        namespace: get("service.namespace"),
        name: get("service.name"),
        instance: get("service.instance.id"),
    };
    let is_sum = metric.get("sum").is_some();
    if is_sum {
        assert_eq!(metric["sum"]["aggregationTemporality"], 2, "cumulative: {metric}");
        assert_eq!(metric["sum"]["isMonotonic"], true, "{metric}");
    }
    let data = if is_sum { &metric["sum"] } else { &metric["gauge"] };
    let point = |point: &Json| Point {
        id: id.clone(),
        cgroup: who.get("wattrace.cgroup.path").cloned(),
        metric: metric["name"].as_str().unwrap().to_owned(),
        attributes: attributes(&point["attributes"]),
        is_sum,
        start: whole(&point["startTimeUnixNano"]),
        at: whole(&point["timeUnixNano"]),
        value: if point["flags"] == 1 { None } else { Some(point["asDouble"].as_f64().unwrap()) },
    };
    data["dataPoints"].as_array().into_iter().flatten().map(point).collect()
}
