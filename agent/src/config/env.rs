//! What the environment says, by OpenTelemetry's standard variables. The variables are an argument; nothing
//! here reads the process's own.
//!
//! A variable of one signal beats the general one, an empty variable is none at all, and a general one that
//! is beaten is not judged: it may be meant for other programs.

use std::collections::BTreeMap;

use super::{
    options::{self, Kind, OPTIONS},
    settings::{Mistake, Origin, Settings, Value},
    single,
};

/// Variables by name; of a process those whose names begin with `OTEL_` will do.
pub type Variables = BTreeMap<String, String>;

/// Variables that are no option's, and what is made of them; for the reference.
pub(super) const OTHERS: [(&str, &str); 7] = [
    (DISABLED, "`true` turns the OTLP export off; only the flag `--endpoint` beats it, for metrics."),
    (LOGS_EXPORTER, "`none` and `console` keep the agent's own log records on standard error, `otlp` sends them too."),
    (PROTOCOL, "Only `http/protobuf` is spoken; others are refused. Beats the next one."),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "The same, for all signals."),
    (LOGS_PROTOCOL, "The same, for the agent's own log records."),
    (TEMPORALITY, "Only `cumulative` is offered; others are refused."),
    (
        AGGREGATION,
        "Only `base2_exponential_bucket_histogram` is sent; others are refused. `/metrics` has explicit edges.",
    ),
];

pub(super) const DISABLED: &str = "OTEL_SDK_DISABLED";
const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL";
const LOGS_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL";
const LOGS_EXPORTER: &str = "OTEL_LOGS_EXPORTER";
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";

/// Options of log records, and those of metrics whose general variable means both signals.
const SHARED: [(&str, &str); 3] = [
    ("otlp.logs_endpoint", "otlp.endpoint"),
    ("otlp.logs_headers", "otlp.headers"),
    ("otlp.logs_timeout", "otlp.timeout"),
];

/// Of several names the first that is set counts.
const PROTOCOLS: [&str; 2] = [PROTOCOL, "OTEL_EXPORTER_OTLP_PROTOCOL"];
const SPOKEN: &str = "http/protobuf";
const EXPONENTIAL: &str = "base2_exponential_bucket_histogram";

pub(super) fn read(variables: &Variables, settings: &mut Settings, found: &mut Vec<Mistake>) {
    for option in &OPTIONS {
        let Some((name, text)) = first(variables, option.variables) else { continue };
        match value(&option.kind, text) {
            Ok(Value::Table(table)) if name == ATTRIBUTES => attributes(option.key, table, settings),
            Ok(value) => settings.set(option.key, value, Origin::Variable(name)),
            Err(what) => found.push(mistake(name, format!("{} {what}", option.key))),
        }
    }
    beaten(variables, settings);
    exporter(variables, settings, found);
    match first(variables, &[DISABLED]).map(|(name, text)| (name, switch(text))) {
        Some((name, Ok(true))) => {
            for key in ["otlp.endpoint", "otlp.logs_endpoint"] {
                settings.set(key, Value::text(single::OFF), Origin::Variable(name));
            }
        }
        Some((name, Err(what))) => found.push(mistake(name, format!("the switch {what}"))),
        Some((_, Ok(false))) | None => found.extend(refusals(variables)),
    }
}

/// The standard puts the agent's own name among the attributes. It is weaker than the variable that is the name's own, which
/// comes later in the table. The other names by which resources are told apart are what operators of clusters put
/// there about the agent's own pod: every resource has its own, so they are passed over, and no mistake as in a file.
fn attributes(key: &'static str, mut table: BTreeMap<String, String>, settings: &mut Settings) {
    if let Some(name) = table.remove(single::SERVICE_NAME) {
        settings.set("resource.service_name", Value::Text(name), Origin::Variable(ATTRIBUTES));
    }
    table.retain(|name, _| !single::tells_apart(name));
    settings.set(key, Value::Table(table), Origin::Variable(ATTRIBUTES));
}

/// A general variable that metrics have a stronger one for still counts for log records.
fn beaten(variables: &Variables, settings: &mut Settings) {
    for (key, metrics) in SHARED {
        let Some(option) = options::find(metrics) else { continue };
        let (Some((own, _)), Some(general)) = (first(variables, option.variables), option.variables.last()) else {
            continue;
        };
        let Some((name, text)) = first(variables, &[*general]).filter(|(name, _)| *name != own) else { continue };
        // One that cannot be read may be meant for other programs.
        if let (true, Ok(value)) = (settings.all(key).is_empty(), value(&option.kind, text)) {
            settings.set(key, value, Origin::Variable(name));
        }
    }
}

/// `OTEL_LOGS_EXPORTER`: a list. Lines on standard error are there with any of them.
fn exporter(variables: &Variables, settings: &mut Settings, found: &mut Vec<Mistake>) {
    let Some((name, text)) = first(variables, &[LOGS_EXPORTER]) else { return };
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    if names.iter().any(|name| !["otlp", "none", "console"].contains(name)) {
        let what = format!("the exporter of log records is {text:?}: give otlp, console or none");
        found.push(mistake(name, what));
    } else if !names.contains(&"otlp") {
        settings.set("otlp.logs_endpoint", Value::text(single::OFF), Origin::Variable(name));
    }
}

/// What others offer and this program does not.
fn refusals(variables: &Variables) -> Vec<Mistake> {
    let mut found = Vec::new();
    let protocols = [first(variables, &PROTOCOLS), first(variables, &[LOGS_PROTOCOL])];
    for (name, text) in protocols.into_iter().flatten().filter(|(_, text)| *text != SPOKEN) {
        let stronger = if name == LOGS_PROTOCOL { LOGS_PROTOCOL } else { PROTOCOL };
        let what = format!(
            "the protocol is {text:?}, and only {SPOKEN} is spoken: set {stronger}={SPOKEN} and send to the \
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
        Kind::Whole(_) => text.parse().map(Value::Whole).map_err(|_| format!("is {text:?}: give a whole number")),
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
