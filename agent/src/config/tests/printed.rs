//! What is printed says the same when it is read again; what changed is told apart.

use std::{collections::BTreeSet, time::Duration};

use proptest::{collection::btree_map, option, prelude::*, sample::select};

use super::{
    super::{options::OPTIONS, print, settings::Value},
    *,
};
use crate::attribution::{functional::FunctionalUnit, weight::SmtGain};

fn file_of(config: &Config) -> String {
    let values = print::values(config);
    let lines: Vec<String> =
        values.iter().map(|(key, value): (_, &Value)| format!("{key} = {}\n", print::toml(value))).collect();
    lines.concat()
}

#[test]
fn the_file_of_defaults_is_the_defaults() {
    let text = defaults_file();
    assert_eq!(parsed(&text).unwrap(), Config::default(), "{text}");
}

#[test]
fn every_option_is_in_the_file_of_defaults_and_its_example_is_taken() {
    let text = defaults_file();
    for option in &OPTIONS {
        assert!(text.contains(&format!("\n{} = ", option.name())) || !option.example.is_empty(), "{}", option.key);
        assert!(option.help.ends_with('.') && !option.help.contains(['|', '\n']), "{}", option.key);
    }
    // All at once would contradict each other: a location and a fixed intensity, certificates and http://.
    let uncommented = text.replace("\n#", "\n").replace("\n ", "\n# ");
    let uncommented = uncommented.replace("\nlocation", "\n#").replace("http://localhost", "https://localhost");
    let config = parsed(&uncommented).unwrap();
    let set: BTreeSet<&str> = print::values(&config).into_keys().collect();
    let expected: BTreeSet<&str> = OPTIONS
        .iter()
        .map(|option| option.key)
        .filter(|key| !["carbon.location", "otlp.insecure"].contains(key))
        .collect();
    assert_eq!(set, expected);
}

#[test]
fn the_reference_names_every_option_and_variable() {
    let page = reference();
    for option in &OPTIONS {
        assert!(page.contains(&format!("\n| `{}` | ", option.name())), "{}", option.key);
        assert!(option.variables.iter().all(|name| page.contains(&format!("`{name}`"))), "{}", option.key);
    }
}

#[test]
fn a_reload_takes_what_it_can_and_names_the_rest() {
    let old = parsed("agent.interval = \"15s\"\notlp.endpoint = \"http://a\"").unwrap();
    assert_eq!(reload(&old, &old), Reload::default());
    let text = "agent.interval = \"30s\"\nagent.state_dir = \"/s\"\nenergy.idle_watts = 3\nenergy.idle_policy = \"by_request\"\nagent.log_level = \"warn\"\n\
                otlp.endpoint = \"http://a\"\nresource.attributes.a = \"b\"\nprometheus.listen = \"127.0.0.1:1\"\n";
    let new = parsed(text).unwrap();
    let expected = Reload {
        changed: vec!["agent.interval", "agent.log_level", "resource.attributes"],
        needs_restart: vec!["agent.state_dir", "energy.idle_watts", "energy.idle_policy", "prometheus.listen"],
    };
    assert_eq!(reload(&old, &new), expected);
    assert_eq!(reload(&new, &old), expected);
    let gone = parsed("").unwrap();
    assert_eq!(reload(&old, &gone).changed, ["otlp.endpoint"]);
}

fn path() -> impl Strategy<Value = std::path::PathBuf> {
    "/[^/\\x00-\\x1f\\x7f-\\x9f]{1,12}".prop_filter("climbs", |text| text != "/..").prop_map(Into::into)
}

fn agent() -> impl Strategy<Value = Agent> {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let level = select(vec![Error, Warn, Info, Debug, Trace]);
    let unit = option::of(select(FunctionalUnit::ALL.to_vec()));
    ((1_000_000_000_u64..=3_600_000_000_000).prop_map(Duration::from_nanos), path(), level, unit).prop_map(
        |(interval, state_dir, log_level, functional_unit)| Agent { interval, state_dir, log_level, functional_unit },
    )
}

fn energy() -> impl Strategy<Value = Energy> {
    let powers = option::of((0.0..50_000.0_f64, option::of(0.0..50_000.0_f64)));
    let policy = select(IdlePolicy::ALL.to_vec());
    let gain = (0.0..=1.0).prop_map(SmtGain::new);
    (option::of(select(MeterKind::ALL.to_vec())), powers, policy, gain).prop_map(
        |(source, both, idle_policy, smt_gain)| {
            let (idle, above) = both.unzip();
            let max = idle.zip(above.flatten()).map(|(idle, above)| Watts(idle + above));
            Energy { source, idle: idle.map(Watts), max, idle_policy, smt_gain }
        },
    )
}

fn carbon() -> impl Strategy<Value = Carbon> {
    let place = prop_oneof![
        Just((None, None)),
        "[A-Za-z0-9_-]{1,32}".prop_map(|location| (Some(location), None)),
        (0.1..2_000.0).prop_map(|intensity| (None, Some(GramsPerKwh(intensity)))),
    ];
    // Whole kilograms: scaling others to grams and back may round.
    let embodied = option::of((1..100_000_u32).prop_map(|kg| Grams(f64::from(kg) * 1e3)));
    (place, option::of(1.0..5.0_f64), embodied, option::of(0.5..30.0_f64)).prop_map(
        |((location, intensity), pue, embodied, embodied_lifespan_years)| Carbon {
            location,
            intensity,
            pue,
            embodied,
            embodied_lifespan_years,
        },
    )
}

fn otlp() -> impl Strategy<Value = Otlp> {
    let endpoint = option::of("https://[a-z0-9.-]{1,12}(:[1-9][0-9]{0,3})?(/[a-z%]{1,6}){0,2}/v1/metrics");
    let headers = btree_map("x-[a-z0-9-]{1,8}", "([!-~]([ -~]{0,8}[!-~])?)?", 0..3).prop_map(Headers);
    let client = option::of((path(), path()).prop_map(|(certificate, key)| ClientFiles { certificate, key }));
    let timeout = (100_000_000_u64..=300_000_000_000).prop_map(Duration::from_nanos);
    let queue = (1_u64 << 20..=1 << 36).prop_map(Bytes);
    let compression = select(vec![Compression::Gzip, Compression::None]);
    (endpoint, headers, timeout, compression, option::of(path()), client, queue, logs()).prop_map(
        |(endpoint, headers, timeout, compression, certificate, client, queue, logs)| {
            let same = Logs {
                endpoint: endpoint.as_ref().map(|url| url.replace("/v1/metrics", "/v1/logs")),
                headers: headers.clone(),
                timeout,
            };
            let logs = logs.unwrap_or(same);
            Otlp { endpoint, headers, timeout, compression, certificate, client, queue, logs }
        },
    )
}

/// `None`: as the metrics.
fn logs() -> impl Strategy<Value = Option<Logs>> {
    let endpoint = option::of("https://[a-z0-9.-]{1,12}(/[a-z%]{1,6}){0,2}/v1/logs");
    let headers = btree_map("x-[a-z]{1,4}", "[!-~]{0,4}", 0..2).prop_map(Headers);
    let timeout = (100_000_000_u64..=300_000_000_000).prop_map(Duration::from_nanos);
    option::of((endpoint, headers, timeout).prop_map(|(endpoint, headers, timeout)| Logs {
        endpoint,
        headers,
        timeout,
    }))
}

fn config() -> impl Strategy<Value = Config> {
    let listen =
        option::of(any::<std::net::SocketAddr>().prop_filter(
            "has a scope",
            |address| !matches!(address, std::net::SocketAddr::V6(v6) if v6.flowinfo() != 0),
        ));
    let attributes = btree_map("[!-~]{1,8}", "[^\\x00-\\x1f\\x7f-\\x9f]{1,12}", 0..3);
    let resource = (attributes, option::of("[^\\x00-\\x1f\\x7f-\\x9f]{1,12}"));
    let counting = || select(Counting::ALL.to_vec());
    let probes = (select(SchedLevel::ALL.to_vec()), select(BlockLevel::ALL.to_vec()), counting(), counting());
    let probes = probes.prop_map(|(sched, block, tcp, process)| Probes { sched, block, tcp, process });
    (agent(), energy(), probes, carbon(), otlp(), events(), listen, resource).prop_map(
        |(agent, energy, probes, carbon, otlp, events, listen, (attributes, service_name))| Config {
            // Without a destination they would be a mistake.
            events: if otlp.logs.endpoint.is_some() { events } else { Events::default() },
            agent,
            energy,
            probes,
            carbon,
            otlp,
            prometheus: Prometheus { listen },
            resource: Resource { attributes, service_name },
        },
    )
}

fn events() -> impl Strategy<Value = Events> {
    (any::<[bool; 5]>(), 1..=10_000_u32).prop_map(|([exec, exit, closed, args, energy], rate)| Events {
        process_exec: exec,
        process_exit: exit,
        tcp_connection_closed: closed,
        args: if args && exec { Arguments::Redacted } else { Arguments::None },
        rate,
        energy: energy && exit,
    })
}

/// Pieces of real files in any order reach deeper than noise does.
fn pieces() -> impl Strategy<Value = String> {
    let names = OPTIONS.iter().map(|option| option.key.to_owned()).collect::<Vec<_>>();
    let values = ["-nan", "\"off\"", "\"1s\"", "{ a = \"b\" }", "[1]", "true", "\"http://[\"", "\"%\"", "0xff"];
    let piece = prop_oneof![
        select(names),
        select(vec!["[", "]", "[agent]\n", "\n", " = ", "\"", "."]).prop_map(str::to_owned),
        select(values.to_vec()).prop_map(|value| format!(" = {value}\n")),
        any::<f64>().prop_map(|number| format!("{number:?}\n")),
        "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn variables() -> impl Strategy<Value = Variables> {
    let names: Vec<&str> = OPTIONS.iter().flat_map(|option| option.variables).copied().collect();
    let names = select(names).prop_map(str::to_owned);
    btree_map(names, prop_oneof![any::<String>(), "[a-c=,%0-9:/ ]{0,12}"], 0..4)
}

proptest! {
    #[test]
    fn no_text_and_no_variable_is_a_panic(
        text in prop_oneof![any::<String>(), pieces()],
        variables in variables(),
        flag in option::of(any::<String>()),
    ) {
        let flags = Flags { endpoint: flag.clone(), listen: flag, ..Flags::default() };
        match parse(Path::new("w.toml"), &text, &variables, &flags) {
            Ok(Loaded { config, .. }) => {
                let idle = config.energy.idle;
                prop_assert!(config.energy.max.is_none_or(|max| idle.is_some_and(|idle| idle.0 <= max.0)));
                prop_assert!(config.carbon.location.is_none() || config.carbon.intensity.is_none());
            }
            Err(ConfigError(mistakes)) => {
                prop_assert!(!mistakes.is_empty());
                prop_assert!(mistakes.iter().all(|mistake| !mistake.to_string().contains('\n')), "{mistakes:?}");
            }
        }
    }

    #[test]
    fn a_printed_configuration_is_read_back(config in config()) {
        let text = file_of(&config);
        prop_assert_eq!(parsed(&text), Ok(config), "{}", text);
    }

    #[test]
    fn a_reload_finds_exactly_what_differs(old in config(), new in config()) {
        let Reload { changed, needs_restart } = reload(&old, &new);
        prop_assert_eq!(changed.is_empty() && needs_restart.is_empty(), old == new);
        let named: BTreeSet<_> = changed.iter().chain(&needs_restart).collect();
        prop_assert_eq!(named.len(), changed.len() + needs_restart.len());
    }

    #[test]
    fn what_is_taken_over_is_what_changes_at_once(old in config(), new in config()) {
        let now = taken_over(&old, &new);
        let (before, rest) = (reload(&old, &new), reload(&now, &new));
        prop_assert_eq!(rest.changed, [""; 0]);
        prop_assert_eq!(&rest.needs_restart, &before.needs_restart);
        prop_assert_eq!(reload(&old, &now), Reload { needs_restart: Vec::new(), ..before });
    }
}
