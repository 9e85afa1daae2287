//! The figures of the truth suite as a page.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell::{self, say};

const PAGE: &str = "docs/accuracy.md";
const HEAD: &str = "<!-- Written by `cargo xtask vm accuracy --write`. Do not edit. -->

# How accurate the figures are

The daemon runs in a virtual machine of two sockets whose powercap zones are simulated: busy CPUs cost 10 W on one socket and
25 W on the other, memory 1.5 W and 2.5 W, and the simulator, a kernel module, keeps its own account of who used what. The
figures are what a receiver was told over OTLP in the end, as sums. Machines are emulated in
software, which adds errors of its own.

Every scenario is also held to this: workloads, idle and residual of a zone add up to what its meter counted, to the
microjoule; that is what was counted between two truths around the agent's first and last reading.

";

/// By kernel, then by scenario.
pub(super) type Figures = BTreeMap<String, BTreeMap<String, Scenario>>;

/// What the guest says of a scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    title: String,
    rows: Vec<Row>,
    notes: Vec<String>,
    missed: usize,
}

#[derive(Debug)]
struct Row {
    workload: String,
    zone: String,
    truth: i64,
    told: i64,
    allowed: Option<f64>,
}

impl Scenario {
    /// Reads a record of the guest.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes)?;
        let list = |key: &str| value.get(key).and_then(Value::as_array).with_context(|| format!("no {key}"));
        let texts =
            |key: &str| list(key).map(|list| list.iter().map(|text| text.as_str().unwrap_or_default().to_owned()));
        Ok(Self {
            title: text(&value, "title")?,
            rows: list("rows")?.iter().map(Row::read).collect::<Result<_>>()?,
            notes: texts("notes")?.collect(),
            missed: list("missed")?.len(),
        })
    }
}

impl Row {
    fn read(value: &Value) -> Result<Self> {
        let number = |key: &str| value.get(key).and_then(Value::as_i64).with_context(|| format!("no {key}"));
        Ok(Self {
            workload: text(value, "workload")?,
            zone: text(value, "zone")?,
            truth: number("truth_uj")?,
            told: number("told_uj")?,
            allowed: value.get("allowed").and_then(Value::as_f64),
        })
    }

    fn cells(&self) -> String {
        let joules = |microjoules: i64| format!("{}{}.{:06}", sign(microjoules), whole(microjoules), rest(microjoules));
        let error = 100.0 * (self.told - self.truth) as f64 / self.truth as f64;
        let error = if error.is_finite() { format!("{error:+.3} %") } else { "–".to_owned() };
        let allowed = self.allowed.map_or_else(|| "–".to_owned(), |allowed| format!("{} %", allowed * 100.0));
        let Self { workload, zone, .. } = self;
        format!("| {workload} | {zone} | {} | {} | {error} | {allowed} |", joules(self.truth), joules(self.told))
    }
}

const fn sign(microjoules: i64) -> &'static str {
    if microjoules < 0 { "-" } else { "" }
}

const fn whole(microjoules: i64) -> u64 {
    microjoules.unsigned_abs() / 1_000_000
}

const fn rest(microjoules: i64) -> u64 {
    microjoules.unsigned_abs() % 1_000_000
}

fn text(value: &Value, key: &str) -> Result<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {key}"))
}

/// Replaces the page.
pub(super) fn write(figures: &Figures) -> Result<()> {
    let path = shell::root().join(PAGE);
    fs::write(&path, page(figures)?).with_context(|| format!("cannot write {}", path.display()))?;
    say(format_args!("wrote {PAGE}"));
    Ok(())
}

fn page(figures: &Figures) -> Result<String> {
    let mut page = HEAD.to_owned();
    for (release, scenarios) in figures {
        writeln!(page, "## Linux {release}\n")?;
        for scenario in scenarios.values() {
            writeln!(page, "### {}\n", scenario.title)?;
            if scenario.missed > 0 {
                writeln!(page, "**Missed: {} of its limits.**\n", scenario.missed)?;
            }
            if !scenario.rows.is_empty() {
                writeln!(
                    page,
                    "| workload | zone | truth, J | told, J | error | allowed |\n|---|---|---|---|---|---|"
                )?;
                scenario.rows.iter().try_for_each(|row| writeln!(page, "{}", row.cells()))?;
                writeln!(page)?;
            }
            scenario.notes.iter().try_for_each(|note| writeln!(page, "- {note}"))?;
            writeln!(page)?;
        }
    }
    Ok(page.trim_end().to_owned() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_table() {
        let record = r#"{"title":"Idle","rows":[
            {"workload":"a","zone":"dram","truth_uj":2000000,"told_uj":1990001,"allowed":0.01},
            {"workload":"b","zone":"dram","truth_uj":0,"told_uj":-5,"allowed":null}],"notes":["closes"],"missed":["x"]}"#;
        let scenario = Scenario::read(record.as_bytes()).unwrap();
        let figures = Figures::from([("6.12".to_owned(), BTreeMap::from([("idle".to_owned(), scenario)]))]);
        let page = page(&figures).unwrap();
        assert!(page.contains("## Linux 6.12\n\n### Idle\n\n**Missed: 1 of its limits.**\n"), "{page}");
        assert!(page.contains("| a | dram | 2.000000 | 1.990001 | -0.500 % | 1 % |\n"), "{page}");
        assert!(page.contains("| b | dram | 0.000000 | -0.000005 | – | – |\n\n- closes\n"), "{page}");
    }

    #[test]
    fn half_a_record_is_refused() {
        for record in ["", "{}", r#"{"title":"a","rows":[{}],"notes":[],"missed":[]}"#] {
            assert!(Scenario::read(record.as_bytes()).is_err(), "{record}");
        }
    }
}
