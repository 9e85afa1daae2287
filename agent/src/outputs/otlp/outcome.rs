//! What an answer over HTTP means for the request: the table of outcomes. Pure.

use std::time::Duration;

use serde_json::Value as Json;

use super::decode::{all, integer, sound};

mod date;

/// A text from outside is cut at this many characters before it is shown or kept.
const LONGEST_TEXT: usize = 200;

/// What to do with the chunk that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there. Points that the destination refused for good are not sent again.
    Delivered {
        /// How many it refused.
        rejected: u64,
        /// What it says, about refused points or as a warning.
        message: Option<String>,
    },
    /// Send it again later.
    Retry {
        /// How long the destination wants to be left alone.
        after: Option<Duration>,
        /// Why.
        why: String,
    },
    /// Send it again at once, compressed by gzip, and so from now on.
    Gzip,
    /// Too large: send it in two.
    Split {
        /// What the destination says.
        why: String,
    },
    /// Something in it will never be taken: find it.
    Poison {
        /// A sample of the answer.
        why: String,
    },
    /// No fault of the data: keep it, and probe until the configuration is put right.
    Hold {
        /// What is wrong.
        why: String,
    },
    /// It will never be taken, and no part of it is known to be the reason.
    Drop {
        /// What the destination says.
        why: String,
    },
    /// A fault of the destination that may pass: try a few times, then drop.
    FiveRetries {
        /// What the destination says.
        why: String,
    },
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, level 1.
    Gzip,
    /// zstd, level 1.
    Zstd,
}

/// An answer as it came; header values are `None` when absent or not text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// `Retry-After`: seconds, or a date.
    pub retry_after: Option<&'a str>,
    /// `Date`: what a date in `retry_after` is compared with, so that our own clock does not matter.
    pub date: Option<&'a str>,
    /// `Location` of a redirect.
    pub location: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body, or as much of it as was read.
    pub body: &'a [u8],
}

/// What `answer` means for a body sent as `encoding`.
pub fn judge(answer: &Answer<'_>, encoding: Encoding) -> Outcome {
    match answer.status {
        200..=299 => delivered(answer),
        408 | 425 | 429 | 502 | 503 | 504 => Outcome::Retry { after: retry_after(answer), why: why(answer) },
        413 => Outcome::Split { why: why(answer) },
        400 | 422 | 500..=599 if names_a_size(answer) => Outcome::Split { why: why(answer) },
        400 | 415 if encoding == Encoding::Zstd => Outcome::Gzip,
        400 | 422 => Outcome::Poison { why: why(answer) },
        300..=399 => Outcome::Hold { why: redirect(answer) },
        // Who may send, where to, and in which form: an operator puts that right, at either end or between.
        401..=407 | 410 | 411 | 414 | 415 | 421 | 426 | 428 | 431 | 451 => Outcome::Hold { why: why(answer) },
        418..=499 | 409 | 412 | 416 | 417 => Outcome::Drop { why: why(answer) },
        _ => Outcome::FiveRetries { why: why(answer) },
    }
}

/// `ExportMetricsServiceResponse`: `partial_success` 1 { `rejected_data_points` 1, `error_message` 2 }. That of log records is
/// the same, but for one name in JSON.
fn delivered(answer: &Answer<'_>) -> Outcome {
    let (rejected, message) = match form(answer) {
        Form::Proto => {
            let partial = all(answer.body, 1).last().unwrap_or_default();
            let message = all(partial, 2).last().map(|text| shown(&String::from_utf8_lossy(text)));
            // A negative count is as wrong as it is meaningless.
            (integer(partial, 1).filter(|count| i64::try_from(*count).is_ok()).unwrap_or(0), message)
        }
        Form::Json(json) => {
            let partial = json.get("partialSuccess");
            let count = partial
                .and_then(|partial| partial.get("rejectedDataPoints").or_else(|| partial.get("rejectedLogRecords")));
            let count = count.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
            (count.unwrap_or(0), partial.and_then(|partial| text(partial, "errorMessage")))
        }
        Form::Text(_) => (0, None),
    };
    Outcome::Delivered { rejected, message: message.filter(|text| !text.is_empty()) }
}

fn retry_after(answer: &Answer<'_>) -> Option<Duration> {
    let value = answer.retry_after?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date::seconds(value)?;
    Some(Duration::from_secs(until.saturating_sub(date::seconds(answer.date?.trim())?)))
}

/// "too large" and its kin. A server that refuses a size does so with 400 (Collector, Prometheus) as well as with 413.
fn names_a_size(answer: &Answer<'_>) -> bool {
    let said = said(answer).to_lowercase();
    let named = ["too large", "too big", "size limit", "maximum size", "max size", "larger than max", "exceeds max"];
    named.iter().any(|words| said.contains(words))
}

fn redirect(answer: &Answer<'_>) -> String {
    // The query of an address may hold a secret.
    let to = answer.location.and_then(|location| location.split(['?', '#']).next());
    to.map_or_else(|| why(answer), |to| shown(&format!("HTTP {}, redirects to {to}", answer.status)))
}

/// One line: the status and what the body says.
fn why(answer: &Answer<'_>) -> String {
    match said(answer) {
        said if said.is_empty() => format!("HTTP {}", answer.status),
        said => format!("HTTP {}: {said}", answer.status),
    }
}

/// `google.rpc.Status` { code 1, message 2 } as protobuf or JSON, or plain text; nothing that cannot be read.
fn said(answer: &Answer<'_>) -> String {
    match form(answer) {
        Form::Proto => all(answer.body, 2).last().map(|text| shown(&String::from_utf8_lossy(text))),
        Form::Json(json) => text(&json, "message").or_else(|| text(&json, "error")),
        Form::Text(text) => Some(shown(text)),
    }
    .unwrap_or_default()
}

enum Form<'a> {
    Proto,
    Json(Json),
    Text(&'a str),
}

/// By content first: intermediaries and small receivers often name a wrong type or none.
fn form<'a>(answer: &Answer<'a>) -> Form<'a> {
    let typed = answer.content_type.unwrap_or_default();
    if let Ok(json @ Json::Object(_)) = serde_json::from_slice(answer.body) {
        return Form::Json(json);
    }
    let read = std::str::from_utf8(answer.body);
    // Keys and lengths of a message are control characters.
    let plain = read.is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_whitespace()));
    if typed.starts_with("text/") || (plain && !typed.contains("protobuf")) || !sound(answer.body) {
        return Form::Text(read.unwrap_or_default());
    }
    Form::Proto
}

fn text(json: &Json, key: &str) -> Option<String> {
    json.get(key)?.as_str().map(shown)
}

/// One short line without control characters: it ends up in logs.
fn shown(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for c in words.flat_map(|word| word.chars().chain([' '])).take(LONGEST_TEXT) {
        line.push(c);
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests;
