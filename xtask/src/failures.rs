//! What the tests that failed said, picked from all that a run of test programs printed: after an hour of other output
//! nobody finds it.

/// Lines of a failure that are said again.
const LINES: usize = 24;
/// Characters of each.
const WIDTH: usize = 600;

/// A test that failed, and what it said from its first panic on.
pub fn of(output: &str) -> Vec<String> {
    let lines: Vec<&str> = output.lines().collect();
    names(&lines).into_iter().map(|name| told(name, said(&lines, name))).collect()
}

/// The lists at the ends of the test programs: `failures:`, and names indented right below.
fn names<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let lists = lines.split(|line| *line == "failures:").skip(1);
    lists.flat_map(|list| list.iter().map_while(|line| line.strip_prefix("    "))).collect()
}

/// The test's captured output, or, where nothing was captured, what follows its panic.
fn said<'a>(lines: &'a [&'a str], name: &str) -> &'a [&'a str] {
    let block = format!("---- {name} stdout ----");
    let thread = format!("thread '{name}'");
    let from = |at: usize| lines.get(at..).unwrap_or_default();
    let captured = lines.iter().position(|line| *line == block).map(|at| from(at + 1));
    let printed = || lines.iter().position(|line| line.contains(&thread) && is_panic(line)).map(from);
    let said = captured.or_else(printed).unwrap_or_default();
    let is_other = |line: &&str| line.starts_with("---- ") || line.starts_with("test ") || *line == "failures:";
    let said = said.split(is_other).next().unwrap_or_default();
    said.get(said.iter().position(|line| is_panic(line)).unwrap_or_default()..).unwrap_or_default()
}

fn is_panic(line: &str) -> bool {
    line.contains(" panicked at ")
}

fn told(name: &str, said: &[&str]) -> String {
    let mut told = name.to_owned();
    for line in said.iter().filter(|line| !line.is_empty()).take(LINES) {
        told.push_str("\n    ");
        told.extend(line.chars().take(WIDTH));
        if line.chars().nth(WIDTH).is_some() {
            told.push_str(" …");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = "test a ... ok\ntest b ... FAILED\n\nsuccesses:\n\n---- a stdout ----\nthread 'a' (1) panicked at x.rs:1:1:\n\
        as it should\n\n\nsuccesses:\n    a\n\nfailures:\n\n---- b stdout ----\nmeasuring\n\nthread 'b' (2) panicked at y.rs:1:1:\nno\n\n\
        failures:\n    b\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored\n";

    #[test]
    fn a_failure_is_said_from_its_panic_on() {
        assert_eq!(of(CAPTURED), ["b\n    thread 'b' (2) panicked at y.rs:1:1:\n    no"]);
        assert!(of("test a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n").is_empty());
    }

    #[test]
    fn without_capture_it_is_found_by_its_thread() {
        let output = "test a ... ok\ntest b ... measuring\nthread 'b' (2) panicked at y.rs:1:1:\nno\nFAILED\ntest c ... ok\n\nfailures:\n\n\
            failures:\n    b\n\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\n";
        assert_eq!(of(output), ["b\n    thread 'b' (2) panicked at y.rs:1:1:\n    no\n    FAILED"]);
    }

    #[test]
    fn a_long_one_is_cut_and_a_silent_one_is_named() {
        let much = "y".repeat(2 * WIDTH) + "\n";
        let output = format!(
            "failures:\n\n---- a stdout ----\nthread 'a' panicked at x\n{}failures:\n    a\n    b\n",
            much.repeat(40)
        );
        let said = of(&output);
        assert_eq!(said[0].lines().count(), 1 + LINES);
        assert!(said[0].ends_with("y …"));
        assert_eq!(said[1], "b");
    }
}
