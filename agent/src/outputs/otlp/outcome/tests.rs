use proptest::prelude::*;

use super::*;

const PROTO: Option<&str> = Some("application/x-protobuf");
const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

fn answer(status: u16, body: &[u8]) -> Answer<'_> {
    Answer { status, body, ..Answer::default() }
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered { .. } => "delivered",
        Outcome::Retry { .. } => "retry",
        Outcome::Gzip => "gzip",
        Outcome::Split { .. } => "split",
        Outcome::Poison { .. } => "poison",
        Outcome::Hold { .. } => "hold",
        Outcome::Drop { .. } => "drop",
        Outcome::FiveRetries { .. } => "five",
    }
}

#[test]
fn every_status_has_its_row() {
    let rows: [(&[u16], &str); 7] = [
        (&[200, 202, 204], "delivered"),
        (&[429, 502, 503, 504, 408, 425], "retry"),
        (&[413], "split"),
        (&[400, 422], "poison"),
        (&[401, 403, 404, 405, 415, 301, 302, 303, 304, 307, 308, 407, 410, 431], "hold"),
        (&[409, 412, 418, 424, 499], "drop"),
        (&[500, 501, 505, 507, 599, 100, 0, 999], "five"),
    ];
    for (statuses, expected) in rows {
        for status in statuses {
            assert_eq!(kind(&judge(&answer(*status, b""), Encoding::Gzip)), expected, "{status}");
        }
    }
}

#[test]
fn zstd_is_given_up_before_the_data_is_blamed() {
    for (status, expected) in [(400, "gzip"), (415, "gzip"), (422, "poison"), (413, "split"), (404, "hold")] {
        assert_eq!(kind(&judge(&answer(status, b""), Encoding::Zstd)), expected, "{status}");
    }
    assert_eq!(kind(&judge(&answer(400, b"http: request body too large"), Encoding::Zstd)), "split");
}

/// `google.rpc.Status` with code 3.
fn status(message: &str) -> Vec<u8> {
    [&[0x08, 3, 0x12, u8::try_from(message.len()).unwrap()], message.as_bytes()].concat()
}

/// Who and what, status, content type, body, how it was sent, what it means.
type Row<'a> = (&'a str, u16, Option<&'a str>, &'a [u8], Encoding, &'a str);

#[test]
fn answers_of_known_receivers() {
    let too_large = status("http: request body too large");
    let malformed = status("proto: ExportMetricsServiceRequest: illegal tag 0");
    let refused = status("data refused due to high memory usage");
    let rows: [Row<'_>; 17] = [
        ("Collector, ok", 200, PROTO, b"\x0a\x00", Encoding::Gzip, "delivered"),
        ("Prometheus, ok", 200, None, b"", Encoding::Gzip, "delivered"),
        ("VictoriaMetrics, ok", 200, TEXT, b"", Encoding::Gzip, "delivered"),
        ("rotel, ok", 200, PROTO, b"\x0a\x00", Encoding::Gzip, "delivered"),
        ("Collector, zstd", 200, PROTO, b"\x0a\x00", Encoding::Zstd, "delivered"),
        ("Prometheus, zstd", 400, TEXT, b"unsupported compression: zstd. Only gzip", Encoding::Zstd, "gzip"),
        ("rotel, zstd", 400, TEXT, b"", Encoding::Zstd, "gzip"),
        ("Collector, garbage", 400, PROTO, &malformed, Encoding::Gzip, "poison"),
        ("rotel, garbage", 400, None, b"", Encoding::Gzip, "poison"),
        ("Collector, content type", 415, TEXT, b"415 unsupported media type", Encoding::Gzip, "hold"),
        ("rotel, content type", 400, TEXT, b"", Encoding::Gzip, "poison"),
        ("Collector, 21 MiB", 400, PROTO, &too_large, Encoding::Gzip, "split"),
        ("Collector, 21 MiB, as text", 400, TEXT, b"http: request body too large\n", Encoding::Gzip, "split"),
        ("Prometheus, 34 MiB", 400, TEXT, b"http: request body too large\n", Encoding::Identity, "split"),
        ("rotel, 21 MiB", 413, TEXT, b"length limit exceeded", Encoding::Gzip, "split"),
        ("Collector, memory_limiter", 503, PROTO, &refused, Encoding::Gzip, "retry"),
        ("Collector, gateway down", 503, None, b"", Encoding::Gzip, "retry"),
    ];
    for (name, status, content_type, body, encoding, expected) in rows {
        let answer = Answer { status, content_type, body, ..Answer::default() };
        assert_eq!(kind(&judge(&answer, encoding)), expected, "{name}");
    }
    let answer = Answer { content_type: PROTO, ..answer(503, &refused) };
    let why = "HTTP 503: data refused due to high memory usage".to_owned();
    assert_eq!(judge(&answer, Encoding::Gzip), Outcome::Retry { after: None, why });
}

#[test]
fn partial_success_is_read_in_both_forms() {
    let row = |body, rejected, message: Option<&str>| {
        let outcome = judge(&answer(200, body), Encoding::Gzip);
        assert_eq!(outcome, Outcome::Delivered { rejected, message: message.map(str::to_owned) }, "{body:?}");
    };
    row(b"\x0a\x00", 0, None);
    row(b"\x0a\x02\x08\x03", 3, None);
    row(b"\x0a\x05\x12\x03old", 0, Some("old"));
    row(b"\x0a\x08\x08\x96\x01\x12\x03old", 150, Some("old"));
    row(b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 0, None); // -1
    row(br#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"old"}}"#, 3, Some("old"));
    row(br#"{"partialSuccess":{"rejectedDataPoints":3}}"#, 3, None);
    row(br#"{"partialSuccess":{"rejectedLogRecords":"4"}}"#, 4, None);
    row(br#"{"partialSuccess":{"rejectedDataPoints":-3,"errorMessage":7}}"#, 0, None);
    row(b"{}", 0, None);
    row(b"<html>fine</html>", 0, None);
    row(b"\xff\xfe\x00", 0, None);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    let rows = [
        (Some("7"), None, Some(7)),
        (Some(" 120 "), None, Some(120)),
        (Some("Sun, 06 Nov 1994 08:50:07 GMT"), date, Some(30)),
        (Some("Sun, 06 Nov 1994 08:00:00 GMT"), date, Some(0)),
        (Some("Sun, 06 Nov 1994 08:50:07 GMT"), None, None), // nothing to compare with
        (Some("soon"), date, None),
        (Some("-1"), date, None),
        (Some("1.5"), date, None),
        (Some("99999999999999999999999"), date, None),
        (None, date, None),
    ];
    for (retry_after, date, expected) in rows {
        let answer = Answer { retry_after, date, ..answer(503, b"") };
        let why = "HTTP 503".to_owned();
        let after = expected.map(Duration::from_secs);
        assert_eq!(judge(&answer, Encoding::Gzip), Outcome::Retry { after, why }, "{retry_after:?}");
    }
}

#[test]
fn what_was_said_is_one_short_line() {
    let long = "x".repeat(5000);
    let rows = [
        (&b"not\x1b[31m \r\n\tnow"[..], "HTTP 404: not [31m now"),
        (br#"{"code":5,"message":"no such tenant"}"#, "HTTP 404: no such tenant"),
        (br#"{"error":"no such tenant"}"#, "HTTP 404: no such tenant"),
        (b"\xff\xff", "HTTP 404"),
        (b"", "HTTP 404"),
    ];
    for (body, expected) in rows {
        let why = expected.to_owned();
        assert_eq!(judge(&answer(404, body), Encoding::Gzip), Outcome::Hold { why }, "{body:?}");
    }
    let Outcome::Hold { why } = judge(&answer(404, long.as_bytes()), Encoding::Gzip) else { panic!() };
    assert_eq!(why.len(), "HTTP 404: ".len() + LONGEST_TEXT);
}

#[test]
fn a_redirect_says_where_to_without_its_query() {
    let answer = Answer { location: Some("https://login.example/a?token=secret"), ..answer(302, b"moved") };
    let why = "HTTP 302, redirects to https://login.example/a".to_owned();
    assert_eq!(judge(&answer, Encoding::Gzip), Outcome::Hold { why });
}

proptest! {
    #[test]
    fn any_answer_is_judged(status: u16, body: Vec<u8>, retry: String, date: String) {
        let encodings = [Encoding::Identity, Encoding::Gzip, Encoding::Zstd];
        for (content_type, encoding) in [PROTO, TEXT, None].into_iter().zip(encodings) {
            let (retry_after, date) = (Some(retry.as_str()), Some(date.as_str()));
            let answer = Answer { status, retry_after, date, location: retry_after, content_type, body: &body };
            let delivered = kind(&judge(&answer, encoding)) == "delivered";
            prop_assert_eq!(delivered, (200..300).contains(&status));
        }
    }
}
