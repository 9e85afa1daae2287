//! `/metrics`: a snapshot as OpenMetrics text 1.0.
//!
//! Names are those that Prometheus makes of the same metrics sent over OTLP; identity stands in labels. Samples carry
//! no timestamps, for a series with one is not seen to end. It stops at the text: who serves it is elsewhere.

use std::{collections::BTreeMap, fmt::Write};

use crate::{
    telemetry::{
        added::Added,
        catalog::{self, Entity, Kind, Metric},
        names,
        snapshot::{Histogram, Phase, Resource, Series, Snapshot, Value},
    },
    units::Nanos,
};

/// Media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// By how much the scale of histograms of workloads and devices is lowered: four buckets become one. Every bucket is a line, and there
/// can be thousands of these histograms. Over OTLP, where empty buckets cost nothing, they are as fine as they were counted.
const COARSER: i32 = 2;

/// All series but those that are gone, by family, in the order of the catalogue. What the operator adds to all resources
/// stands once, in `target_info`: as labels of each series it would make them other series when it changes.
pub fn render(snapshot: &Snapshot, added: &Added) -> String {
    let mut families: Vec<Family> = catalog::ALL.iter().map(|metric| Family::new(metric)).collect();
    for entity in &snapshot.entities {
        let who = identity(&entity.resource, added);
        for series in entity.series.iter().filter(|series| series.phase != Phase::Gone) {
            if let Some(family) = families.get_mut(catalog::position(series.metric)) {
                family.add(series, &who);
            }
        }
    }
    let text: String = families.into_iter().map(Family::text).collect();
    target_info(added) + &text + "# EOF\n"
}

/// The first family, as OpenMetrics wants it.
fn target_info(added: &Added) -> String {
    // Two attributes may make one label: the first has it.
    let named: BTreeMap<String, &str> =
        added.attributes.iter().rev().map(|(key, value)| (names::label(key), value.as_str())).collect();
    let labels = joined(named.iter().map(|(key, value)| (key.as_str(), *value)));
    if labels.is_empty() {
        return String::new();
    }
    format!(
        "# TYPE target info\n# HELP target What is configured to be said of all resources.\ntarget_info{{{labels}}} 1\n"
    )
}

/// A metric with the lines of its samples so far.
struct Family {
    metric: &'static Metric,
    name: String,
    keys: Vec<String>,
    samples: String,
}

impl Family {
    fn new(metric: &'static Metric) -> Self {
        let keys = metric.attributes.iter().map(|key| names::label(key)).collect();
        Self { metric, name: names::family(metric), keys, samples: String::new() }
    }

    fn add(&mut self, series: &Series, who: &str) {
        let own = joined(self.keys.iter().map(String::as_str).zip(series.attributes.iter().map(AsRef::as_ref)));
        let labels = with(who, &own);
        let mut line = |suffix, value: &str| line(&mut self.samples, &self.name, suffix, &labels, value);
        match (series.metric.kind, &series.value) {
            (Kind::Gauge, Value::Number(value)) => line("", &number(*value)),
            (Kind::Sum, Value::Number(value)) => {
                line("_total", &number(*value));
                line("_created", &seconds(series.start));
            }
            (Kind::Histogram, Value::Histogram(histogram)) => {
                let lower = if series.metric.entity == Entity::Agent { 0 } else { COARSER };
                buckets(
                    &histogram.coarser(histogram.scale.saturating_sub(lower)),
                    &self.name,
                    &labels,
                    &mut self.samples,
                );
                self::line(&mut self.samples, &self.name, "_created", &labels, &seconds(series.start));
            }
            // No value of the metric's kind: there is nothing true to write.
            (Kind::Gauge | Kind::Sum, Value::Histogram(_)) | (Kind::Histogram, Value::Number(_)) => {}
        }
    }

    fn text(self) -> String {
        if self.samples.is_empty() {
            return String::new();
        }
        let Self { metric, name, samples, .. } = self;
        let kind = match metric.kind {
            Kind::Sum => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = names::unit(metric).map(|unit| format!("# UNIT {name} {unit}\n")).unwrap_or_default();
        format!("# TYPE {name} {kind}\n{unit}# HELP {name} {}\n{samples}", escaped(metric.help))
    }
}

/// The labels of a resource, without braces.
fn identity(resource: &Resource, added: &Added) -> String {
    let named: Vec<_> = added.own(resource).map(|(key, value)| (names::label(key), value)).collect();
    joined(named.iter().map(|(key, value)| (key.as_str(), *value)))
}

/// Empty values are left out: in Prometheus they are the same as no label.
fn joined<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let filled = labels.filter(|(_, value)| !value.is_empty());
    let labels: Vec<_> = filled.map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    labels.join(",")
}

/// Label values and help texts have the same three escapes.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('"', r#"\""#)
}

fn with(labels: &str, more: &str) -> String {
    let parts: Vec<&str> = [labels, more].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(",")
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &str, value: &str) {
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    // Writing to a string cannot fail.
    let _: std::fmt::Result = writeln!(out, "{name}{suffix}{braces} {value}");
}

/// Every bucket of the histogram, empty ones too: edges that come and go break rates over them.
fn buckets(histogram: &Histogram, name: &str, labels: &str, out: &mut String) {
    let mut edge = |at: &str, count: u64| {
        line(out, name, "_bucket", &with(labels, &format!("le=\"{at}\"")), &count.to_string());
    };
    let mut below = histogram.zero;
    edge(&number(histogram.zero_threshold), below);
    for (upper, count) in histogram.edges() {
        below = below.saturating_add(count);
        // Values above what a number can hold are in the last bucket of all.
        if upper.is_finite() && upper > histogram.zero_threshold {
            edge(&number(upper), below);
        }
    }
    edge("+Inf", below);
    line(out, name, "_sum", labels, &number(histogram.sum));
    line(out, name, "_count", labels, &below.to_string());
}

/// The shortest digits that read back as the same number; a whole one with `.0`, as edges of buckets want it.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value if value.fract().abs() > 0.0 => value.to_string(),
        value => format!("{value:.1}"),
    }
}

/// Seconds since 1970, to the nanosecond.
fn seconds(at: Nanos) -> String {
    format!("{}.{:09}", at.0 / 1_000_000_000, at.0 % 1_000_000_000)
}

#[cfg(test)]
mod tests;
