use std::io::{PipeReader, Read, pipe};

use tracing::{debug, error, info, warn};

use super::*;

fn settings(level: LogLevel) -> Settings {
    let host = Host { id: "h".into(), name: None };
    let config = Config::default();
    Settings { level, ..Settings::new(&config, &host, Added::default(), Proxies::default()).unwrap() }
}

/// The lines that `events` cause.
fn lines(level: LogLevel, events: impl FnOnce(&Diagnostics)) -> String {
    let (mut reader, writer): (PipeReader, _) = pipe().unwrap();
    let (diagnostics, subscriber) = prepare(&settings(level), writer.into(), None).unwrap();
    tracing::subscriber::with_default(subscriber, || events(&diagnostics));
    assert_eq!(diagnostics.lost_lines(), 0);
    assert_eq!(diagnostics.stop(Duration::ZERO), None);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn an_event_is_one_line_of_level_message_and_fields() {
    let url = "http://c";
    let text = lines(LogLevel::Info, |_| {
        info!("measuring every {}", "15s");
        warn!(count = 3, %url, empty = "", why = "it is\nfull", set = true, "data is lost");
        let cause = io::Error::other("no such thing");
        let error: &dyn std::error::Error = &cause;
        error!(error, debug = ?"a b");
    });
    let expected = "INFO measuring every 15s\n\
                    WARN data is lost count=3 url=http://c empty=\"\" why=\"it is\\nfull\" set=true\n\
                    ERROR error=\"no such thing\" debug=\"a b\"\n";
    assert_eq!(text, expected);
}

#[test]
fn our_own_events_are_heard_at_the_level_and_libraries_from_warnings_on() {
    let all = |_: &Diagnostics| {
        error!(target: "wattrace::pipeline", "own error");
        warn!(target: "wattrace", "own warning");
        info!(target: "wattrace::commands::run", "own information");
        debug!(target: "wattrace_common", "own detail");
        error!(target: "hyper", "their error");
        warn!(target: "opentelemetry_sdk", "their warning");
        info!(target: "rustls::client", "their information");
    };
    let [error, warning, detail] = ["ERROR own error\n", "WARN own warning\n", "DEBUG own detail\n"];
    let [information, their_error, their_warning] =
        ["INFO own information\n", "ERROR their error\n", "WARN their warning\n"];
    for (level, expected) in [
        (LogLevel::Error, vec![error, their_error]),
        (LogLevel::Warn, vec![error, warning, their_error, their_warning]),
        (LogLevel::Info, vec![error, warning, information, their_error, their_warning]),
        (LogLevel::Debug, vec![error, warning, information, detail, their_error, their_warning]),
        (LogLevel::Trace, vec![error, warning, information, detail, their_error, their_warning]),
    ] {
        assert_eq!(lines(level, all), expected.concat(), "{level:?}");
    }
}

#[test]
fn the_level_can_be_changed_while_running() {
    let text = lines(LogLevel::Warn, |diagnostics| {
        let say = |at: u8| info!(at, "said");
        say(1);
        diagnostics.set_level(LogLevel::Info);
        say(2);
        diagnostics.set_level(LogLevel::Error);
        say(3);
    });
    assert_eq!(text, "INFO said at=2\n");
}

#[test]
fn the_configuration_says_where_log_records_go() {
    let host = Host { id: "h".into(), name: Some("n".into()) };
    let mut config = Config::default();
    config.otlp.logs.endpoint = Some("http://c:4318/v1/logs".into());
    config.otlp.logs.headers.0.insert("token".into(), "hush".into());
    config.otlp.logs.timeout = Duration::from_secs(3);
    let proxies = Proxies { all: Some("http://p".into()), ..Proxies::default() };
    let settings = Settings::new(&config, &host, Added::default(), proxies.clone()).unwrap();
    let logs = settings.logs.unwrap();
    assert_eq!(logs.http.url.as_str(), "http://c:4318/v1/logs");
    assert_eq!(logs.http.headers, [("token".to_owned(), "hush".to_owned())]);
    assert_eq!(
        (logs.http.timeout, logs.http.proxies, logs.encoding),
        (Duration::from_secs(3), proxies, Encoding::Gzip)
    );
    assert_eq!(settings.resource, agent_resource(&host));
}
