//! The figures of the truth suite as a page.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context, Result};
use serde_json::Value;

use super::beside::{self, Beside};
use crate::shell::{self, say};

const PAGE: &str = "docs/accuracy.md";
const HEAD: &str = "<!-- Written by `cargo xtask vm accuracy --write`. Do not edit. -->

# How accurate the figures are

The daemon runs in a virtual machine of two sockets whose powercap zones are simulated: busy CPUs cost 10 W on one socket and
25 W on the other, memory 1.5 W and 2.5 W, and the simulator, a kernel module, keeps its own account of who used what. The
figures are what a receiver was told over OTLP in the end, as sums. Machines are emulated in software: from Linux 6.5 on their time
is that of the instructions they execute, 2 ns each, so that the host's load is not seen; what the agent reads takes some times as
long as on hardware, and what runs meanwhile is misplaced.

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
    /// Where it ran.
    scaphandre: Option<Beside>,
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
        Ok(Self {
            title: text(&value, "title")?,
            rows: list(&value, "rows")?.iter().map(Row::read).collect::<Result<_>>()?,
            notes: texts(&value, "notes")?,
            missed: list(&value, "missed")?.len(),
            scaphandre: Beside::read(&value)?,
        })
    }

    fn write(&self, page: &mut String) -> Result<()> {
        writeln!(page, "### {}\n", self.title)?;
        if self.missed > 0 {
            writeln!(page, "**Missed: {} of its limits.**\n", self.missed)?;
        }
        if !self.rows.is_empty() {
            writeln!(page, "| workload | zone | truth, J | told, J | error | allowed |\n|---|---|---|---|---|---|")?;
            self.rows.iter().try_for_each(|row| writeln!(page, "{}", row.cells()))?;
            writeln!(page)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(page, "- {note}"))?;
        self.scaphandre.iter().try_for_each(|beside| beside.write(page))
    }
}

impl Row {
    fn read(value: &Value) -> Result<Self> {
        Ok(Self {
            workload: text(value, "workload")?,
            zone: text(value, "zone")?,
            truth: number(value, "truth_uj")?,
            told: number(value, "told_uj")?,
            allowed: value.get("allowed").and_then(Value::as_f64),
        })
    }

    fn cells(&self) -> String {
        let error = error(self.told, self.truth);
        let allowed = self.allowed.map_or_else(|| "–".to_owned(), |allowed| format!("{} %", allowed * 100.0));
        let Self { workload, zone, .. } = self;
        format!("| {workload} | {zone} | {} | {} | {error} | {allowed} |", joules(self.truth), joules(self.told))
    }
}

/// Microjoules in joules.
pub(super) fn joules(microjoules: i64) -> String {
    format!("{}{}.{:06}", sign(microjoules), whole(microjoules), rest(microjoules))
}

/// How far a figure is from its truth.
pub(super) fn error(told: i64, truth: i64) -> String {
    let error = 100.0 * (told - truth) as f64 / truth as f64;
    if error.is_finite() { format!("{error:+.3} %") } else { "–".to_owned() }
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

pub(super) fn text(value: &Value, key: &str) -> Result<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {key}"))
}

pub(super) fn texts(value: &Value, key: &str) -> Result<Vec<String>> {
    Ok(list(value, key)?.iter().map(|text| text.as_str().unwrap_or_default().to_owned()).collect())
}

pub(super) fn number(value: &Value, key: &str) -> Result<i64> {
    value.get(key).and_then(Value::as_i64).with_context(|| format!("no {key}"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).with_context(|| format!("no {key}"))
}

/// Adds what Scaphandre told in machines of its own.
pub(super) fn join(figures: &mut Figures, beside: Figures) {
    for (release, scenarios) in beside {
        for (name, told) in scenarios {
            if let Some(scenario) = figures.get_mut(&release).and_then(|scenarios| scenarios.get_mut(&name)) {
                scenario.scaphandre = told.scaphandre;
            }
        }
    }
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
    if figures.values().flat_map(BTreeMap::values).any(|scenario| scenario.scaphandre.is_some()) {
        page += &beside::head();
    }
    for (release, scenarios) in figures {
        writeln!(page, "## Linux {release}\n")?;
        for scenario in scenarios.values() {
            scenario.write(&mut page)?;
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
        assert!(page.ends_with("| b | dram | 0.000000 | -0.000005 | – | – |\n\n- closes\n"), "{page}");
        assert!(!page.contains("Scaphandre"), "{page}");
    }

    #[test]
    fn scaphandre_is_explained_where_it_ran() {
        let record =
            r#"{"title":"Idle","rows":[],"notes":["closes"],"missed":[],"scaphandre":{"rows":[],"notes":["ran"]}}"#;
        let scenario = Scenario::read(record.as_bytes()).unwrap();
        let figures = Figures::from([("6.12".to_owned(), BTreeMap::from([("idle".to_owned(), scenario)]))]);
        let page = page(&figures).unwrap();
        assert!(
            page.starts_with(&(HEAD.to_owned() + &beside::head() + "## Linux 6.12\n\n### Idle\n\n- closes\n")),
            "{page}"
        );
        assert!(page.ends_with("together:\n\n- ran\n"), "{page}");
    }

    #[test]
    fn half_a_record_is_refused() {
        for record in ["", "{}", r#"{"title":"a","rows":[{}],"notes":[],"missed":[]}"#] {
            assert!(Scenario::read(record.as_bytes()).is_err(), "{record}");
        }
    }
}
