//! Single values: from text to type, and what is said about those that cannot be. Pure.

use std::{
    collections::BTreeMap,
    net::{Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::units::Bytes;

/// Turns an export off, in place of an address.
pub(super) const OFF: &str = "off";

/// In place of a functional unit.
pub(super) const NO_UNIT: &str = "none";
/// The attribute by which the agent itself is named.
pub(super) const SERVICE_NAME: &str = "service.name";
/// What the OTLP specification appends to a base endpoint.
pub(super) const METRICS_PATH: &str = "/v1/metrics";
/// The same for log records.
pub(super) const LOGS_PATH: &str = "/v1/logs";

const LOCATION_CHARS: usize = 32;
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// TOML knows `nan` and `inf`, which are never in range.
pub(super) fn number(number: f64, range: &RangeInclusive<f64>) -> Result<f64, String> {
    let what = || format!("is {number}: give a number from {} to {}", range.start(), range.end());
    range.contains(&number).then_some(number).ok_or_else(what)
}

pub(super) fn whole(number: u64, range: &RangeInclusive<u32>) -> Result<u32, String> {
    let what = || format!("is {number}: give a whole number from {} to {}", range.start(), range.end());
    u32::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(what)
}

pub(super) fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let [from, to] = [range.start(), range.end()].map(|&end| humantime::format_duration(end));
    let what = || format!("is {text:?}: give a duration from \"{from}\" to \"{to}\"");
    humantime::parse_duration(text).ok().filter(|duration| range.contains(duration)).ok_or_else(what)
}

pub(super) fn size(text: &str, range: &RangeInclusive<u64>) -> Result<Bytes, String> {
    let [from, to] = [range.start(), range.end()].map(|&end| print_size(end));
    let what = || format!("is {text:?}: give a size from \"{from}\" to \"{to}\"");
    parse_size(text).filter(|size| range.contains(size)).map(Bytes).ok_or_else(what)
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// With the largest binary unit that divides it.
pub(super) fn print_size(bytes: u64) -> String {
    let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
    let fitting = binary.filter(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor));
    let (name, factor) = fitting.max_by_key(|(_, factor)| factor).copied().unwrap_or(("B", 1));
    format!("{}{name}", bytes / factor)
}

/// Only the form; whether the tables know it is theirs to say.
pub(super) fn location(text: &str) -> Result<String, String> {
    let is_code = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if is_code && (1..=LOCATION_CHARS).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err("is no zone or country code: give one such as \"DE\", \"US-CA\" or \"US-CAL-CISO\"".to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    let clean = !text.contains(|c: char| c.is_control()) && !text.split('/').any(|part| part == "..");
    if Path::new(text).is_absolute() && clean && text.len() > 1 {
        return Ok(PathBuf::from(text));
    }
    Err(format!("is {text:?}: give an absolute path without \"..\""))
}

pub(super) fn listen(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == OFF {
        return Ok(None);
    }
    let what = |_| format!("is {text:?}: give an IP address with a port such as \"127.0.0.1:9109\", or \"off\"");
    text.parse().map(Some).map_err(what)
}

/// The URL to post to. Without the path of a `signal` it is used as it is, else that is appended.
/// `insecure` gives a scheme to those that have none.
pub(super) fn endpoint(text: &str, signal: Option<&str>, insecure: Option<bool>) -> Result<Option<String>, String> {
    if text == OFF {
        return Ok(None);
    }
    let (scheme, rest) = scheme(text, insecure)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err("has a user or password in it: put credentials into otlp.headers".to_owned());
    }
    if !is_authority(authority) || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("is {text:?}: give a URL such as \"http://localhost:4318\", or \"off\""));
    }
    if path.contains('#') || (signal.is_some() && path.contains('?')) {
        return Err("has a query or fragment, to which no path can be appended: leave it out".to_owned());
    }
    let Some(signal) = signal else {
        return Ok(Some(format!("{scheme}://{rest}")));
    };
    let base = rest.trim_end_matches('/');
    if base.ends_with(signal) {
        return Err(format!("ends in {signal}, which is appended to it: leave that out"));
    }
    Ok(Some(format!("{scheme}://{base}{signal}")))
}

/// The URL of log records beside that of metrics, if that was a base with its path.
pub(super) fn beside(metrics: &str) -> Option<String> {
    metrics.strip_suffix(METRICS_PATH).map(|base| format!("{base}{LOGS_PATH}"))
}

fn scheme(text: &str, insecure: Option<bool>) -> Result<(&'static str, &str), String> {
    match (text.split_once("://"), insecure) {
        (Some((scheme, rest)), _) if scheme.eq_ignore_ascii_case("http") => Ok(("http", rest)),
        (Some((scheme, rest)), _) if scheme.eq_ignore_ascii_case("https") => Ok(("https", rest)),
        (None, Some(true)) => Ok(("http", text)),
        (None, Some(false)) => Ok(("https", text)),
        _ => Err("is no http:// or https:// URL: give one such as \"http://localhost:4318\", or \"off\"".to_owned()),
    }
}

fn is_authority(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+');
    if let Some((host, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port_fits = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return host.parse::<Ipv6Addr>().is_ok() && port_fits;
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    !host.is_empty() && is_name && port.is_none_or(is_port)
}

/// Header names in lower case. What is said never holds a value: it may be a secret.
pub(super) fn headers(table: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    const OWN: [&str; 6] =
        ["connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"];
    let mut taken = BTreeMap::new();
    for (name, value) in table {
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || !name.chars().all(is_token) {
            return Err(format!("has {name:?}, which is no header name: use letters, digits and \"-\""));
        }
        if OWN.contains(&lower.as_str()) {
            return Err(format!("has {name:?}, which the exporter sets itself: leave it out"));
        }
        if !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) || value.trim() != value {
            return Err(format!("has a value for {name:?} that no header can hold: use visible ASCII characters"));
        }
        if taken.insert(lower, value.clone()).is_some() {
            return Err(format!("has {name:?} twice, in different letters: keep one"));
        }
    }
    Ok(taken)
}

/// RFC 9110, section 5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

pub(super) fn attributes(table: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    const NAME_CHARS: RangeInclusive<usize> = 1..=128;
    for (name, value) in table {
        if !NAME_CHARS.contains(&name.len()) || !name.chars().all(|c| c.is_ascii_graphic()) {
            return Err(format!("has the name {name:?}: use 1 to 128 visible ASCII characters"));
        }
        if name == SERVICE_NAME {
            return Err(format!(
                "has {name:?}, which names one resource alone: give the agent's as resource.service_name"
            ));
        }
        if tells_apart(name) {
            return Err(format!("has {name:?}, by which resources are told apart: leave it out"));
        }
        attribute(value).map_err(|what| format!("has a value for {name:?} that {what}"))?;
    }
    Ok(table.clone())
}

/// Whether resources are told apart by the attribute, so that it cannot be anybody else's.
pub(super) fn tells_apart(name: &str) -> bool {
    name == "host.id" || ["service.", "wattrace."].iter().any(|own| name.starts_with(own))
}

pub(super) fn attribute(value: &str) -> Result<String, String> {
    const VALUE_BYTES: RangeInclusive<usize> = 1..=1024;
    if !VALUE_BYTES.contains(&value.len()) || value.contains(|c: char| c.is_control()) {
        return Err("is empty, over 1024 bytes, or has control characters".to_owned());
    }
    Ok(value.to_owned())
}
