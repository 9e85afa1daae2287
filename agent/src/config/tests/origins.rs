//! Who beats whom, and what is said about variables and flags.

use super::*;

const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";

fn with(variables: &[(&str, &str)]) -> Config {
    all("", variables, &Flags::default()).unwrap().config
}

fn refused(variables: &[(&str, &str)]) -> String {
    all("", variables, &Flags::default()).unwrap_err()
}

#[test]
fn strength_rises_from_the_file_over_variables_to_flags() {
    let file = "agent.interval = \"20s\"\n";
    let variable = [("OTEL_METRIC_EXPORT_INTERVAL", "30000")];
    let flags = Flags { interval: Some("40s".to_owned()), ..Flags::default() };
    let seconds = |text, variables: &[_], flags| all(text, variables, flags).unwrap().config.agent.interval.as_secs();
    let none = Flags::default();
    assert_eq!(seconds("", &[], &none), 15);
    assert_eq!(seconds(file, &[], &none), 20);
    assert_eq!(seconds(file, &variable, &none), 30);
    assert_eq!(seconds(file, &variable, &flags), 40);
}

#[test]
fn every_flag_arrives() {
    let flag = |text: &str| Some(text.to_owned());
    let flags = Flags {
        interval: flag("1m"),
        state_dir: flag("/s"),
        log_level: flag("trace"),
        location: flag("FR"),
        endpoint: flag("http://f"),
        listen: flag("127.0.0.1:1"),
    };
    let text = "carbon.intensity_g_per_kwh = 3\nprometheus.listen = \"off\"";
    let config = all(text, &[(METRICS_ENDPOINT, "http://v")], &flags).unwrap().config;
    assert_eq!((config.agent.interval.as_secs(), config.agent.log_level), (60, LogLevel::Trace));
    assert_eq!(config.agent.state_dir, Path::new("/s"));
    assert_eq!((config.carbon.location.as_deref(), config.carbon.intensity), (Some("FR"), None));
    assert_eq!(config.otlp.endpoint.as_deref(), Some("http://f/v1/metrics"));
    assert_eq!(config.prometheus.listen, "127.0.0.1:1".parse().ok());
}

#[test]
fn beaten_values_are_judged_too_and_origins_are_said() {
    let flags = Flags { interval: Some("0s".to_owned()), ..Flags::default() };
    let said = all("agent.interval = \"2h\"", &[("OTEL_METRIC_EXPORT_INTERVAL", "1")], &flags).unwrap_err();
    let heads: Vec<&str> = said.lines().filter_map(|line| line.split(" is ").next()).collect();
    let expected =
        ["w.toml:1: agent.interval", "OTEL_METRIC_EXPORT_INTERVAL: agent.interval", "--interval: agent.interval"];
    assert_eq!(heads, expected);
}

#[test]
fn the_general_endpoint_gets_the_path_and_that_of_metrics_none() {
    for (variables, url) in [
        (&[(ENDPOINT, "http://c:4318")][..], "http://c:4318/v1/metrics"),
        (&[(ENDPOINT, "HTTPS://c/base/")], "https://c/base/v1/metrics"),
        (&[(ENDPOINT, "http://[::1]:4318")], "http://[::1]:4318/v1/metrics"),
        (&[(ENDPOINT, "http://c"), (METRICS_ENDPOINT, "http://m/x?k=v")], "http://m/x?k=v"),
        (&[(ENDPOINT, "http://c"), (METRICS_ENDPOINT, "http://m/")], "http://m/"),
        (&[(ENDPOINT, "http://c"), (METRICS_ENDPOINT, " ")], "http://c/v1/metrics"),
        (&[(ENDPOINT, "c:4318"), ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")], "http://c:4318/v1/metrics"),
        (&[(ENDPOINT, "c"), ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "false")], "https://c/v1/metrics"),
    ] {
        assert_eq!(with(variables).otlp.endpoint.as_deref(), Some(url), "{variables:?}");
    }
}

#[test]
fn every_variable_of_the_export_arrives() {
    let config = with(&[
        (ENDPOINT, "https://c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "Api-Key=x%3Dy%20z, b = 2 ,,"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nonsense for others"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Cumulative"),
        (AGGREGATION, "BASE2_EXPONENTIAL_BUCKET_HISTOGRAM"),
    ]);
    let headers: Vec<(&str, &str)> = config.otlp.headers.0.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(headers, [("api-key", "x=y z"), ("b", "2")]);
    assert_eq!(config.otlp.timeout.as_millis(), 2500);
    assert_eq!(config.otlp.compression, Compression::None);
    assert_eq!(config.otlp.certificate.as_deref(), Some(Path::new("/ca")));
    assert_eq!(config.otlp.client, Some(ClientFiles { certificate: "/c".into(), key: "/k".into() }));
}

const LOGS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const METRICS_HEADERS: &str = "OTEL_EXPORTER_OTLP_METRICS_HEADERS";

#[test]
fn variables_say_where_log_records_go() {
    let of = |variables: &[(&str, &str)]| with(variables).otlp.logs.endpoint;
    let url = |text: &str| Some(text.to_owned());
    assert_eq!(of(&[(ENDPOINT, "http://c")]), url("http://c/v1/logs"));
    // One for metrics alone says nothing of logs.
    assert_eq!(of(&[(METRICS_ENDPOINT, "http://m/v1/metrics")]), None);
    assert_eq!(of(&[(METRICS_ENDPOINT, "http://m"), (ENDPOINT, "http://c")]), url("http://c/v1/logs"));
    assert_eq!(of(&[(LOGS_ENDPOINT, "http://l/here"), (ENDPOINT, "http://c")]), url("http://l/here"));
    for (name, value) in
        [("OTEL_LOGS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "console"), ("OTEL_SDK_DISABLED", "true")]
    {
        assert_eq!(of(&[(LOGS_ENDPOINT, "http://l"), (ENDPOINT, "http://c"), (name, value)]), None, "{name}={value}");
    }
    assert_eq!(of(&[(ENDPOINT, "http://c"), ("OTEL_LOGS_EXPORTER", "console, otlp")]), url("http://c/v1/logs"));
    assert!(with(&[(ENDPOINT, "http://c"), ("OTEL_LOGS_EXPORTER", "none")]).otlp.endpoint.is_some());

    let file = |variables: &[_]| {
        let text = "otlp.endpoint = \"http://f\"\notlp.logs_endpoint = \"off\"";
        all(text, variables, &Flags::default()).unwrap().config.otlp.logs.endpoint
    };
    assert_eq!(file(&[(ENDPOINT, "http://c")]), None);
    assert_eq!(file(&[(ENDPOINT, "http://c"), (METRICS_ENDPOINT, "http://m")]), None);
    assert_eq!(file(&[(LOGS_ENDPOINT, "http://l")]), url("http://l"));
    let flags = Flags { endpoint: url("http://g"), ..Flags::default() };
    assert_eq!(all("", &[], &flags).unwrap().config.otlp.logs.endpoint, url("http://g/v1/logs"));
}

#[test]
fn what_is_for_metrics_alone_does_not_reach_the_receiver_of_logs() {
    let of = |variables: &[(&str, &str)]| {
        let logs = with(variables).otlp.logs;
        let headers: Vec<String> = logs.headers.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (headers.join(","), logs.timeout.as_millis())
    };
    assert_eq!(of(&[(HEADERS, "a=1"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")]), ("a=1".to_owned(), 2000));
    assert_eq!(of(&[(METRICS_HEADERS, "token=hush")]), (String::new(), 10_000));
    assert_eq!(of(&[(METRICS_HEADERS, "token=hush"), (HEADERS, "a=1")]), ("a=1".to_owned(), 10_000));
    let logs =
        [("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "l=1"), ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "3000"), (HEADERS, "a=1")];
    assert_eq!(of(&logs), ("l=1".to_owned(), 3000));
}

#[test]
fn headers_are_replaced_and_attributes_added() {
    let file = "otlp.headers = { token = \"x\" }\nresource.attributes = { a = \"1\", b = \"1\" }\nresource.service_name = \"f\"";
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "tenant=t"),
        ("OTEL_RESOURCE_ATTRIBUTES", "b=2,c=2,service.name=r,service.version=1,service.namespace=n,host.id=h"),
        ("OTEL_SERVICE_NAME", "s"),
    ];
    let loaded = all(file, &variables, &Flags::default()).unwrap();
    assert_eq!(loaded.config.otlp.headers.0.keys().collect::<Vec<_>>(), ["tenant"]);
    let attributes: Vec<String> =
        loaded.config.resource.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(attributes, ["a=1", "b=2", "c=2"]);
    assert_eq!(loaded.config.resource.service_name.as_deref(), Some("s"));
    let without = all(file, &variables[..2], &Flags::default()).unwrap();
    assert_eq!(without.config.resource.service_name.as_deref(), Some("r"));
    assert_eq!(loaded.variables, ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"]);
}

#[test]
fn a_disabled_sdk_sends_nothing_and_needs_no_protocol() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let variables = [("OTEL_SDK_DISABLED", "true"), (METRICS_ENDPOINT, "http://m"), grpc];
    assert_eq!(with(&variables).otlp.endpoint, None);
    assert!(with(&[("OTEL_SDK_DISABLED", "false"), (METRICS_ENDPOINT, "http://m")]).otlp.endpoint.is_some());
}

#[test]
fn every_mistake_in_a_variable_is_said() {
    for (name, value, expected) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "the protocol is \"grpc\", and only http/protobuf is spoken: set"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json", "the protocol is \"http/json\""),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", "the temporality is \"delta\""),
        (
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
            "grpc",
            "the protocol is \"grpc\", and only http/protobuf is spoken: set OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=",
        ),
        ("OTEL_LOGS_EXPORTER", "zipkin", "the exporter of log records is \"zipkin\": give otlp, console or none"),
        (LOGS_ENDPOINT, "l:4318", "otlp.logs_endpoint is no http:// or https:// URL"),
        (AGGREGATION, "explicit_bucket_histogram", "the histogram aggregation is \"explicit_bucket_histogram\""),
        ("OTEL_SDK_DISABLED", "1", "the switch is \"1\": give true or false"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "no", "otlp.insecure is \"no\": give true or false"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "otlp.timeout is \"10s\": give milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1", "agent.interval is \"-1\": give milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "agent.interval is \"0ms\": give a duration"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "br", "otlp.compression is \"br\""),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b", "otlp.headers has no \"=\" in member 2"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz", "otlp.headers has a broken %-escape in member 1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%ff", "otlp.headers has a broken %-escape in member 1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,a=2", "otlp.headers has \"a\" twice"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=1", "resource.attributes has the name \"\""),
        ("OTEL_SERVICE_NAME", "a\u{7}", "resource.service_name is empty, over 1024 bytes, or has control characters"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem", "otlp.certificate is \"ca.pem\": give an absolute path"),
        (ENDPOINT, "localhost:4318", "otlp.endpoint is no http:// or https:// URL"),
        (METRICS_ENDPOINT, "http://m#f", "otlp.endpoint has a query or fragment"),
    ] {
        let said = refused(&[(name, value)]);
        assert!(said.starts_with(&format!("{name}: {expected}")) && !said.contains('\n'), "{said}\n  {expected}");
    }
    assert!(refused(&[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")]).contains("cumulativetodelta"));
}

#[test]
fn a_broken_file_does_not_hide_a_broken_variable() {
    let said = all("[agent", &[("OTEL_SDK_DISABLED", "1")], &Flags::default()).unwrap_err();
    assert_eq!(said.lines().count(), 2, "{said}");
}
