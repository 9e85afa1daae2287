//! A configuration as text: the value of each option, the file with all defaults, the reference.

use std::{collections::BTreeMap, path::Path};

use super::{
    options::{OPTIONS, Opt, SECTIONS, Section},
    settings::Value,
    single::{self, LOGS_PATH, METRICS_PATH, NO_UNIT, OFF, print_size},
    valid::{Agent, Carbon, ClientFiles, Config, Energy, Events, Logs, Otlp, Probes, Prometheus, Resource},
};
use crate::attribution::functional::FunctionalUnit;

/// What each option would have to say for this configuration; the inverse of [`super::judge`]. A field that is
/// not named here does not compile.
pub(super) fn values(config: &Config) -> BTreeMap<&'static str, Value> {
    let Config { agent, energy, probes, carbon, otlp, events, prometheus, resource } = config;
    let Probes { sched, block, tcp, process } = probes;
    let Prometheus { listen } = prometheus;
    let Resource { attributes, service_name } = resource;
    let all = agent_values(agent).into_iter().chain(energy_values(energy)).chain(carbon_values(carbon));
    let all = all.chain(otlp_values(otlp)).chain(logs_values(otlp)).chain(events_values(*events)).chain([
        ("probes.sched", Some(Value::text(sched.name()))),
        ("probes.block", Some(Value::text(block.name()))),
        ("probes.tcp", Some(Value::text(tcp.name()))),
        ("probes.process", Some(Value::text(process.name()))),
        ("prometheus.listen", listen.as_ref().map(Value::text)),
        ("resource.attributes", table(attributes)),
        ("resource.service_name", service_name.as_ref().map(Value::text)),
    ]);
    all.filter_map(|(key, value)| Some((key, value?))).collect()
}

type Row = (&'static str, Option<Value>);

fn agent_values(agent: &Agent) -> [Row; 4] {
    let Agent { interval, state_dir, log_level, functional_unit } = agent;
    [
        ("agent.interval", Some(Value::text(&humantime::format_duration(*interval)))),
        ("agent.state_dir", path(Some(state_dir))),
        ("agent.log_level", Some(Value::text(log_level.name()))),
        ("agent.functional_unit", Some(Value::text(functional_unit.map_or(NO_UNIT, FunctionalUnit::name)))),
    ]
}

fn energy_values(energy: &Energy) -> [Row; 5] {
    let Energy { source, idle, max, idle_policy, smt_gain } = energy;
    [
        ("energy.source", source.map(|kind| Value::text(kind.name()))),
        ("energy.idle_watts", idle.map(|idle| Value::Number(idle.0))),
        ("energy.max_watts", max.map(|max| Value::Number(max.0))),
        ("energy.idle_policy", Some(Value::text(idle_policy.name()))),
        ("energy.smt_gain", Some(Value::Number(smt_gain.value()))),
    ]
}

fn carbon_values(carbon: &Carbon) -> [Row; 5] {
    let Carbon { location, intensity, pue, embodied, embodied_lifespan_years } = carbon;
    [
        ("carbon.location", location.as_ref().map(Value::text)),
        ("carbon.intensity_g_per_kwh", intensity.map(|intensity| Value::Number(intensity.0))),
        ("carbon.pue", pue.map(Value::Number)),
        ("carbon.embodied_kg", embodied.map(|grams| Value::Number(grams.0 / 1e3))),
        ("carbon.embodied_lifespan_years", embodied_lifespan_years.map(Value::Number)),
    ]
}

fn otlp_values(otlp: &Otlp) -> [Row; 9] {
    let Otlp { endpoint, headers, timeout, compression, certificate, client, queue, logs: _ } = otlp;
    let (client_certificate, client_key) =
        client.as_ref().map(|ClientFiles { certificate, key }| (certificate, key)).unzip();
    let base = endpoint.as_ref().map(|url| url.strip_suffix(METRICS_PATH).unwrap_or(url));
    [
        ("otlp.endpoint", base.map(Value::text)),
        ("otlp.headers", table(&headers.0)),
        ("otlp.timeout", Some(Value::text(&humantime::format_duration(*timeout)))),
        ("otlp.compression", Some(Value::text(compression.name()))),
        // Has done its work: the endpoint has a scheme.
        ("otlp.insecure", None),
        ("otlp.certificate", path(certificate.as_ref())),
        ("otlp.client_certificate", path(client_certificate)),
        ("otlp.client_key", path(client_key)),
        ("otlp.queue_bytes", Some(Value::text(&print_size(queue.0)))),
    ]
}

/// What follows from the metrics' stays unsaid: who takes the printed file and changes the endpoint means both.
fn logs_values(otlp: &Otlp) -> impl Iterator<Item = Row> {
    let Otlp { endpoint: beside, headers: same, timeout: as_long, logs, .. } = otlp;
    let follows =
        [logs.endpoint == beside.as_deref().and_then(single::beside), logs.headers == *same, logs.timeout == *as_long];
    let rows = logs_in_force(logs).into_iter().zip(follows);
    rows.map(|((key, value), follows)| (key, (!follows).then_some(value)))
}

/// The options of log records, those that follow the metrics' too.
fn logs_in_force(Logs { endpoint, headers, timeout }: &Logs) -> [(&'static str, Value); 3] {
    let base = endpoint.as_ref().map_or(OFF, |url| url.strip_suffix(LOGS_PATH).unwrap_or(url));
    [
        ("otlp.logs_endpoint", Value::text(base)),
        ("otlp.logs_headers", Value::Table(headers.0.clone())),
        ("otlp.logs_timeout", Value::text(&humantime::format_duration(*timeout))),
    ]
}

fn events_values(events: Events) -> [Row; 6] {
    let Events { process_exec, process_exit, tcp_connection_closed, args, rate, energy } = events;
    [
        ("events.process_exec", Some(Value::Switch(process_exec))),
        ("events.process_exit", Some(Value::Switch(process_exit))),
        ("events.tcp_connection_closed", Some(Value::Switch(tcp_connection_closed))),
        ("events.args", Some(Value::text(args.name()))),
        ("events.rate", Some(Value::Whole(rate.into()))),
        ("events.energy", Some(Value::Switch(energy))),
    ]
}

fn path(path: Option<impl AsRef<Path>>) -> Option<Value> {
    path.map(|path| Value::text(&path.as_ref().display()))
}

fn table(table: &BTreeMap<String, String>) -> Option<Value> {
    (!table.is_empty()).then(|| Value::Table(table.clone()))
}

/// The value as TOML.
pub(super) fn toml(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("{number:?}"),
        Value::Whole(number) => number.to_string(),
        Value::Switch(switch) => switch.to_string(),
        Value::Text(text) => quoted(text),
        Value::Table(table) => {
            let members: Vec<String> =
                table.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
            format!("{{ {} }}", members.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

const HEAD: &str = "\
# Configuration of wattrace, with its defaults; `wattrace check` says what is wrong with a changed one.
# What has no default is commented out and shows an example.
# Strength rises: these defaults, this file, environment variables, flags.
";

/// The commented file that says what is said when there is none.
pub fn defaults_file() -> String {
    let defaults = values(&Config::default());
    let section = |section: &Section| {
        let options = of_section(section.name).map(|option| commented(option, defaults.get(option.key)));
        format!("\n# {}\n[{}]\n{}", section.help, section.name, options.collect::<String>())
    };
    HEAD.to_owned() + &SECTIONS.iter().map(section).collect::<String>()
}

fn commented(option: &Opt, default: Option<&Value>) -> String {
    let (mark, value) = default.map_or_else(|| ("#", option.example.to_owned()), |value| ("", toml(value)));
    format!("# {}\n{mark}{} = {value}\n", option.help, option.name())
}

pub(super) fn of_section(name: &str) -> impl Iterator<Item = &'static Opt> {
    const ROWS: &[Opt] = &OPTIONS;
    ROWS.iter().filter(move |option| option.section() == name)
}
