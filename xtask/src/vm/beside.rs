//! Scaphandre's part of the accuracy page: what it told under the same loads as the agent.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use super::page::{error, joules, number, text, texts};
use crate::setup::peers::SCAPHANDRE;

const HEAD: &str = "as root and in a cgroup of its own. That is
a run apart, whose figures of wattrace are in its tables: it keeps a CPU busy, of which an emulated machine has few, and what runs
while the agent reads is misplaced. It was started so:
`scaphandre --vm json --step 1 --max-top-consumers 65535 --file FILE`. The figures are from its own output: the power of each
process of a workload, whose name is in the command lines of all of them, times the time since the report before; where a report
is missing between them, times a usual step. Its processes share what it takes for the energy of the host, which is what the
packages and memories of all sockets counted; so it is compared with both together. The platform's zone is hidden from it: it would
take that alone for the host, and in the simulator it has more than those and less. `--vm` does only this, it names
another folder of zones.

Of that energy it bills a process its part of the time of all CPUs, in which they may have been idle, so much is left over.
*Scaled* is what its figures would be if each report gave all of the host's energy to its processes, in proportion to what it
says of them. What it told of the host, and of the one socket that its reports name, is from the first report to the last, as is
what was used meanwhile. A step whose energy is below zero has no report. Nothing of this is held to a limit.
";

/// What the guest says of it in a scenario.
#[derive(Debug)]
pub(super) struct Beside {
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Row {
    workload: String,
    truth: i64,
    told: i64,
    scaphandre: i64,
    scaled: i64,
}

/// For the head of the page.
pub(super) fn head() -> String {
    format!("Scaphandre {} runs beside another agent, under the same loads at the same time, {HEAD}\n", SCAPHANDRE.1)
}

impl Beside {
    /// Reads it from the record of a scenario; nothing where it did not run.
    pub(super) fn read(record: &Value) -> Result<Option<Self>> {
        let Some(value) = record.get("scaphandre").filter(|value| !value.is_null()) else { return Ok(None) };
        let rows = value.get("rows").and_then(Value::as_array).context("no rows of Scaphandre")?;
        Ok(Some(Self { rows: rows.iter().map(Row::read).collect::<Result<_>>()?, notes: texts(value, "notes")? }))
    }

    /// A table, and what else there is to know.
    pub(super) fn write(&self, page: &mut String) -> Result<()> {
        writeln!(page, "\nScaphandre, package and dram together:\n")?;
        if !self.rows.is_empty() {
            writeln!(
                page,
                "| workload | truth, J | wattrace, J | error | Scaphandre, J | error | scaled, J | error |"
            )?;
            writeln!(page, "|---|---|---|---|---|---|---|---|")?;
            self.rows.iter().try_for_each(|row| writeln!(page, "{}", row.cells()))?;
            writeln!(page)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(page, "- {note}"))?;
        Ok(())
    }
}

impl Row {
    fn read(value: &Value) -> Result<Self> {
        Ok(Self {
            workload: text(value, "workload")?,
            truth: number(value, "truth_uj")?,
            told: number(value, "told_uj")?,
            scaphandre: number(value, "scaphandre_uj")?,
            scaled: number(value, "scaled_uj")?,
        })
    }

    fn cells(&self) -> String {
        let figure = |told| format!("{} | {}", joules(told), error(told, self.truth));
        let [ours, theirs, scaled] = [self.told, self.scaphandre, self.scaled].map(figure);
        format!("| {} | {} | {ours} | {theirs} | {scaled} |", self.workload, joules(self.truth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(record: &str) -> Result<Option<Beside>> {
        Beside::read(&serde_json::from_str(record).unwrap())
    }

    #[test]
    fn its_figures_stand_beside_ours() {
        let record = r#"{"scaphandre":{"rows":[{"workload":"a","truth_uj":2000000,"told_uj":2000000,"scaphandre_uj":0,
            "scaled_uj":3000000}],"notes":["it ended"]}}"#;
        let mut page = String::new();
        read(record).unwrap().unwrap().write(&mut page).unwrap();
        let row =
            "| a | 2.000000 | 2.000000 | +0.000 % | 0.000000 | -100.000 % | 3.000000 | +50.000 % |\n\n- it ended\n";
        assert!(page.starts_with("\nScaphandre, ") && page.ends_with(row), "{page}");
        assert!(head().contains(SCAPHANDRE.1));
    }

    #[test]
    fn without_it_there_is_nothing_and_half_of_it_is_refused() {
        assert!(read("{}").unwrap().is_none());
        assert!(read(r#"{"scaphandre":null}"#).unwrap().is_none());
        for record in
            [r#"{"scaphandre":{}}"#, r#"{"scaphandre":{"rows":[{}],"notes":[]}}"#, r#"{"scaphandre":{"rows":[]}}"#]
        {
            assert!(read(record).is_err(), "{record}");
        }
    }
}
