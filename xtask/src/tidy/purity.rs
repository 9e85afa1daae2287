//! The pure core names no file system, network, environment, process, runtime, kernel or database.

use super::{
    Finding,
    lex::{Token, tokens},
};

/// Files that compute and do nothing else; a name that ends in `/` is a folder.
const PURE: [&str; 7] = [
    "agent/src/units.rs",
    "agent/src/table.rs",
    "agent/src/samples/",
    "agent/src/attribution/",
    "agent/src/carbon/",
    "agent/src/telemetry/",
    "agent/src/identity/",
];
/// Names come from outside: these two ask for them.
const DOORS: [&str; 2] = ["agent/src/identity/names.rs", "agent/src/identity/kubelet.rs"];
const STD: [&str; 4] = ["fs", "net", "env", "process"];
const CRATES: [&str; 3] = ["tokio", "aya", "rusqlite"];

/// Checks one file; `code` is without comments and strings.
pub(super) fn check(path: &str, code: &str) -> Vec<Finding> {
    let is_pure = PURE.iter().any(|pure| path == *pure || (pure.ends_with('/') && path.starts_with(pure)));
    if !is_pure || DOORS.contains(&path) {
        return Vec::new();
    }
    let tokens = tokens(code);
    let starts = (0..tokens.len()).filter_map(|at| tokens.get(at..));
    let named = starts.flat_map(impure);
    named
        .map(|(line, name)| {
            Finding::new(path, line, format!("a pure module must not name `{name}`: take the value as an argument"))
        })
        .collect()
}

fn impure(rest: &[Token<'_>]) -> Vec<(usize, String)> {
    let text = |at: usize| rest.get(at).map_or("", |token| token.text);
    let line = rest.first().map_or(0, |token| token.line);
    match (text(0), text(1)) {
        ("std", "::") => {
            let items = std_items(rest.get(2..).unwrap_or_default());
            items
                .into_iter()
                .filter(|item| STD.contains(&item.text))
                .map(|item| (item.line, format!("std::{}", item.text)))
                .collect()
        }
        (name, "::") if CRATES.contains(&name) => vec![(line, name.to_owned())],
        ("use", name) if CRATES.contains(&name) && text(2) != "::" => vec![(line, name.to_owned())],
        _ => Vec::new(),
    }
}

/// The item after `std::`, or every word of the braces after it.
fn std_items<'a>(rest: &[Token<'a>]) -> Vec<Token<'a>> {
    match rest.first() {
        Some(first) if first.text == "{" => rest.iter().take_while(|token| token.text != ";").copied().collect(),
        Some(first) => vec![*first],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_to_the_outside_are_found() {
        for code in [
            "use std::fs;",
            "use std::{fmt, net::IpAddr};",
            "fn f() { std::env::var(x) }",
            "use aya::Ebpf;",
            "use tokio;",
        ] {
            assert_eq!(check("agent/src/samples/window.rs", code).len(), 1, "{code}");
        }
    }

    #[test]
    fn what_only_computes_passes() {
        for code in ["use std::fmt;", "use std::{fmt, collections::BTreeMap};", "let fs = 1;", "use crate::units;"] {
            assert!(check("agent/src/samples/window.rs", code).is_empty(), "{code}");
        }
        assert!(check("agent/src/probes/procfs.rs", "use std::fs;").is_empty());
        assert!(check("agent/src/identity/names.rs", "use std::fs;").is_empty());
    }
}
