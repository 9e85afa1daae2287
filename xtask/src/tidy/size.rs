//! Files and functions stay small enough to be read at one sitting.

use super::{
    Finding,
    lex::{Token, lines_without_tests, tokens},
};

const FILE_GOAL: usize = 300;
const FILE_LIMIT: usize = 400;
const FUNCTION_LIMIT: usize = 60;

/// Checks the length of a file, its closing test block left out, and of its functions.
pub(super) fn check(path: &str, code: &str) -> Vec<Finding> {
    file(path, code).into_iter().chain(functions(path, code)).collect()
}

fn file(path: &str, code: &str) -> Option<Finding> {
    let lines = lines_without_tests(code);
    let text = format!(
        "{lines} lines without tests: {FILE_GOAL} are the goal, {FILE_LIMIT} the limit; split the file by concept"
    );
    match lines {
        lines if lines > FILE_LIMIT => Some(Finding::new(path, 1, text)),
        lines if lines > FILE_GOAL => Some(Finding::warning(path, 1, text)),
        _ => None,
    }
}

fn functions(path: &str, code: &str) -> Vec<Finding> {
    let tokens = tokens(code);
    let starts = (0..tokens.len()).filter_map(|at| tokens.get(at..));
    let long = starts.filter_map(function).filter(|(_, _, lines)| *lines > FUNCTION_LIMIT);
    long.map(|(name, line, lines)| {
        Finding::new(
            path,
            line,
            format!("function `{name}` has {lines} lines, the limit is {FUNCTION_LIMIT}: give its parts names"),
        )
    })
    .collect()
}

/// Name, first line and number of lines of the function that starts here, if one with a body does.
fn function<'a>(rest: &[Token<'a>]) -> Option<(&'a str, usize, usize)> {
    let [start, name, ..] = rest else { return None };
    if start.text != "fn" || !name.text.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        return None;
    }
    let mut braces = 0_usize;
    for token in rest {
        match token.text {
            ";" if braces == 0 && !in_array_type(rest, token) => return None,
            "{" => braces += 1,
            "}" if braces == 1 => return Some((name.text, start.line, token.line - start.line + 1)),
            "}" => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Whether a `;` belongs to `[T; N]` in a signature.
fn in_array_type(rest: &[Token<'_>], semicolon: &Token<'_>) -> bool {
    let before = rest.iter().take_while(|token| !std::ptr::eq(*token, semicolon));
    before.fold(0_isize, |open, token| open + isize::from(token.text == "[") - isize::from(token.text == "]")) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(code: &str) -> usize {
        check("agent/src/x.rs", code).iter().filter(|finding| finding.is_error).count()
    }

    #[test]
    fn long_files_are_found() {
        assert_eq!(check("x.rs", &"x\n".repeat(300)).len(), 0);
        assert_eq!(check("x.rs", &"x\n".repeat(301)).len(), 1);
        assert_eq!(errors(&"x\n".repeat(400)), 0);
        assert_eq!(errors(&"x\n".repeat(401)), 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    x\n".repeat(500));
        assert_eq!(check("x.rs", &tests).len(), 0);
    }

    #[test]
    fn long_functions_are_found() {
        let body = |lines: usize| format!("fn f(a: [u8; 4]) {{\n{}}}\n", "x;\n".repeat(lines));
        assert_eq!(errors(&body(58)), 0);
        assert_eq!(errors(&body(59)), 1);
        assert_eq!(errors(&format!("fn declared();\n{}", "x;\n".repeat(70))), 0);
        assert_eq!(errors(&format!("type F = fn(u8) -> u8;\n{}", "x;\n".repeat(70))), 0);
    }
}
