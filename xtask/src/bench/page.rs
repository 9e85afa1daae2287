//! Pages of figures: where they are kept, and what is needed to judge them.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result, ensure};
use aya::programs::loaded_programs;

use crate::shell::{self, say};

// No doc comment: clap would take it for that of the verb.
#[derive(clap::Args)]
pub(super) struct Kept {
    /// Write the tables to their page in docs/
    #[arg(long)]
    write: bool,
    /// The day written there, as YYYY-MM-DD; by default that of `$BENCH_DATE`
    #[arg(long)]
    date: Option<String>,
}

impl Kept {
    /// The day of the figures, without which no page is kept.
    pub(super) fn day(&self) -> Result<Option<String>> {
        let day = self.date.clone().or_else(|| std::env::var("BENCH_DATE").ok());
        ensure!(!self.write || day.is_some(), "a page of figures needs a day: give --date or set BENCH_DATE");
        Ok(day)
    }

    /// Shows a page, and writes it if that is wanted.
    pub(super) fn show(&self, page: &str, text: &str) -> Result<ExitCode> {
        println!("\n{text}");
        if self.write {
            write(page, text)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the figures were measured on.
pub(super) struct Machine {
    processor: String,
    cpus: usize,
    kernel: String,
    load: String,
    programs: usize,
}

/// Asks the machine, before anything is attached.
pub(super) fn machine() -> Result<Machine> {
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let cpuinfo = read("/proc/cpuinfo")?;
    Ok(Machine {
        processor: processor(&cpuinfo).unwrap_or("an unnamed processor").to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        load: read("/proc/loadavg")?.split(' ').take(2).collect::<Vec<_>>().join(" and "),
        programs: loaded_programs().count(),
    })
}

fn processor(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map(|(_, name)| name.trim())
}

/// What the figures were measured on, for people.
pub(super) fn sentence(machine: &Machine, date: Option<&str>) -> String {
    let Machine { processor, cpus, kernel, load, programs } = machine;
    let day = date.map(|date| format!(", {date}")).unwrap_or_default();
    format!(
        "{processor}, {cpus} CPUs, Linux {kernel}{day}. Load average before (1 and 5 minutes): {load}; \
         kernel programs of others: {programs}."
    )
}

/// Writes a page to where it is kept, below the workspace.
fn write(page: &str, text: &str) -> Result<()> {
    let path = shell::root().join(page);
    let folder = path.parent().context("the page has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(&path, text).with_context(|| format!("cannot write {page}"))?;
    say(format_args!("wrote {page}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_its_name() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: A B-1\n"), Some("A B-1"));
        assert_eq!(processor("CPU implementer\t: 0x41\n"), None);
    }
}
