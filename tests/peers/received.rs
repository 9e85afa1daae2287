//! The file that a Collector's file exporter writes: one request a line, in OTLP's JSON.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value as Json;
use wattrace::identity::Triplet;

/// One number that was received.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) id: Triplet,
    pub(super) metric: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) is_sum: bool,
    pub(super) start: u64,
    pub(super) at: u64,
    /// None: `NO_RECORDED_VALUE`.
    pub(super) value: Option<f64>,
}

/// Who, which metric, and the values of its attributes in the order of their keys.
pub(super) type Key = (Triplet, String, Vec<String>);

impl Point {
    pub(super) fn key(&self) -> Key {
        (self.id.clone(), self.metric.clone(), self.attributes.values().cloned().collect())
    }
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
    let text = fs::read_to_string(file).unwrap();
    // Of a line that is being written the end is missing.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let request: Json = serde_json::from_str(line).unwrap();
        let list = |json: &Json, key: &str| json[key].as_array().cloned().unwrap_or_default();
        for resource in list(&request, "resourceMetrics") {
            let who = attributes(&resource["resource"]["attributes"]);
            for metric in list(&resource, "scopeMetrics").iter().flat_map(|scope| list(scope, "metrics")) {
                points.extend(numbers(&who, &metric));
            }
        }
    }
    points
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
        metric: metric["name"].as_str().unwrap().to_owned(),
        attributes: attributes(&point["attributes"]),
        is_sum,
        start: whole(&point["startTimeUnixNano"]),
        at: whole(&point["timeUnixNano"]),
        value: if point["flags"] == 1 { None } else { Some(point["asDouble"].as_f64().unwrap()) },
    };
    data["dataPoints"].as_array().into_iter().flatten().map(point).collect()
}
