//! One text, without looking at what stands before it: addresses, names with their values, shapes.

use super::{
    MASK,
    names::{self, Strength},
    shapes,
};

/// Masks what the text itself shows to be a secret.
pub(super) fn mask(text: &str) -> String {
    shapes::mask(&pairs(&addresses(text)))
}

/// A path, and nothing random.
pub(super) fn is_path(text: &str) -> bool {
    let is_there = ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start));
    let named = [".pem", ".key", ".crt", ".pub", ".json", ".yaml", ".yml", ".toml", ".txt"];
    let is_named = named.iter().any(|end| text.ends_with(end));
    (is_there || is_named) && !text.contains(char::is_whitespace) && shapes::mask(text) == text
}

fn is_end(c: char) -> bool {
    c.is_whitespace() || ['"', '\'', '<', '>', '`'].contains(&c)
}

/// Masks users with their passwords in addresses: `scheme://user:secret@host`, `user:secret@host`.
fn addresses(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at_checked(at + 3).unwrap_or((rest, ""));
        told.push_str(before);
        let (whole, next) = after.split_at_checked(after.find(is_end).unwrap_or(after.len())).unwrap_or((after, ""));
        told.push_str(&without_user(whole));
        rest = next;
    }
    if told.is_empty() { bare_address(text) } else { told + rest }
}

/// From behind `://` to the end of the word.
fn without_user(address: &str) -> String {
    let authority = address.split(['/', '?', '#']).next().unwrap_or(address);
    // A secret with one of these signs makes the authority end too soon.
    let within = if authority.contains('@') || !authority.contains(':') { authority } else { address };
    match within.rfind('@').and_then(|at| address.split_at_checked(at)) {
        Some((user, host)) if user != "git" && !user.is_empty() => format!("{MASK}{host}"),
        _ => address.to_owned(),
    }
}

fn bare_address(text: &str) -> String {
    let is_user = |user: &str| !user.is_empty() && user.chars().all(|c| c.is_alphanumeric() || "-_.\\".contains(c));
    let found = text.split_once(':').filter(|(user, _)| is_user(user));
    let found = found.and_then(|(user, rest)| Some((user, rest.rsplit_once('@')?)));
    match found {
        Some((user, (secret, host))) if !secret.contains(char::is_whitespace) && !host.starts_with("sha256:") => {
            format!("{user}:{MASK}@{host}")
        }
        _ => text.to_owned(),
    }
}

/// Masks the values of names of secrets.
fn pairs(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut done = 0;
    for (at, sign) in text.match_indices([':', '=']) {
        if at < done {
            continue;
        }
        let Some(found) = secret(text, at, sign) else { continue };
        told.push_str(text.get(done..found.start).unwrap_or_default());
        told.push_str(MASK);
        done = found.end;
    }
    told + text.get(done..).unwrap_or_default()
}

struct Found {
    start: usize,
    end: usize,
}

/// The value behind the sign at `at`, if it has the name of a secret.
fn secret(text: &str, at: usize, sign: &str) -> Option<Found> {
    let (before, after) = (text.get(..at)?, text.get(at + 1..)?);
    let unquoted = before.trim_end().trim_end_matches('\\').trim_end_matches(['"', '\'']).trim_end_matches('\\');
    let is_quoted = unquoted.len() < before.trim_end().len();
    let is_of_name = |c: char| c.is_alphanumeric() || "-_.[]".contains(c);
    let name_at = unquoted
        .rfind(|c| !is_of_name(c))
        .map_or(0, |end| end + unquoted.get(end..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    let strength = names::strength(unquoted.get(name_at..)?)?;
    let lead = unquoted.get(..name_at)?;
    let is_of_path = sign == ":" && (lead.ends_with('/') || after.starts_with("//"));
    let start = at + 1 + after.len() - after.trim_start_matches([' ', '\t', '>', '=']).len();
    let value = text.get(start..)?;
    let end = start + value_len(value, lead, is_quoted, sign);
    let value = text.get(start..end)?;
    let is_plain = is_of_path || value.is_empty() || value.starts_with(MASK) && value.len() == MASK.len();
    let is_plain = is_plain || strength == Strength::Weak && is_path(value);
    // Quotes stay: what is left is still JSON, or a line of a shell.
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
    let (open, close) = quote.map_or((0, 0), |quote| (1, usize::from(value.len() > 1 && value.ends_with(quote))));
    (!is_plain && value.len() > open + close).then_some(Found { start: start + open, end: end - close })
}

/// Bytes of a value, by how it begins and what stands before its name.
fn value_len(value: &str, lead: &str, is_quoted: bool, sign: &str) -> usize {
    let to = |ends: &dyn Fn(char) -> bool| value.find(ends).unwrap_or(value.len());
    // At its beginning, all of the text is the value.
    if lead.is_empty() && !is_quoted {
        return value.len();
    }
    if let Some(quote) = value.chars().next().filter(|c| ['"', '\''].contains(c)) {
        return quotation(value, quote);
    }
    if value.starts_with("\\\"") {
        return value.get(2..).and_then(|rest| rest.find("\\\"")).map_or(value.len(), |end| end + 4);
    }
    let outer = lead.trim_end();
    match lead.chars().next_back() {
        _ if is_quoted => to(&|c| ",}]".contains(c) || c.is_whitespace()),
        Some(quote @ ('"' | '\'')) => to(&|c| c == quote),
        Some('?' | '&') => to(&|c| c == '&' || is_end(c)),
        Some(';') => to(&|c| c == ';'),
        Some(',' | '{' | '(') => to(&|c| ",})".contains(c)),
        Some(c) if c.is_whitespace() && outer.ends_with(';') => to(&|c| c == ';'),
        Some(c) if c.is_whitespace() && outer.ends_with([',', '{']) => to(&|c| ",}".contains(c)),
        Some(c) if c.is_whitespace() && sign == "=" => to(&char::is_whitespace),
        Some(c) if c.is_whitespace() => to(&|c| c == '\n'),
        None | Some(_) => value.len(),
    }
}

/// Bytes of a quotation, quotes included.
fn quotation(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
