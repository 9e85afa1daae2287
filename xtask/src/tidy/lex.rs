//! A light reader of Rust text: what is code, what is comment or string, and where tests begin.
//!
//! It knows enough to look for names and count lines; it is no parser and reports no errors.

/// The text with comments, strings and character literals blanked out; lines and columns stay.
pub(super) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = chars.get(at..).unwrap_or_default();
        let blank = blank_length(rest, chars.get(at.wrapping_sub(1)).copied());
        let blanked = chars.get(at..at + blank).unwrap_or_default();
        out.extend(blanked.iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at += blank;
        if blank == 0 {
            out.extend(rest.first());
            at += 1;
        }
    }
    out
}

/// How many characters from here on are no code; 0 when the next one is.
fn blank_length(rest: &[char], before: Option<char>) -> usize {
    match rest {
        ['/', '/', ..] => rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(rest),
        ['"', ..] => 1 + quoted(rest.get(1..).unwrap_or_default(), '"'),
        ['\'', '\\', ..] => 1 + quoted(rest.get(1..).unwrap_or_default(), '\''),
        ['\'', _, '\'', ..] => 3,
        ['b' | 'c', 'r', '"' | '#', ..] if !is_name(before) => raw_string(rest, 2),
        ['r', '"' | '#', ..] if !is_name(before) => raw_string(rest, 1),
        _ => 0,
    }
}

fn is_name(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest.get(at..) {
            Some(['/', '*', ..]) => (depth, at) = (depth + 1, at + 2),
            Some(['*', '/', ..]) => (depth, at) = (depth.saturating_sub(1), at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length up to and with the closing quote.
fn quoted(rest: &[char], quote: char) -> usize {
    let mut escaped = false;
    for (at, &c) in rest.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Length of `r#"..."#` with `prefix` letters before the hashes; 0 for a raw name such as `r#type`.
fn raw_string(rest: &[char], prefix: usize) -> usize {
    let hashes = rest.iter().skip(prefix).take_while(|&&c| c == '#').count();
    let start = prefix + hashes;
    if rest.get(start) != Some(&'"') {
        return 0;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = rest.get(start + 1..).unwrap_or_default();
    let end = body.windows(close.len()).position(|window| window == close.as_slice());
    end.map_or(rest.len(), |end| start + 1 + end + close.len())
}

/// A word or a single sign of the code, and the line (from 1) it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The word or sign; `::` is one sign.
    pub text: &'a str,
    /// Line, from 1.
    pub line: usize,
}

/// The tokens of a text that [`code_only`] gave.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    code.lines().enumerate().flat_map(|(at, line)| line_tokens(line, at + 1)).collect()
}

fn line_tokens(text: &str, line: usize) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_name(Some(first)) {
            rest.find(|c| !is_name(Some(c))).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (text, after) = rest.split_at(length);
        found.push(Token { text, line });
        rest = after.trim_start();
    }
    found
}

/// Lines before the `#[cfg(test)] mod tests { … }` block that ends a file; all lines without one.
pub(super) fn lines_without_tests(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    let is_start = |at: &usize| {
        let after = lines.get(at + 1).map(|line| line.trim()).unwrap_or_default();
        lines.get(*at).is_some_and(|line| line.starts_with("#[cfg(test)]")) && after.starts_with("mod tests {")
    };
    let last = (0..lines.len()).rfind(is_start);
    let closed_at =
        |start: usize| lines.iter().enumerate().skip(start).find(|(_, line)| **line == "}").map(|(at, _)| at);
    let is_trailing = |end: usize| lines.iter().skip(end + 1).all(|line| line.trim().is_empty());
    match last {
        Some(start) if closed_at(start).is_some_and(is_trailing) => start,
        _ => lines.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_no_code() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x\\\"y\") g", "f(      ) g"),
            ("r#\"a\"b\"# c", "         c"),
            ("br\"a\" c", "      c"),
            ("'a' 'b", "    'b"),
            ("'\\'' x", "     x"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("r#type", "r#type"),
            ("\"never closed", "             "),
            ("for\"x\"", "for   "),
        ];
        for (text, code) in cases {
            assert_eq!(code_only(text), code, "{text}");
        }
    }

    #[test]
    fn tokens_know_their_line() {
        let found = tokens("use a::b;\nx");
        let texts: Vec<&str> = found.iter().map(|token| token.text).collect();
        assert_eq!(texts, ["use", "a", "::", "b", ";", "x"]);
        assert_eq!(found.last().map(|token| token.line), Some(2));
    }

    #[test]
    fn only_a_test_block_at_the_end_is_left_out() {
        assert_eq!(lines_without_tests("a\n#[cfg(test)]\nmod tests {\n}\n"), 1);
        assert_eq!(lines_without_tests("a\n#[cfg(test)]\nmod tests;\n"), 3);
        assert_eq!(lines_without_tests("#[cfg(test)]\nmod tests {\n}\nfn hidden() {}\n"), 4);
    }
}
