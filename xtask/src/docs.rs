//! `cargo xtask docs`: writes the documents that follow from the program, and checks them.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

use crate::shell::{self, say};

/// The reference of the command line, below the workspace.
pub const COMMAND_LINE: &str = "docs/cli.md";

/// The reference of the configuration.
const CONFIGURATION: &str = "docs/configuration.md";

/// The reference of the metrics.
pub const METRICS: &str = "docs/metrics.md";

/// The reference of the events.
const EVENTS: &str = "docs/events.md";

const HEAD: &str =
    "<!-- Written by `cargo xtask docs` from the program's own help. Do not edit. -->\n\n# Command line of wattrace\n";

const CONFIGURATION_HEAD: &str =
    "<!-- Written by `cargo xtask docs` from `wattrace config --reference`. Do not edit. -->\n\n";

/// Write the documents that follow from the program itself
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask docs           after a change of the command line, the configuration, the metrics or the events; then commit docs/
  cargo xtask docs --check   are the committed documents in step? (part of tidy)")]
pub struct Args {
    /// Compare only; change nothing
    #[arg(long)]
    pub check: bool,
}

/// A document as the program says it now.
struct Document {
    path: &'static str,
    text: String,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let root = shell::root();
    let documents = documents()?;
    if documents.is_empty() {
        say("docs: the program has no help, there is nothing to write");
    }
    for document in documents {
        if args.check {
            compare(&root, &document)?;
            say(format_args!("{} is in step", document.path));
        } else {
            write(&root, &document)?;
            say(format_args!("wrote {}", document.path));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the committed documents are what the program says now.
pub fn check(root: &Path) -> Result<()> {
    documents()?.iter().try_for_each(|document| compare(root, document))
}

fn write(root: &Path, document: &Document) -> Result<()> {
    fs::create_dir_all(root.join("docs")).context("cannot create docs/")?;
    fs::write(root.join(document.path), &document.text).with_context(|| format!("cannot write {}", document.path))
}

fn compare(root: &Path, document: &Document) -> Result<()> {
    let committed = fs::read_to_string(root.join(document.path)).unwrap_or_default();
    ensure!(
        committed == document.text,
        "{} is not what the program says: run `cargo xtask docs` and commit it",
        document.path
    );
    Ok(())
}

/// All of them; none while the program has no help.
fn documents() -> Result<Vec<Document>> {
    let Some(text) = command_line()? else { return Ok(Vec::new()) };
    let mut reference = shell::command(shell::program("debug"));
    let reference = shell::output(reference.args(["config", "--reference"]))?;
    Ok(vec![
        Document { path: COMMAND_LINE, text },
        Document { path: CONFIGURATION, text: format!("{CONFIGURATION_HEAD}{}\n", reference.trim()) },
        Document { path: METRICS, text: printed("metrics-reference")? },
        Document { path: EVENTS, text: printed("events-reference")? },
    ])
}

/// A reference as an example of the library prints it.
fn printed(example: &str) -> Result<String> {
    shell::output(shell::cargo().args(["run", "--quiet", "-p", "wattrace", "--example", example]))
}

/// The reference; nothing while the program has no help.
fn command_line() -> Result<Option<String>> {
    shell::run(shell::cargo().args(["build", "--quiet", "-p", "wattrace"]))?;
    let program = shell::program("debug");
    let help = |words: &[&str]| shell::output(shell::command(&program).args(words).arg("--help"));
    let top = help(&[])?;
    if top.is_empty() {
        return Ok(None);
    }
    let mut text = format!("{HEAD}{}", section("wattrace", &top));
    for name in subcommands(&top) {
        text.push_str(&section(&format!("wattrace {name}"), &help(&[name])?));
    }
    Ok(Some(text))
}

fn section(title: &str, help: &str) -> String {
    let lines: Vec<&str> = help.trim().lines().map(str::trim_end).collect();
    format!("\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n"))
}

/// The names in the help's list of commands.
fn subcommands(help: &str) -> Vec<&str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = list
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Who\n\nUsage: wattrace <COMMAND>\n\nCommands:\n  once    Show   \n            more\n  doctor  Look\n  help    Print\n\nOptions:\n  -h\n";

    #[test]
    fn subcommands_are_read_from_the_list_alone() {
        assert_eq!(subcommands(HELP), ["once", "doctor"]);
        assert_eq!(subcommands("Usage: x"), [""; 0]);
    }

    #[test]
    fn a_section_has_no_trailing_space() {
        assert_eq!(section("x", "a  \n\nb\n\n"), "\n## `x`\n\n```text\na\n\nb\n```\n");
    }

    #[test]
    fn documents_out_of_step_are_found() {
        let root = shell::root().join("target/xtask-tests/docs");
        fs::create_dir_all(root.join("docs")).unwrap();
        fs::write(root.join(COMMAND_LINE), "old").unwrap();
        let document = |text: &str| Document { path: COMMAND_LINE, text: text.to_owned() };
        assert!(compare(&root, &document("new")).is_err());
        compare(&root, &document("old")).unwrap();
    }
}
