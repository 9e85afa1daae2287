//! Rules about the tree that neither the compiler nor clippy can hold. Each is a function over a path
//! and a text; `cargo test -p xtask` runs them all over the tree.

use std::{fmt, fs, path::Path, process::ExitCode};

use anyhow::{Context, Result};

use crate::{
    docs,
    shell::{self, say},
    sources,
};

mod imports;
mod lex;
mod purity;
mod size;
mod words;

/// Something in the tree that breaks a rule.
#[derive(Debug)]
pub struct Finding {
    /// Path below the workspace.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
    /// Whether it fails the run, or is only said.
    pub is_error: bool,
}

impl Finding {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into(), is_error: true }
    }

    fn warning(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { is_error: false, ..Self::new(path, line, text) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_error { "" } else { "warning: " };
        write!(f, "{}:{}: {kind}{}", self.path, self.line, self.text)
    }
}

/// Check the rules of the tree: import direction, purity, sizes, unsafe code, documents
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask tidy    the same rules run with `cargo test -p xtask`")]
pub struct Args {}

/// Runs the verb.
pub fn run(_: &Args) -> Result<ExitCode> {
    let mut findings = findings(&shell::root())?;
    findings.extend(docs_out_of_step(&shell::root()));
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.is_error).count();
    say(format_args!("tidy: {errors} errors, {} warnings", findings.len() - errors));
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything in the tree that breaks a rule.
pub fn findings(root: &Path) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for path in tracked_files(root)? {
        // A file may be listed and deleted, or be a link to nowhere.
        let Ok(bytes) = fs::read(root.join(&path)) else { continue };
        found.extend(file(&path, &String::from_utf8_lossy(&bytes)));
    }
    if let Err(error) = sources::check_fresh(root) {
        found.push(Finding::new(sources::RECORD, 1, error.to_string()));
    }
    Ok(found)
}

fn docs_out_of_step(root: &Path) -> Option<Finding> {
    docs::check(root).err().map(|error| Finding::new("docs", 1, error.to_string()))
}

fn file(path: &str, text: &str) -> Vec<Finding> {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let mut found = words::machine_paths(path, text);
    match extension {
        "rs" => found.extend(rust(path, text)),
        "toml" if is_member(path) => found.extend(words::inherited_lints(path, text)),
        _ => {}
    }
    if matches!(extension, "rs" | "toml" | "md" | "yaml" | "yml" | "sh") {
        found.extend(words::later(path, text));
    }
    found
}

fn rust(path: &str, text: &str) -> Vec<Finding> {
    let code = lex::code_only(text);
    let mut found = imports::check(path, &code);
    found.extend(purity::check(path, &code));
    found.extend(size::check(path, &code));
    found.extend(words::unsafe_code(path, &code));
    found.extend(words::attributes(path, &code));
    found.extend(words::module_docs(path, text));
    found
}

/// `agent-ebpf` is no member: another compiler builds it.
fn is_member(path: &str) -> bool {
    path.ends_with("/Cargo.toml") && !path.starts_with("agent-ebpf/") && !path.starts_with("tests/fuzz/")
}

/// What git tracks, or would if it were added; without git (a source archive) every file but results.
fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let mut git = shell::command("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    if root.join(".git").exists()
        && let Ok(list) = shell::output(&mut git)
    {
        return Ok(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect());
    }
    let mut found = Vec::new();
    walk(root, "", &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() {
            found.push(format!("{prefix}{name}"));
        } else if name != "target" && name != ".git" {
            walk(&entry.path(), &format!("{prefix}{name}/"), found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let found = findings(&shell::root()).unwrap();
        let errors: Vec<String> = found.iter().filter(|finding| finding.is_error).map(ToString::to_string).collect();
        assert!(errors.is_empty(), "\n{}", errors.join("\n"));
    }

    #[test]
    fn documents_are_in_step_with_the_program() {
        if let Some(finding) = docs_out_of_step(&shell::root()) {
            panic!("{finding}");
        }
    }

    #[test]
    fn every_rule_is_asked() {
        let bad = concat!(
            "use crate::outputs;\nuse std::fs;\n#[allow(x)]\nfn f() { unsafe {} } // TO",
            "DO in /ho",
            "me/me\n"
        );
        let lines: Vec<usize> = file("agent/src/samples/bad.rs", bad).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [4, 1, 2, 4, 3, 1, 4], "{bad}");
        assert_eq!(file("agent/Cargo.toml", "[package]\n").len(), 1);
        assert_eq!(file("agent-ebpf/Cargo.toml", "[package]\n").len(), 0);
    }

    #[test]
    fn a_tree_without_git_is_walked() {
        let mut found = Vec::new();
        walk(&shell::root().join("xtask"), "xtask/", &mut found).unwrap();
        assert!(found.iter().any(|path| path == "xtask/src/main.rs"));
    }
}
