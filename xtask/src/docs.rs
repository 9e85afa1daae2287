//! `cargo xtask docs`: writes the documents that follow from the program, and checks them.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, Result, ensure};

use crate::shell::{self, say};

/// The reference of the command line, below the workspace.
pub const COMMAND_LINE: &str = "docs/cli.md";

const HEAD: &str =
    "<!-- Written by `cargo xtask docs` from the program's own help. Do not edit. -->\n\n# Command line of wattrace\n";

/// Write the documents that follow from the program's own help
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask docs           after a change of the command line; then commit docs/
  cargo xtask docs --check   are the committed documents in step? (part of tidy)")]
pub struct Args {
    /// Compare only; change nothing
    #[arg(long)]
    pub check: bool,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    let root = shell::root();
    let Some(text) = command_line()? else {
        say("docs: the program has no help, there is nothing to write");
        return Ok(ExitCode::SUCCESS);
    };
    if args.check {
        compare(&root, &text)?;
        say(format_args!("{COMMAND_LINE} is in step"));
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(root.join("docs")).context("cannot create docs/")?;
    fs::write(root.join(COMMAND_LINE), text).with_context(|| format!("cannot write {COMMAND_LINE}"))?;
    say(format_args!("wrote {COMMAND_LINE}"));
    Ok(ExitCode::SUCCESS)
}

/// Whether the committed documents are what the program says now.
pub fn check(root: &Path) -> Result<()> {
    command_line()?.map_or(Ok(()), |text| compare(root, &text))
}

fn compare(root: &Path, text: &str) -> Result<()> {
    let committed = fs::read_to_string(root.join(COMMAND_LINE)).unwrap_or_default();
    ensure!(
        committed == text,
        "{COMMAND_LINE} is not what `wattrace --help` says: run `cargo xtask docs` and commit it"
    );
    Ok(())
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
        assert!(compare(&root, "new").is_err());
        compare(&root, "old").unwrap();
    }
}
