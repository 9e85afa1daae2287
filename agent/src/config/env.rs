//! What the environment says, by OpenTelemetry's standard variables. The variables are an argument; nothing
//! here reads the process's own.
//!
//! A variable of one signal beats the general one, an empty variable is none at all, and a general one that
//! is beaten is not judged: it may be meant for other programs.

use std::collections::BTreeMap;

use super::{
    options::{Kind, OPTIONS},
    settings::{Mistake, Origin, Settings, Value},
    single,
};

/// Variables by name; of a process those whose names begin with `OTEL_` will do.
pub type Variables = BTreeMap<String, String>;

/// Variables that are no option's, and what is made of them; for the reference.
pub(super) const OTHERS: [(&str, &str); 6] = [
    (DISABLED, "`true` turns the OTLP export off; only the flag `--endpoint` beats it."),
    (SERVICE_NAME, "The agent's own `service.name`; beats the one in `OTEL_RESOURCE_ATTRIBUTES`."),
    (PROTOCOL, "Only `http/protobuf` is spoken; others are refused. Beats the next one."),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "The same, for all signals."),
    (TEMPORALITY, "Only `cumulative` is offered; others are refused."),
    (
        AGGREGATION,
        "Only `base2_exponential_bucket_histogram` is sent; others are refused. `/metrics` has explicit edges.",
    ),
];

const DISABLED: &str = "OTEL_SDK_DISABLED";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";

/// Of several names the first that is set counts.
const PROTOCOLS: [&str; 2] = [PROTOCOL, "OTEL_EXPORTER_OTLP_PROTOCOL"];
const SPOKEN: &str = "http/protobuf";
const EXPONENTIAL: &str = "base2_exponential_bucket_histogram";

pub(super) fn read(variables: &Variables, settings: &mut Settings, found: &mut Vec<Mistake>) {
    for option in &OPTIONS {
        let Some((name, text)) = first(variables, option.variables) else { continue };
        match value(&option.kind, text) {
            Ok(value) => settings.set(option.key, value, Origin::Variable(name)),
            Err(what) => found.push(mistake(name, format!("{} {what}", option.key))),
        }
    }
    if let Some((name, text)) = first(variables, &[SERVICE_NAME]) {
        let service = BTreeMap::from([("service.name".to_owned(), text.to_owned())]);
        settings.set("resource.attributes", Value::Table(service), Origin::Variable(name));
    }
    match first(variables, &[DISABLED]).map(|(name, text)| (name, switch(text))) {
        Some((name, Ok(true))) => settings.set("otlp.endpoint", Value::text(single::OFF), Origin::Variable(name)),
        Some((name, Err(what))) => found.push(mistake(name, format!("the switch {what}"))),
        Some((_, Ok(false))) | None => found.extend(refusals(variables)),
    }
}

/// What others offer and this program does not.
fn refusals(variables: &Variables) -> Vec<Mistake> {
    let mut found = Vec::new();
    if let Some((name, text)) = first(variables, &PROTOCOLS)
        && text != SPOKEN
    {
        let what = format!(
            "the protocol is {text:?}, and only {SPOKEN} is spoken: set {PROTOCOL}={SPOKEN} and send to the \
             receiver's HTTP port, 4318 by custom"
        );
        found.push(mistake(name, what));
    }
    if let Some((name, text)) = first(variables, &[TEMPORALITY])
        && !text.eq_ignore_ascii_case("cumulative")
    {
        let what = format!(
            "the temporality is {text:?}, and only cumulative is sent, of which no loss on the way takes a joule: \
             unset it, and use the Collector's cumulativetodelta processor where deltas are needed"
        );
        found.push(mistake(name, what));
    }
    if let Some((name, text)) = first(variables, &[AGGREGATION])
        && !text.eq_ignore_ascii_case(EXPONENTIAL)
    {
        let what = format!(
            "the histogram aggregation is {text:?}, and only {EXPONENTIAL} is sent: set that or unset it, and where \
             explicit buckets are needed let the Collector's transform processor convert them \
             (convert_exponential_histogram_to_histogram), or scrape /metrics"
        );
        found.push(mistake(name, what));
    }
    found
}

fn mistake(name: &'static str, text: String) -> Mistake {
    Mistake { origin: Origin::Variable(name), text }
}

fn first<'a>(variables: &'a Variables, names: &[&'static str]) -> Option<(&'static str, &'a str)> {
    let set = |name: &&'static str| Some((*name, variables.get(*name)?.trim())).filter(|(_, text)| !text.is_empty());
    names.iter().find_map(set)
}

/// The value in the form the standard gives it: milliseconds, not `10s`.
fn value(kind: &Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Duration(_) => {
            let milliseconds: u64 = text.parse().map_err(|_| format!("is {text:?}: give milliseconds"))?;
            Ok(Value::Text(format!("{milliseconds}ms")))
        }
        Kind::Switch => switch(text).map(Value::Switch),
        Kind::Table => pairs(text).map(Value::Table),
        Kind::Number(_) => text.parse().map(Value::Number).map_err(|_| format!("is {text:?}: give a number")),
        Kind::Size(_) | Kind::OneOf(_) | Kind::Text(_) => Ok(Value::text(text)),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("is {text:?}: give true or false")),
    }
}

/// `name=value,name=value`, percent-encoded (W3C Baggage without properties). Says no values: they may be
/// secrets.
fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut taken = BTreeMap::new();
    let members = text.split(',').map(str::trim).enumerate().filter(|(_, member)| !member.is_empty());
    for (at, member) in members {
        let place = at + 1;
        let (name, value) = member
            .split_once('=')
            .ok_or_else(|| format!("has no \"=\" in member {place}: give name=value,name=value"))?;
        let decoded = |part: &str| {
            percent_decoded(part.trim())
                .ok_or_else(|| format!("has a broken %-escape in member {place}: write \"%25\" for \"%\""))
        };
        let (name, value) = (decoded(name)?, decoded(value)?);
        if taken.insert(name.clone(), value).is_some() {
            return Err(format!("has {name:?} twice: keep one"));
        }
    }
    Ok(taken)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(if byte == b'%' { hex(rest.next()?)? * 16 + hex(rest.next()?)? } else { byte });
    }
    String::from_utf8(bytes).ok()
}
