//! What Prometheus calls a metric and a label that it was sent over OTLP.
//!
//! The rules are those of Prometheus' default translation, `UnderscoreEscapingWithSuffixes`, as written in
//! `metric_namer.go`, `unit_namer.go` and `label_namer.go` of prometheus/otlptranslator:
//!
//! 1. A name is cut at every character but letters, digits and `:`; its parts are joined by `_`.
//! 2. A unit is cut at its first `/`. Each half is translated to words if the table knows it, left out if it
//!    has braces, and else kept, what is no letter, digit or `:` made one `_`. The second half gets `per_` before it.
//!    So `g/(kW.h)` is `grams` and `per_kW_h`: no word is known for the kilowatt-hour.
//! 3. Each half is appended to the name unless it is a part of it already.
//! 4. Monotonic sums end in `total`, gauges of unit `1` in `ratio`.

use super::catalog::{Kind, Metric};

/// The table of rule 2: the units of the catalogue and those that may join it.
const WORDS: [(&str, &str); 9] = [
    ("s", "seconds"),
    ("By", "bytes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
    ("1", ""),
];

/// The table of rule 2 after a `/`.
const PER_WORDS: [(&str, &str); 4] = [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day")];

/// Name of the samples of a metric: `wattrace_workload_energy_joules_total`.
pub fn sample(metric: &Metric) -> String {
    let family = family(metric);
    if metric.kind == Kind::Sum { family + "_total" } else { family }
}

/// Name of the metric's family in OpenMetrics: that of its samples without `_total`.
pub fn family(metric: &Metric) -> String {
    let mut parts: Vec<&str> = metric.name.split(is_foreign).filter(|part| !part.is_empty()).collect();
    let (whole, per) = halves(metric.unit);
    for half in [&whole, &per] {
        if !half.is_empty() && !parts.contains(&half.as_str()) {
            parts.push(half);
        }
    }
    let last = match metric.kind {
        Kind::Sum => Some("total"),
        Kind::Gauge if metric.unit == "1" => Some("ratio"),
        Kind::Gauge | Kind::Histogram => None,
    };
    parts.retain(|part| Some(*part) != last);
    parts.extend(last.filter(|last| *last == "ratio"));
    parts.join("_")
}

/// The unit that the family's name ends with, as OpenMetrics wants it; `None`: its name has none.
pub fn unit(metric: &Metric) -> Option<String> {
    let (whole, per) = halves(metric.unit);
    let unit = match (metric.unit, metric.kind) {
        ("1", Kind::Gauge) => "ratio".to_owned(),
        _ => [whole, per].into_iter().filter(|half| !half.is_empty()).collect::<Vec<_>>().join("_"),
    };
    let is_last = family(metric).strip_suffix(&unit).is_some_and(|rest| rest.ends_with('_'));
    (!unit.is_empty() && is_last).then_some(unit)
}

/// Name of the label for an attribute: every character but letters, digits and `_` becomes `_`.
pub fn label(key: &str) -> String {
    let name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("key_{name}") } else { name }
}

fn is_foreign(c: char) -> bool {
    !c.is_ascii_alphanumeric() && c != ':'
}

/// The words for the two halves of a unit, the second one with its `per_`.
fn halves(unit: &str) -> (String, String) {
    let (whole, per) = unit.split_once('/').unwrap_or((unit, ""));
    let per = words(per, &PER_WORDS);
    (words(whole, &WORDS), if per.is_empty() { per } else { format!("per_{per}") })
}

fn words(half: &str, table: &[(&str, &str)]) -> String {
    let half = half.trim();
    if half.contains(['{', '}']) {
        return String::new();
    }
    if let Some((_, word)) = table.iter().find(|(unit, _)| *unit == half) {
        return (*word).to_owned();
    }
    half.split(is_foreign).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::{
        super::catalog::{ALL, Entity},
        *,
    };

    fn named(name: &'static str, unit: &'static str, kind: Kind) -> Metric {
        Metric { name, unit, kind, entity: Entity::Node, attributes: &[], help: "" }
    }

    /// Names as prometheus/otlptranslator builds them.
    #[test]
    fn names_are_those_of_the_translator() {
        let rows = [
            ("wattrace.workload.energy", "J", Kind::Sum, "wattrace_workload_energy_joules_total", Some("joules")),
            ("hw.power", "W", Kind::Gauge, "hw_power_watts", Some("watts")),
            ("process.cpu.time", "s", Kind::Sum, "process_cpu_time_seconds_total", Some("seconds")),
            ("process.memory.usage", "By", Kind::Gauge, "process_memory_usage_bytes", Some("bytes")),
            ("wattrace.node.carbon", "g", Kind::Sum, "wattrace_node_carbon_grams_total", Some("grams")),
            ("wattrace.node.pue", "1", Kind::Gauge, "wattrace_node_pue_ratio", Some("ratio")),
            ("a.ratio.b", "1", Kind::Gauge, "a_b_ratio", Some("ratio")),
            ("a.tries", "1", Kind::Sum, "a_tries_total", None),
            ("a.total.tries", "{try}", Kind::Sum, "a_tries_total", None),
            (
                "grid.carbon_intensity",
                "g/(kW.h)",
                Kind::Gauge,
                "grid_carbon_intensity_grams_per_kW_h",
                Some("grams_per_kW_h"),
            ),
            ("disk.io", "By/s", Kind::Gauge, "disk_io_bytes_per_second", Some("bytes_per_second")),
            ("disk.ops", "{op}/s", Kind::Gauge, "disk_ops_per_second", Some("per_second")),
            ("a.seconds.wait", "s", Kind::Histogram, "a_seconds_wait", None),
            ("a.duration", "s", Kind::Histogram, "a_duration_seconds", Some("seconds")),
            ("a..b-c__d", "", Kind::Gauge, "a_b_c_d", None),
        ];
        for (name, ucum, kind, expected, suffix) in rows {
            let metric = named(name, ucum, kind);
            assert_eq!((sample(&metric).as_str(), unit(&metric).as_deref()), (expected, suffix), "{name}");
        }
    }

    #[test]
    fn every_row_gets_a_valid_name() {
        for metric in ALL {
            let name = sample(metric);
            let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
            assert!(name.starts_with(is_first), "{name}");
            assert!(name.chars().all(|c| is_first(c) || c.is_ascii_digit()), "{name}");
            assert!(metric.unit.starts_with('{') || metric.kind == Kind::Sum || unit(metric).is_some(), "{name}");
        }
    }

    #[test]
    fn labels_start_with_a_letter() {
        assert_eq!(label("wattrace.energy.zone"), "wattrace_energy_zone");
        assert_eq!(label("9a-ß"), "key_9a__");
    }
}
