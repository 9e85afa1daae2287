//! The configuration: what is taken from a file, and what is said about what is not.

use std::path::Path;

use super::*;
use crate::{
    attribution::{functional::FunctionalUnit, reserved::IdlePolicy},
    units::{Bytes, Grams, GramsPerKwh, Watts},
};

mod events;
mod origins;
mod printed;

fn all(text: &str, variables: &[(&str, &str)], flags: &Flags) -> Result<Loaded, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse(Path::new("w.toml"), text, &variables, flags).map_err(|error| error.to_string())
}

fn parsed(text: &str) -> Result<Config, String> {
    all(text, &[], &Flags::default()).map(|loaded| loaded.config)
}

fn said(text: &str) -> String {
    parsed(text).unwrap_err()
}

#[test]
fn no_file_and_an_empty_file_are_the_defaults() {
    assert_eq!(load(None, &Variables::new(), &Flags::default()).unwrap().config, Config::default());
    assert_eq!(parsed("").unwrap(), Config::default());
    assert_eq!(parsed("[energy]\n[carbon]\n[agent]\n[otlp]\n[prometheus]\n[resource]\n").unwrap(), Config::default());
}

#[test]
fn figures_arrive_with_their_unit() {
    let first =
        parsed("[energy]\nidle_watts = 20\nmax_watts = 90.5\n[carbon]\nlocation = \"US-CAL-CISO\"\npue = 1.2\n");
    let first = first.unwrap();
    assert_eq!(first.energy, Energy { idle: Some(Watts(20.0)), max: Some(Watts(90.5)), ..Energy::default() });
    assert_eq!(first.carbon.location.as_deref(), Some("US-CAL-CISO"));
    assert_eq!(first.carbon.pue, Some(1.2));
    let second = "[carbon]\nintensity_g_per_kwh = 350\nembodied_kg = 1200\nembodied_lifespan_years = 5\n";
    let second = parsed(second).unwrap().carbon;
    assert_eq!(second.intensity, Some(GramsPerKwh(350.0)));
    assert_eq!(second.embodied, Some(Grams(1_200_000.0)));
    assert_eq!(second.embodied_lifespan_years, Some(5.0));
    assert_eq!(parsed("energy.idle_watts = 0").unwrap().energy.idle, Some(Watts(0.0)));
    for policy in IdlePolicy::ALL {
        let text = format!("energy.idle_policy = \"{}\"", policy.name());
        assert_eq!(parsed(&text).unwrap().energy.idle_policy, policy);
    }
    assert_eq!(parsed("").unwrap().energy.idle_policy, IdlePolicy::Separate);
    for (gain, kept) in [("0", 0.0), ("1", 1.0), ("0.3", 0.3), ("0.2006", 0.201)] {
        let energy = parsed(&format!("energy.smt_gain = {gain}")).unwrap().energy;
        assert_eq!(energy.smt_gain.value().to_bits(), f64::to_bits(kept), "{gain}");
    }
    assert_eq!(parsed("").unwrap().energy.smt_gain.value().to_bits(), 0.15_f64.to_bits());
    for level in SchedLevel::ALL {
        assert_eq!(parsed(&format!("probes.sched = \"{}\"", level.name())).unwrap().probes.sched, level);
    }
    for level in BlockLevel::ALL {
        assert_eq!(parsed(&format!("probes.block = \"{}\"", level.name())).unwrap().probes.block, level);
    }
    assert_eq!(parsed("").unwrap().probes.block, BlockLevel::Total);
    for counting in Counting::ALL {
        let text = format!("[probes]\ntcp = \"{0}\"\nprocess = \"{0}\"", counting.name());
        let probes = parsed(&text).unwrap().probes;
        assert_eq!([probes.tcp, probes.process], [counting; 2]);
    }
    assert_eq!(parsed("probes.tcp = \"off\"").unwrap().probes.process, Counting::On, "each for itself");
    let units = FunctionalUnit::ALL.map(|unit| (unit.name(), Some(unit)));
    for (text, unit) in units.into_iter().chain([("none", None)]) {
        assert_eq!(parsed(&format!("agent.functional_unit = \"{text}\"")).unwrap().agent.functional_unit, unit);
    }
    assert_eq!(parsed("energy.source = \"powercap\"").unwrap().energy.source, Some(MeterKind::Powercap));
}

#[test]
fn what_the_daemon_needs_arrives() {
    let text = "[agent]\ninterval = \"1m 30s\"\nstate_dir = \"/srv/w\"\nlog_level = \"debug\"\n\
                [otlp]\nendpoint = \"https://c.example:4318/base/\"\nheaders = { Authorization = \"Bearer x\" }\n\
                timeout = \"2500ms\"\ncompression = \"none\"\ncertificate = \"/ca\"\nclient_certificate = \"/c\"\n\
                client_key = \"/k\"\nqueue_bytes = \"2GB\"\n[prometheus]\nlisten = \"[::1]:9109\"\n\
                [resource.attributes]\n\"deployment.environment.name\" = \"lab\"\n";
    let config = parsed(text).unwrap();
    assert_eq!(config.agent.interval.as_secs(), 90);
    assert_eq!(config.agent.state_dir, Path::new("/srv/w"));
    assert_eq!(config.agent.log_level, LogLevel::Debug);
    assert_eq!(config.otlp.endpoint.as_deref(), Some("https://c.example:4318/base/v1/metrics"));
    assert_eq!(config.otlp.headers.0["authorization"], "Bearer x");
    assert_eq!(config.otlp.timeout.as_millis(), 2500);
    assert_eq!(config.otlp.compression, Compression::None);
    assert_eq!(config.otlp.certificate.as_deref(), Some(Path::new("/ca")));
    assert_eq!(config.otlp.client, Some(ClientFiles { certificate: "/c".into(), key: "/k".into() }));
    assert_eq!(config.otlp.queue, Bytes(2_000_000_000));
    assert_eq!(config.prometheus.listen, "[::1]:9109".parse().ok());
    assert_eq!(config.resource.attributes["deployment.environment.name"], "lab");
}

fn logs_of(text: &str) -> Logs {
    parsed(text).unwrap().otlp.logs
}

#[test]
fn log_records_go_beside_the_metrics_unless_it_is_said_otherwise() {
    let of = |text: &str| logs_of(text).endpoint;
    assert_eq!(of(""), None);
    let endpoint = "otlp.endpoint = \"http://c:4318/base/\"\n";
    assert_eq!(of(endpoint).as_deref(), Some("http://c:4318/base/v1/logs"));
    assert_eq!(of(&format!("{endpoint}otlp.logs_endpoint = \"off\"")), None);
    assert_eq!(of(&format!("{endpoint}otlp.logs_endpoint = \"http://l\"")).as_deref(), Some("http://l/v1/logs"));
    assert_eq!(of("otlp.logs_endpoint = \"http://l\"").as_deref(), Some("http://l/v1/logs"));
    let off = "otlp.endpoint = \"off\"\notlp.logs_endpoint = \"http://l\"";
    assert_eq!(of(off).as_deref(), Some("http://l/v1/logs"));

    let more = "otlp.headers.tenant = \"m\"\notlp.timeout = \"2s\"\n";
    let same = logs_of(more);
    assert_eq!((same.headers.0["tenant"].as_str(), same.timeout.as_secs()), ("m", 2));
    let own = logs_of(&format!("{more}otlp.logs_headers.token = \"hush\"\notlp.logs_timeout = \"3s\""));
    assert_eq!((own.headers.0.len(), own.headers.0["token"].as_str(), own.timeout.as_secs()), (1, "hush", 3));
    assert!(!format!("{own:?}").contains("hush"), "{own:?}");
    assert!(logs_of(&format!("{more}otlp.logs_headers = {{}}")).headers.0.is_empty());
}

#[test]
fn certificates_may_be_for_log_records_alone() {
    let text = "[otlp]\nendpoint = \"http://m\"\nlogs_endpoint = \"https://l\"\ncertificate = \"/ca\"";
    assert!(parsed(text).is_ok());
    assert!(said("[otlp]\nlogs_endpoint = \"http://l\"\ncertificate = \"/ca\"").contains("http:// endpoint"));
}

#[test]
fn short_intervals_are_roots() {
    for (interval, root) in [("1s", true), ("9999ms", true), ("10s", false), ("1h", false)] {
        let config = parsed(&format!("agent.interval = \"{interval}\"")).unwrap();
        assert_eq!(config.agent.needs_root(), root, "{interval}");
    }
}

/// Text of a file; line of its one mistake and how the message begins.
fn each_is_said(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let said = said(text);
        assert!(said.starts_with(&format!("w.toml:{expected}")), "{said}\n  expected {expected}");
        assert!(!said.contains('\n'), "one mistake, one line: {said}");
    }
}

#[test]
fn unknown_names_are_said_with_a_near_one() {
    each_is_said(&[
        ("[energy]\nidle_wats = 3", "2: there is no option \"idle_wats\" in [energy]: did you mean idle_watts?"),
        ("\n[energie]", "2: there is no section \"energie\": did you mean [energy]?"),
        (
            "x = 1",
            "1: there is no section \"x\": there are agent, energy, probes, carbon, otlp, events, prometheus, resource",
        ),
        ("endpoint = \"http://c\"", "1: \"endpoint\" stands in no section: move it into [otlp]"),
        ("[agent]\npue = 1.5", "2: there is no option \"pue\" in [agent]: move it into [carbon]"),
        ("[prometheus]\nz = 1", "2: there is no option \"z\" in [prometheus]: there are listen"),
    ]);
}

#[test]
fn wrong_types_are_said() {
    each_is_said(&[
        ("energy = 3", "1: energy is an integer: it is a section, write [energy]"),
        ("energy.idle_watts = \"3 W\"", "1: energy.idle_watts is a string: give a number from 0 to 100000"),
        ("energy.idle_policy = true", "1: energy.idle_policy is a boolean: give \"separate\" or \"by_request\""),
        ("agent.interval = 15", "1: agent.interval is an integer: give a duration from \"1s\" to \"1h\", in quotes"),
        ("agent.state_dir = true", "1: agent.state_dir is a boolean: give an absolute path, in quotes"),
        ("otlp.insecure = \"yes\"", "1: otlp.insecure is a string: give true or false"),
        ("otlp.headers = [1]", "1: otlp.headers is an array: give a table of texts"),
        ("otlp.headers.a = true", "1: otlp.headers has a boolean at \"a\": give a text, in quotes"),
        (
            "resource.attributes.a.b = \"c\"",
            "1: resource.attributes has a table at \"a\": put names with dots into quotes",
        ),
        ("energy.idle_watts = 99999999999999999999", "1: energy.idle_watts is an integer: give a number from 0"),
    ]);
}

#[test]
fn values_out_of_range_are_said() {
    each_is_said(&[
        ("agent.interval = \"999ms\"", "1: agent.interval is \"999ms\": give a duration from \"1s\" to \"1h\""),
        ("agent.interval = \"soon\"", "1: agent.interval is \"soon\": give a duration"),
        ("agent.state_dir = \"var\"", "1: agent.state_dir is \"var\": give an absolute path"),
        ("agent.state_dir = \"/a/../b\"", "1: agent.state_dir is \"/a/../b\": give an absolute path"),
        ("agent.log_level = \"loud\"", "1: agent.log_level is \"loud\": give \"error\" or \"warn\" or"),
        ("energy.idle_watts = -1", "1: energy.idle_watts is -1: give a number from 0 to 100000"),
        ("energy.idle_policy = \"all\"", "1: energy.idle_policy is \"all\": give \"separate\" or \"by_request\""),
        ("energy.smt_gain = 1.1", "1: energy.smt_gain is 1.1: give a number from 0 to 1"),
        ("probes.block = \"fat\"", "1: probes.block is \"fat\": give \"off\" or \"total\" or \"device\""),
        (
            "agent.functional_unit = \"requests\"",
            "1: agent.functional_unit is \"requests\": give \"none\" or \"disk_operations\" or \"connections_closed\" or \"execs\"",
        ),
        ("probes.sched = \"fat\"", "1: probes.sched is \"fat\": give \"full\" or \"lean\""),
        ("carbon.pue = nan", "1: carbon.pue is NaN: give a number from 1 to 5"),
        ("carbon.location = \"some where\"", "1: carbon.location is no zone or country code"),
        ("otlp.timeout = \"1h\"", "1: otlp.timeout is \"1h\": give a duration from \"100ms\" to \"5m\""),
        ("otlp.compression = \"zstd\"", "1: otlp.compression is \"zstd\": give \"gzip\" or \"none\""),
        ("otlp.queue_bytes = \"64\"", "1: otlp.queue_bytes is \"64\": give a size from \"1MiB\" to \"64GiB\""),
        ("otlp.queue_bytes = \"99999999999999GiB\"", "1: otlp.queue_bytes is"),
        ("prometheus.listen = \"9109\"", "1: prometheus.listen is \"9109\": give an IP address with a port"),
        ("otlp.headers.\"a b\" = \"c\"", "1: otlp.headers has \"a b\", which is no header name"),
        ("otlp.headers.Host = \"c\"", "1: otlp.headers has \"Host\", which the exporter sets itself"),
        ("otlp.headers = { a = \"1\", A = \"2\" }", "1: otlp.headers has \"a\" twice"),
        ("resource.attributes.\"\" = \"c\"", "1: resource.attributes has the name \"\""),
        (
            "resource.attributes.\"service.name\" = \"c\"",
            "1: resource.attributes has \"service.name\", which names one",
        ),
        (
            "resource.attributes.\"host.id\" = \"c\"",
            "1: resource.attributes has \"host.id\", by which resources are told",
        ),
        ("resource.attributes.\"wattrace.x\" = \"c\"", "1: resource.attributes has \"wattrace.x\", by which resources"),
        ("resource.attributes.a = \"\"", "1: resource.attributes has a value for \"a\" that is empty"),
    ]);
}

#[test]
fn endpoints_that_are_none_are_said() {
    each_is_said(&[
        ("otlp.endpoint = \"c:4318\"", "1: otlp.endpoint is no http:// or https:// URL"),
        ("otlp.endpoint = \"grpc://c:4317\"", "1: otlp.endpoint is no http:// or https:// URL"),
        ("otlp.endpoint = \"http://\"", "1: otlp.endpoint is \"http://\": give a URL"),
        ("otlp.endpoint = \"http://c:0\"", "1: otlp.endpoint is \"http://c:0\": give a URL"),
        ("otlp.endpoint = \"http://[::g]\"", "1: otlp.endpoint is \"http://[::g]\": give a URL"),
        ("otlp.endpoint = \"http://c/ä\"", "1: otlp.endpoint is \"http://c/ä\": give a URL"),
        ("otlp.endpoint = \"http://c?x\"", "1: otlp.endpoint has a query or fragment"),
        ("otlp.endpoint = \"http://c/v1/metrics\"", "1: otlp.endpoint ends in /v1/metrics, which is appended"),
        ("otlp.logs_endpoint = \"http://c/v1/logs\"", "1: otlp.logs_endpoint ends in /v1/logs, which is appended"),
        ("otlp.logs_endpoint = \"none\"", "1: otlp.logs_endpoint is no http:// or https:// URL"),
    ]);
}

#[test]
fn contradictions_are_said() {
    each_is_said(&[
        ("[energy]\nidle_watts = 50\nmax_watts = 40", "3: energy.max_watts is below energy.idle_watts"),
        ("energy.max_watts = 40", "1: energy.max_watts says nothing without energy.idle_watts"),
        (
            "[carbon]\nlocation=\"DE\"\nintensity_g_per_kwh=3",
            "3: carbon.intensity_g_per_kwh contradicts carbon.location",
        ),
        ("otlp.client_key = \"/k\"", "1: otlp.client_key says nothing without otlp.client_certificate"),
        ("otlp.client_certificate = \"/k\"", "1: otlp.client_certificate says nothing without otlp.client_key"),
        (
            "[otlp]\nendpoint=\"http://c\"\ncertificate=\"/k\"",
            "3: otlp.certificate says nothing for an http:// endpoint",
        ),
    ]);
}

#[test]
fn what_is_no_toml_is_said() {
    each_is_said(&[("[energy\n", "1: "), ("[agent]\nstate_dir = \"/a", "2: "), ("a = 1\na = 2", "2: duplicate key")]);
}

#[test]
fn all_mistakes_are_said_at_once_in_the_order_of_lines() {
    let text = "[energy]\nidle_watts = -1\nmax_watts = nan\nmin_watts = 3\n[carbon]\nlocation = \"some where\"\n\
                intensity_g_per_kwh = 0\npue = \"low\"\nembodied_kg = inf\n[agnt]\n[agent]\ninterval = 3\n";
    let said = said(text);
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("w.toml:")?.split(':').next()).collect();
    assert_eq!(lines, ["2", "3", "4", "6", "7", "7", "8", "9", "10", "12"], "{said}");
}

#[test]
fn broken_lines_are_all_said() {
    let said = said("[agent]\ninterval = \nstate_dir = \"/a\nlog_level == \"info\"\n");
    for line in ["w.toml:2: ", "w.toml:3: ", "w.toml:4: "] {
        assert!(said.lines().any(|said| said.starts_with(line)), "{said}");
    }
}

#[test]
fn a_mistake_brings_no_second_complaint() {
    assert_eq!(said("[energy]\nidle_watts = -5\nmax_watts = 40\n").lines().count(), 1);
    assert_eq!(said("[otlp]\nclient_certificate = \"c\"\nclient_key = \"/k\"\n").lines().count(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let said = load(Some(&path), &Variables::new(), &Flags::default()).unwrap_err().to_string();
    assert!(said.starts_with(&path.display().to_string()) && said.contains("cannot read"), "{said}");
    std::fs::write(&path, "carbon.pue = 1.5").unwrap();
    let loaded = load(Some(&path), &Variables::new(), &Flags::default()).unwrap();
    assert_eq!(loaded.config.carbon.pue, Some(1.5));
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", parsed("otlp.headers.key = \"hush\"").unwrap());
    assert!(shown.contains("key") && !shown.contains("hush"), "{shown}");
    for text in ["otlp.headers.key = \"hush\\u0007\"", "otlp.endpoint = \"http://me:hush@c\""] {
        assert!(!said(text).contains("hush"), "{}", said(text));
    }
    let error = all("", &[("OTEL_EXPORTER_OTLP_HEADERS", "hush,a=hush%")], &Flags::default()).unwrap_err();
    assert!(!error.contains("hush"), "{error}");
}
