//! Imports of the agent go left only: a table of allowed edges between its top-level modules.

use super::{
    Finding,
    lex::{Token, tokens},
};

/// Everything left of the outputs, in the order of the flow.
const PURE: [&str; 6] = ["units", "samples", "identity", "attribution", "carbon", "telemetry"];

/// Which modules a module may name, besides itself. Types stand left of who uses them: `Reading` is the
/// samples' although the probes fill it.
const ALLOWED: [(&str, &[&str]); 19] = [
    ("units", &[]),
    ("table", &[]),
    ("clock", &["units", "samples"]),
    ("samples", &["units"]),
    ("identity", &["units", "table", "samples"]),
    ("attribution", &["units", "table", "samples", "identity"]),
    ("carbon", &["units", "table", "samples", "identity", "attribution"]),
    ("telemetry", &["units", "samples", "identity", "attribution", "carbon"]),
    ("probes", &["units", "clock", "samples", "identity"]),
    ("outputs", &PURE),
    ("config", &["units", "attribution"]),
    ("privilege", &[]),
    ("health", &["units"]),
    ("diagnostics", &["config", "outputs", "telemetry"]),
    (
        "pipeline",
        &[
            "units",
            "clock",
            "samples",
            "identity",
            "attribution",
            "carbon",
            "telemetry",
            "probes",
            "outputs",
            "config",
            "privilege",
            "health",
        ],
    ),
    (
        "commands",
        &[
            "units",
            "clock",
            "samples",
            "identity",
            "attribution",
            "carbon",
            "telemetry",
            "probes",
            "outputs",
            "config",
            "privilege",
            "health",
            "diagnostics",
            "pipeline",
        ],
    ),
    ("cli", &["units", "identity", "telemetry", "outputs", "config", "commands"]),
    ("main", &["config", "cli", "commands"]),
    ("lib", &[]),
];

const SOURCES: &str = "agent/src/";

/// Checks one file of the agent; `code` is without comments and strings.
pub(super) fn check(path: &str, code: &str) -> Vec<Finding> {
    let Some(inside) = path.strip_prefix(SOURCES) else {
        return Vec::new();
    };
    let module = inside.split(['/', '.']).next().unwrap_or(inside);
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
        return vec![Finding::new(
            path,
            1,
            format!(
                "module `{module}` has no row in the table of allowed imports: add one to xtask/src/tidy/imports.rs"
            ),
        )];
    };
    let known = |name: &str| ALLOWED.iter().any(|(module, _)| *module == name);
    let named = named_modules(&tokens(code), depth(inside));
    let wrong =
        named.into_iter().filter(|name| known(name.text) && name.text != module && !allowed.contains(&name.text));
    wrong
        .map(|name| {
            Finding::new(
                path,
                name.line,
                format!(
                    "`{module}` must not name `{}`: imports go left only; move the type left or the code right",
                    name.text
                ),
            )
        })
        .collect()
}

/// How many modules a file lies below the crate's root.
fn depth(inside: &str) -> usize {
    let parts = inside.split('/').count();
    let is_folder = inside.ends_with("/mod.rs") || matches!(inside, "lib.rs" | "main.rs");
    if is_folder { parts - 1 } else { parts }
}

/// First names after every path that starts at the crate's root, in braces too.
fn named_modules<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<Token<'a>> {
    let mut found = Vec::new();
    let mut modules = Modules::default();
    for at in 0..tokens.len() {
        let rest = tokens.get(at..).unwrap_or_default();
        modules.see(rest);
        let before = at.checked_sub(1).and_then(|before| tokens.get(before)).map(|token| token.text);
        let skipped = match rest.first().map(|token| token.text) {
            Some("crate" | "wattrace") if before != Some("::") => 1,
            Some("super") if before != Some("::") => climb(rest, depth + modules.inline()),
            _ => 0,
        };
        if skipped > 0 && text(rest, skipped) == Some("::") {
            found.extend(heads(rest.get(skipped + 1..).unwrap_or_default()));
        }
    }
    found
}

fn text<'a>(tokens: &[Token<'a>], at: usize) -> Option<&'a str> {
    tokens.get(at).map(|token| token.text)
}

/// Tokens that `super::super…` takes when it climbs to the crate's root, else 0.
fn climb(tokens: &[Token<'_>], depth: usize) -> usize {
    let steps = tokens.iter().step_by(2);
    let supers = steps.take_while(|step| step.text == "super").count();
    if supers == depth { supers * 2 - 1 } else { 0 }
}

/// The names a path goes on with: one, or the first of each item in braces.
fn heads<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    if text(tokens, 0) != Some("{") {
        return tokens.first().copied().into_iter().collect();
    }
    let mut found = Vec::new();
    let mut braces = 0;
    let mut at_start = false;
    for token in tokens {
        match token.text {
            "{" => (braces, at_start) = (braces + 1, braces == 0),
            "}" => braces -= 1,
            "," => at_start = braces == 1,
            _ if at_start => {
                found.push(*token);
                at_start = false;
            }
            _ => {}
        }
        if braces == 0 {
            break;
        }
    }
    found
}

/// Inline modules around the current token.
#[derive(Default)]
struct Modules {
    braces: usize,
    opened: Vec<usize>,
}

impl Modules {
    fn see(&mut self, rest: &[Token<'_>]) {
        match text(rest, 0) {
            Some("mod") if text(rest, 2) == Some("{") => self.opened.push(self.braces + 1),
            Some("{") => self.braces += 1,
            Some("}") => {
                self.opened.retain(|&opened| opened < self.braces);
                self.braces = self.braces.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn inline(&self) -> usize {
        self.opened.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, code: &str) -> Vec<usize> {
        check(path, code).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn imports_to_the_right_are_found() {
        assert_eq!(lines("agent/src/units.rs", "\nuse crate::samples::Sample;"), [2]);
        assert_eq!(
            lines("agent/src/carbon/sci.rs", "use crate::{units::{Watts, outputs}, outputs::x, pipeline};"),
            [1, 1]
        );
        assert_eq!(lines("agent/src/samples/mod.rs", "fn f() { crate::probes::read() }"), [1]);
        assert_eq!(lines("agent/src/attribution/split.rs", "use super::super::outputs::Row;"), [1]);
        assert_eq!(lines("agent/src/units.rs", "mod tests { use super::super::outputs; }"), [1]);
        assert_eq!(lines("agent/src/main.rs", "use wattrace::outputs::x;"), [1]);
    }

    #[test]
    fn imports_to_the_left_pass() {
        assert_eq!(lines("agent/src/carbon/sci.rs", "use crate::{units::Watts, samples};"), [0; 0]);
        assert_eq!(lines("agent/src/carbon/sci.rs", "use super::outputs;"), [0; 0]);
        assert_eq!(lines("agent/src/pipeline.rs", "use crate::{probes, outputs};"), [0; 0]);
        assert_eq!(lines("agent/src/units.rs", "mod tests { use super::outputs; }"), [0; 0]);
        assert_eq!(lines("tests/src/lib.rs", "use wattrace::outputs;"), [0; 0]);
    }

    #[test]
    fn a_module_nobody_thought_about_is_found() {
        assert_eq!(lines("agent/src/helpers.rs", ""), [1]);
    }
}
