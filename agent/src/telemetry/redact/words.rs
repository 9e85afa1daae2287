//! A text as the words of a script: by spaces and signs, quotes kept together.

use super::{Line, MASK};

/// Programs that say what the next one is to read.
const SAYS: [&str; 2] = ["echo", "printf"];

/// Their switches.
const SWITCHES: [&str; 5] = ["-n", "-e", "-E", "-ne", "-en"];

/// The text, with the secrets of its commands masked.
pub(super) fn script(text: &str, depth: u8) -> String {
    let pieces = pieces(text);
    let piped = piped(&pieces);
    let mut line = Line::new(depth.saturating_sub(1));
    let mut told = String::with_capacity(text.len());
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Sign(sign) => {
                // The value of a flag stands in the same command.
                if sign.contains(['|', ';', '&', '\n']) {
                    line = Line::new(depth.saturating_sub(1));
                }
                told.push_str(sign);
            }
            Piece::Word { quote, content } => {
                let masked = if piped.contains(&at) { MASK.to_owned() } else { line.arg(content) };
                told.extend(*quote);
                told.push_str(&masked);
                told.extend(*quote);
            }
        }
    }
    told
}

enum Piece<'a> {
    Sign(&'a str),
    Word { quote: Option<char>, content: &'a str },
}

fn is_sign(c: char) -> bool {
    c.is_whitespace() || "|;&()`".contains(c)
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let signs = rest.find(|c| !is_sign(c)).unwrap_or(rest.len());
        let (sign, after) = rest.split_at_checked(signs).unwrap_or((rest, ""));
        if !sign.is_empty() {
            pieces.push(Piece::Sign(sign));
        }
        let (word, after) = after.split_at_checked(word_len(after)).unwrap_or((after, ""));
        if !word.is_empty() {
            pieces.push(unquoted(word));
        }
        rest = after;
    }
    pieces
}

/// Bytes of the word at the start: to the first sign outside quotes.
fn word_len(text: &str) -> usize {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '"' || c == '\'') {
            quote = Some(c);
        } else if quote.is_none() && is_sign(c) {
            return at;
        }
    }
    text.len()
}

/// A word that is one quotation is what is quoted.
fn unquoted(word: &str) -> Piece<'_> {
    let quote = word.chars().next().filter(|c| ['"', '\''].contains(c));
    let inner = quote.and_then(|quote| word.strip_prefix(quote)?.strip_suffix(quote));
    let inner = inner.filter(|inner| quote.is_some_and(|quote| !inner.contains(quote)));
    inner.map_or(Piece::Word { quote: None, content: word }, |content| Piece::Word { quote, content })
}

/// Words that are said to another program: it may be asked for a password.
fn piped(pieces: &[Piece<'_>]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut said: Option<Vec<usize>> = None;
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Word { content, .. } if SAYS.contains(content) => said = Some(Vec::new()),
            Piece::Word { content, .. } => {
                if let Some(said) = said.as_mut().filter(|_| !SWITCHES.contains(content)) {
                    said.push(at);
                }
            }
            Piece::Sign(sign) if sign.contains('|') => found.extend(said.take().unwrap_or_default()),
            Piece::Sign(sign) if sign.contains([';', '&', '\n']) => said = None,
            Piece::Sign(_) => {}
        }
    }
    found
}
