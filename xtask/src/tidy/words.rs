//! Words that must not stand in the tree: unsafe code outside its rooms, bare `allow`, ignored tests,
//! notes to do later, paths of one machine; and the words that must: module docs, inherited lints.

use super::{
    Finding,
    lex::{Token, tokens},
};

/// Where `unsafe` may stand. A name that ends in `/` is a folder.
const UNSAFE_ROOMS: [&str; 9] = [
    "agent-ebpf/",
    "agent-common/src/pod.rs",
    "agent/src/probes/bpf/",
    "agent/src/probes/bpf.rs",
    "agent/src/probes/sys.rs",
    "agent/src/privilege.rs",
    "tests/src/bin/lives.rs",
    "tests/src/bin/relay.rs",
    "tests/src/bin/sched-ext.rs",
];

/// `unsafe` stands in its rooms only.
pub(super) fn unsafe_code(path: &str, code: &str) -> Vec<Finding> {
    if UNSAFE_ROOMS.iter().any(|room| path == *room || (room.ends_with('/') && path.starts_with(room))) {
        return Vec::new();
    }
    let found = tokens(code).into_iter().filter(|token| token.text == "unsafe");
    found
        .map(|token| Finding::new(path, token.line, "`unsafe` outside its rooms (ARCHITECTURE.md, invariant 6)"))
        .collect()
}

/// No bare `allow`, no ignored test.
pub(super) fn attributes(path: &str, code: &str) -> Vec<Finding> {
    let tokens = tokens(code);
    let starts = (0..tokens.len()).filter_map(|at| tokens.get(at..));
    starts.filter_map(attribute).map(|(line, text)| Finding::new(path, line, text)).collect()
}

fn attribute(rest: &[Token<'_>]) -> Option<(usize, &'static str)> {
    let texts: Vec<&str> = rest.iter().take(4).map(|token| token.text).collect();
    let text = match texts.as_slice() {
        ["#", "[", "allow", ..] | ["#", "!", "[", "allow"] => {
            "a bare allow: use #[expect(lint, reason = \"…\")], which tells when it is no longer needed"
        }
        ["#", "[", "ignore", ..] => {
            "an ignored test: print `SKIPPED: reason` when it cannot run, so that it is counted"
        }
        _ => return None,
    };
    rest.first().map(|token| (token.line, text))
}

/// Every file says in its first line what it is for. A `tests.rs` says so by its name.
pub(super) fn module_docs(path: &str, text: &str) -> Option<Finding> {
    if path.ends_with("/tests.rs") {
        return None;
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!["));
    let documented = first.is_some_and(|line| line.starts_with("//!"));
    (!documented)
        .then(|| Finding::new(path, 1, "no module docs: start with `//!`, what the file is for and where it stops"))
}

/// No notes to do later: what is missing has a place in the documents, or is done.
pub(super) fn later(path: &str, text: &str) -> Vec<Finding> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let is_found =
        |line: &str| words.iter().any(|word| line.split(|c: char| !c.is_alphanumeric()).any(|part| part == *word));
    let found = text.lines().enumerate().filter(|(_, line)| is_found(line));
    found
        .map(|(at, _)| {
            Finding::new(path, at + 1, "a note to do later: do it, or say in a document what is absent and why")
        })
        .collect()
}

/// No path of one machine.
pub(super) fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let roots = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];
    let is_found = |line: &str| roots.iter().any(|root| starts_path(line, root));
    let found = text.lines().enumerate().filter(|(_, line)| is_found(line));
    found
        .map(|(at, _)| {
            Finding::new(path, at + 1, "a path of one machine: make it relative, or take it from the environment")
        })
        .collect()
}

/// Whether a path in `line` starts with `root`, and not a longer one with it inside.
fn starts_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~/}$".contains(c))
    })
}

/// A member takes its lints from the workspace.
pub(super) fn inherited_lints(path: &str, manifest: &str) -> Option<Finding> {
    let lines: Vec<&str> = manifest.lines().map(str::trim).collect();
    let inherits = lines.windows(2).any(|pair| pair == ["[lints]", "workspace = true"]);
    (!inherits).then(|| Finding::new(path, 1, "lints are not inherited: add `[lints]` with `workspace = true`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_has_its_rooms() {
        let code = "\nfn f() { unsafe { g() } }";
        assert_eq!(unsafe_code("agent/src/units.rs", code).len(), 1);
        assert_eq!(unsafe_code("agent/src/probes/bpf/load.rs", code).len(), 0);
        assert_eq!(unsafe_code("agent/src/units.rs", "#[expect(unsafe_code)] fn f() {}").len(), 0);
    }

    #[test]
    fn bare_allows_and_ignored_tests_are_found() {
        assert_eq!(attributes("x.rs", "#[allow(dead_code)]\n#![allow(x)]\n#[ignore]\n#[ignore = 1]").len(), 4);
        assert_eq!(attributes("x.rs", "#[expect(dead_code)] fn allow() {}").len(), 0);
    }

    #[test]
    fn a_file_without_docs_is_found() {
        assert!(module_docs("x.rs", "use a;\n//! late").is_some());
        assert!(module_docs("x.rs", "").is_some());
        assert!(module_docs("x/tests.rs", "").is_none());
        assert!(module_docs("x.rs", "\n//! What it is for.\nuse a;").is_none());
        assert!(module_docs("x.rs", "#![no_std]\n//! What it is for.").is_none());
    }

    #[test]
    fn notes_for_later_are_found() {
        assert_eq!(later("x.md", concat!("a\n// TO", "DO: b\nFIX", "ME")).len(), 2);
        assert_eq!(later("x.rs", concat!("TO", "DOS todo fixme")).len(), 0);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for line in [concat!("see /ho", "me/me/x"), concat!("\"/wo", "rk/x\""), concat!("=/ro", "ot/.cargo")] {
            assert_eq!(machine_paths("x.md", line).len(), 1, "{line}");
        }
        for line in [concat!("a/wo", "rk/x"), concat!("$X/ro", "ot/y"), "/sys/fs/cgroup"] {
            assert_eq!(machine_paths("x.md", line).len(), 0, "{line}");
        }
    }

    #[test]
    fn lints_of_ones_own_are_found() {
        assert!(inherited_lints("a/Cargo.toml", "[package]\n[lints.rust]\nx = \"allow\"").is_some());
        assert!(inherited_lints("a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n").is_none());
    }
}
