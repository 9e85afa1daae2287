//! What looks like a secret whatever its name: keys of known services, and what looks random.

use super::MASK;

/// How keys of services begin.
const STARTS: [&str; 36] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "xoxa-",
    "xoxb-",
    "xoxe-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "glpat-",
    "gldt-",
    "glrt-",
    "glptt-",
    "AIza",
    "ya29.",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "pk_live_",
    "whsec_",
    "sk-",
    "npm_",
    "pypi-",
    "dop_v1_",
    "SG.",
    "hf_",
    "hvs.",
    "shpat_",
    "eyJ",
    "AGE-SECRET-KEY-",
];
/// A beginning with less behind it is a word.
const LEAST: usize = 10;
/// How hashes of passwords begin.
const HASHES: [&str; 9] = ["$1$", "$5$", "$6$", "$y$", "$2a$", "$2b$", "$2y$", "$apr1$", "$argon2"];

/// Masks them.
pub(super) fn mask(text: &str) -> String {
    let is_key = |at: &usize| text.get(*at..).is_some_and(|rest| rest.contains("PRIVATE"));
    let (text, is_masked) = match text.find("-----BEGIN").filter(is_key) {
        Some(at) => (text.get(..at).unwrap_or_default(), true),
        None => (text, false),
    };
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.find(is_of_run).unwrap_or(rest.len());
        let (before, after) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        told.push_str(before);
        let (run, after) = after.split_at_checked(run_len(after)).unwrap_or((after, ""));
        told.push_str(&of_run(run));
        rest = after;
    }
    if is_masked { told + MASK } else { told }
}

fn is_of_run(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/_=.~$-".contains(c)
}

fn run_len(text: &str) -> usize {
    text.find(|c| !is_of_run(c)).unwrap_or(text.len())
}

fn of_run(run: &str) -> String {
    if let Some(at) = start_of_key(run) {
        return run.get(..at).unwrap_or_default().to_owned() + MASK;
    }
    // Dots end what looks random; a slash may be a part of it.
    let by_slash = |part: &str| part.split('/').map(|part| masked(part, is_random)).collect::<Vec<_>>().join("/");
    let part = |part: &str| if is_random(part) { MASK.to_owned() } else { by_slash(part) };
    run.split('.').map(part).collect::<Vec<_>>().join(".")
}

fn masked(part: &str, is_secret: impl Fn(&str) -> bool) -> String {
    // `name=value` without a telling name: the value alone may look random.
    match part.split_once('=').filter(|(_, value)| !value.is_empty()) {
        Some((name, value)) if is_secret(value) => format!("{name}={MASK}"),
        _ if is_secret(part) => MASK.to_owned(),
        _ => part.to_owned(),
    }
}

/// Where a key begins within a run: not in the middle of a word.
fn start_of_key(run: &str) -> Option<usize> {
    let is_start = |at: usize| {
        let before = run.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_ascii_alphanumeric())
    };
    let long = |start: &&str| LEAST + start.len();
    let keys = STARTS.iter().filter_map(|start| {
        let at = run.match_indices(start).map(|(at, _)| at).find(|at| is_start(*at))?;
        let is_long = run.len() >= at + long(start);
        is_long.then_some(at)
    });
    let hashes = HASHES.iter().filter_map(|start| run.find(start));
    keys.chain(hashes).min()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
}

fn class(byte: u8) -> Option<Class> {
    match byte {
        b'a'..=b'z' => Some(Class::Lower),
        b'A'..=b'Z' => Some(Class::Upper),
        b'0'..=b'9' => Some(Class::Digit),
        _ => None,
    }
}

/// Whether a run looks random: long, and of letters and digits that change often.
fn is_random(run: &str) -> bool {
    if is_uuid(run) {
        return false;
    }
    let classes: Vec<Class> = run.bytes().filter_map(class).collect();
    let changes = classes.windows(2).filter(|pair| pair.first() != pair.last()).count();
    let has = |class| classes.contains(&class);
    let has_both = has(Class::Upper) && has(Class::Lower);
    let is_hex = run.bytes().all(|byte| byte.is_ascii_hexdigit());
    let often = |share: usize| changes.saturating_mul(100) >= classes.len().saturating_mul(share);
    (is_hex && run.len() >= 32 && has(Class::Digit))
        || (classes.len() >= 20 && has_both && has(Class::Digit) && often(30))
        || (classes.len() >= 32 && has_both && often(35))
        || (classes.len() >= 24 && has(Class::Digit) && !has_both && often(28))
        || is_text_in_base64(run)
}

/// Eight, four, four, four and twelve digits.
fn is_uuid(run: &str) -> bool {
    let lens: Vec<usize> = run.split('-').map(str::len).collect();
    lens == [8, 4, 4, 4, 12] && run.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Whether it decodes to a text such as `user:secret`.
fn is_text_in_base64(run: &str) -> bool {
    const SHORTEST: usize = 12;
    if run.len() < SHORTEST || !run.len().is_multiple_of(4) {
        return false;
    }
    let Some(decoded) = decoded(run.trim_end_matches('=')) else { return false };
    let is_readable = decoded.iter().all(|byte| byte.is_ascii_graphic() || b" \n".contains(byte));
    is_readable && (decoded.contains(&b':') || run.ends_with('='))
}

fn decoded(digits: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}
