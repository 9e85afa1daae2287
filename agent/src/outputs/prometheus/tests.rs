//! The text is OpenMetrics, line by line, whatever names workloads have.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{identity::Triplet, telemetry::snapshot::EntitySeries};

fn resource(name: &str) -> Arc<Resource> {
    let id = Triplet { namespace: "systemd".to_owned(), name: name.to_owned(), instance: format!("h/{name}") };
    Arc::new(Resource { attributes: id.attributes().into(), id })
}

fn series(metric: &'static Metric, attributes: &[&'static str], phase: Phase, value: Value) -> Series {
    let attributes = attributes.iter().map(|value| Cow::Borrowed(*value)).collect();
    Series { metric, attributes, start: Nanos(1_790_000_000_000_000_007), phase, value }
}

fn entity(name: &str, series: Vec<Series>) -> EntitySeries {
    EntitySeries { resource: resource(name), series }
}

fn snapshot(entities: Vec<EntitySeries>) -> Snapshot {
    Snapshot { number: 1, at: Nanos(1_790_000_015_000_000_000), entities }
}

fn rendered(snapshot: &Snapshot) -> String {
    render(snapshot, &Added::default())
}

fn histogram() -> Histogram {
    Histogram { scale: 1, offset: -2, buckets: vec![1, 0, 2], zero: 4, zero_threshold: 0.25, sum: 3.5 }
}

fn energy(joules: f64, phase: Phase) -> Series {
    series(&catalog::WORKLOAD_ENERGY, &["package", "active"], phase, Value::Number(joules))
}

#[test]
fn a_snapshot_as_text() {
    let cpu = |phase| series(&catalog::WORKLOAD_CPU_TIME, &["true"], phase, Value::Number(3.0));
    let available = series(&catalog::NODE_ENERGY_AVAILABLE, &[""], Phase::Live, Value::Number(1.0));
    let time = series(&catalog::COLLECT_DURATION, &["read"], Phase::Live, Value::Histogram(histogram()));
    let text = rendered(&snapshot(vec![
        entity("a.service", vec![energy(0.000_001, Phase::Born), cpu(Phase::Live)]),
        entity("b.service", vec![energy(12.5, Phase::Ended), cpu(Phase::Gone)]),
        entity("gone.service", vec![energy(7.0, Phase::Gone)]),
        entity("node", vec![available]),
        entity("agent", vec![time]),
    ]));
    let a = r#"service_namespace="systemd",service_name="a.service",service_instance_id="h/a.service""#;
    let b = a.replace("a.service", "b.service");
    let (agent, node) = (a.replace("a.service", "agent"), a.replace("a.service", "node"));
    let zone = r#"wattrace_energy_zone="package",wattrace_energy_state="active""#;
    let shared = r#"wattrace_cpu_shared="true""#;
    let stage = r#"wattrace_agent_stage="read""#;
    let expected = format!(
        r#"# TYPE wattrace_node_energy_available_ratio gauge
# UNIT wattrace_node_energy_available_ratio ratio
# HELP wattrace_node_energy_available_ratio {available}
wattrace_node_energy_available_ratio{{{node}}} 1.0
# TYPE wattrace_workload_energy_joules counter
# UNIT wattrace_workload_energy_joules joules
# HELP wattrace_workload_energy_joules Energy billed to the workload: state active for what it ran; state idle, by the policy `by_request` alone, for the CPUs that it has reserved, which is a part of the node's idle energy.
wattrace_workload_energy_joules_total{{{a},{zone}}} 0.000001
wattrace_workload_energy_joules_created{{{a},{zone}}} 1790000000.000000007
wattrace_workload_energy_joules_total{{{b},{zone}}} 12.5
wattrace_workload_energy_joules_created{{{b},{zone}}} 1790000000.000000007
# TYPE wattrace_workload_cpu_time_seconds counter
# UNIT wattrace_workload_cpu_time_seconds seconds
# HELP wattrace_workload_cpu_time_seconds {on_cpu}
wattrace_workload_cpu_time_seconds_total{{{a},{shared}}} 3.0
wattrace_workload_cpu_time_seconds_created{{{a},{shared}}} 1790000000.000000007
# TYPE wattrace_agent_collect_duration_seconds histogram
# UNIT wattrace_agent_collect_duration_seconds seconds
# HELP wattrace_agent_collect_duration_seconds Time a stage of one collection took.
wattrace_agent_collect_duration_seconds_bucket{{{agent},{stage},le="0.25"}} 4
wattrace_agent_collect_duration_seconds_bucket{{{agent},{stage},le="0.7071067811865476"}} 5
wattrace_agent_collect_duration_seconds_bucket{{{agent},{stage},le="1.0"}} 5
wattrace_agent_collect_duration_seconds_bucket{{{agent},{stage},le="1.4142135623730951"}} 7
wattrace_agent_collect_duration_seconds_bucket{{{agent},{stage},le="+Inf"}} 7
wattrace_agent_collect_duration_seconds_sum{{{agent},{stage}}} 3.5
wattrace_agent_collect_duration_seconds_count{{{agent},{stage}}} 7
wattrace_agent_collect_duration_seconds_created{{{agent},{stage}}} 1790000000.000000007
# EOF
"#,
        available = catalog::NODE_ENERGY_AVAILABLE.help,
        on_cpu = catalog::WORKLOAD_CPU_TIME.help
    );
    assert_eq!(text, expected);
    check(&text).unwrap();
}

#[test]
fn nothing_is_an_end_alone() {
    assert_eq!(rendered(&Snapshot::default()), "# EOF\n");
}

#[test]
fn what_is_added_stands_once_and_changes_no_series() {
    let attributes = [("deployment.environment.name", "lab \"1\""), ("a.b", "first"), ("a_b", "second")];
    let added = Added {
        attributes: attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        service_name: Some("mine".to_owned()),
    };
    let told = snapshot(vec![entity("a.service", vec![energy(1.0, Phase::Live)])]);
    let text = render(&told, &added);
    check(&text).unwrap();
    let head = "# TYPE target info\n# HELP target What is configured to be said of all resources.\n\
                target_info{a_b=\"first\",deployment_environment_name=\"lab \\\"1\\\"\"} 1\n";
    assert_eq!(text.strip_prefix(head), Some(rendered(&told).as_str()));
}

#[test]
fn histograms_of_workloads_have_wide_buckets() {
    let fine = Histogram { scale: 2, offset: -3, buckets: vec![1, 2, 3, 4, 5], ..histogram() };
    let wait = series(&catalog::WORKLOAD_SCHED_WAIT_DURATION, &[], Phase::Live, Value::Histogram(fine));
    let text = rendered(&snapshot(vec![entity("a.service", vec![wait])]));
    check(&text).unwrap();
    let edges: Vec<_> = text.lines().filter_map(|line| line.split_once("le=\"")).map(|(_, rest)| rest).collect();
    assert_eq!(edges, ["0.25\"} 4", "1.0\"} 10", "2.0\"} 19", "+Inf\"} 19"]);
}

#[test]
fn numbers_have_no_exponent() {
    let rows = [
        (f64::NAN, "NaN"),
        (-1.0 / 0.0, "-Inf"),
        (1.0 / 0.0, "+Inf"),
        (0.0, "0.0"),
        (1e21, "1000000000000000000000.0"),
    ];
    for (value, text) in rows {
        assert_eq!(number(value), text);
    }
    assert_eq!(number(2_f64.powi(-20)), "0.00000095367431640625");
}

#[test]
fn every_row_makes_a_family() {
    let one = |metric: &'static Metric| {
        let value = if metric.kind == Kind::Histogram { Value::Histogram(histogram()) } else { Value::Number(1.0) };
        series(metric, &["x"; 8][..metric.attributes.len()], Phase::Live, value)
    };
    let text = rendered(&snapshot(vec![entity("all", catalog::ALL.iter().map(|metric| one(metric)).collect())]));
    assert_eq!(check(&text).unwrap().len(), catalog::ALL.len());
}

#[test]
fn what_is_no_openmetrics_is_found() {
    let good = "# TYPE a counter\na_total{x=\"1\"} 1.0\na_created{x=\"1\"} 1.5\n";
    check(&format!("{good}# EOF\n")).unwrap();
    for bad in [
        good.to_owned(),
        format!("{good}\n# EOF\n"),
        format!("{good}a_total{{x=\"1\"}} 2.0\n# EOF\n"),
        format!("{good}# TYPE a counter\n# EOF\n"),
        format!("{good}b_total 1.0\n# EOF\n"),
        format!("{good}a_total{{x=\"2}} 1.0\n# EOF\n"),
        format!("{good}a_total{{x=\"\\t\"}} 1.0\n# EOF\n"),
        format!("{good}a_total{{x=\"2\",x=\"3\"}} 1.0\n# EOF\n"),
        format!("{good}a_total 1,0\n# EOF\n"),
        format!("# TYPE a counter\n# UNIT a seconds\n{good}# EOF\n"),
    ] {
        assert!(check(&bad).is_err(), "{bad}");
    }
}

proptest! {
    /// Names are other people's: quotes, newlines, backslashes and braces stay inside their label.
    #[test]
    fn names_break_no_line(names in vec(prop_oneof!["[\"\\\\\n{}=, #]{0,12}", any::<String>()], 1..6)) {
        let names: BTreeSet<String> = names.into_iter().collect();
        let entities = names.iter().map(|name| entity(name, vec![energy(1.0, Phase::Live)])).collect();
        let families = check(&rendered(&snapshot(entities))).map_err(TestCaseError::fail)?;
        let read: BTreeSet<String> = families["wattrace_workload_energy_joules"]
            .iter()
            .map(|labels| labels.get("service_name").cloned().unwrap_or_default())
            .collect();
        prop_assert_eq!(read, names);
    }
}

/// Labels of one sample.
type Labels = BTreeMap<String, String>;

/// Reads the text by the grammar of OpenMetrics 1.0 and returns the labels of each family's samples.
fn check(text: &str) -> Result<BTreeMap<String, Vec<Labels>>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no end")?;
    let mut families: BTreeMap<String, Vec<Labels>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut open: Option<(String, String)> = None;
    for line in body.split_terminator('\n') {
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').ok_or(line)?;
            let (name, rest) = rest.split_once(' ').ok_or(line)?;
            match word {
                "TYPE" if !families.contains_key(name) => {
                    families.insert(name.to_owned(), Vec::new());
                    open = Some((name.to_owned(), rest.to_owned()));
                }
                "UNIT" if name.ends_with(&format!("_{rest}")) => is_open(open.as_ref(), name)?,
                "HELP" => is_open(open.as_ref(), name)?,
                _ => return Err(line.to_owned()),
            }
            continue;
        }
        let (sample, labels, value) = sample(line).ok_or(line)?;
        let (family, kind) = open.as_ref().ok_or(line)?;
        let suffixes: &[&str] = match kind.as_str() {
            "counter" => &["_total", "_created"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count", "_created"],
            _ => return Err(line.to_owned()),
        };
        let suffix = sample.strip_prefix(family.as_str()).ok_or(line)?;
        let is_number = value == "+Inf" || value == "-Inf" || value == "NaN" || value.parse::<f64>().is_ok();
        if !suffixes.contains(&suffix) || !is_number || !seen.insert((sample.clone(), labels.clone())) {
            return Err(line.to_owned());
        }
        families.entry(family.clone()).or_default().push(labels);
    }
    Ok(families)
}

fn is_open(open: Option<&(String, String)>, name: &str) -> Result<(), String> {
    open.filter(|(family, _)| family == name).map(|_| ()).ok_or_else(|| name.to_owned())
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Option<(String, Labels, String)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (key, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(key) || key.contains(':') || labels.insert(key.to_owned(), value).is_some() {
                return None;
            }
            match after.strip_prefix(',') {
                Some(after) => rest = after,
                None => break rest = after.strip_prefix('}')?,
            }
        }
    }
    let value = rest.strip_prefix(' ')?;
    is_name(name).then(|| (name.to_owned(), labels, value.to_owned()))
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}
