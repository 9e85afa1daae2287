//! From everything that was said to a configuration, or to all that is wrong with it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    options::{self, Kind},
    settings::{Mistake, Setting, Settings, Value},
    single::{self, NO_UNIT},
    valid::{
        Agent, BlockLevel, Carbon, ClientFiles, Compression, Config, Counting, Energy, Headers, LogLevel, Logs,
        MeterKind, Otlp, Probes, Prometheus, Resource, SchedLevel,
    },
};
use crate::{
    attribution::{functional::FunctionalUnit, reserved::IdlePolicy, weight::SmtGain},
    units::{Bytes, Grams, GramsPerKwh, Watts},
};

mod events;

const LOCATION: &str = "carbon.location";
const INTENSITY: &str = "carbon.intensity_g_per_kwh";
const ENDPOINT: &str = "otlp.endpoint";
const ENDPOINT_OF_METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const HEADERS: &str = "otlp.headers";
const HEADERS_OF_METRICS: &str = "OTEL_EXPORTER_OTLP_METRICS_HEADERS";
const LOGS_ENDPOINT: &str = "otlp.logs_endpoint";
const ENDPOINT_OF_LOGS: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";

/// The configuration is of use only when `found` stays empty.
pub(super) fn judge(settings: &Settings, found: &mut Vec<Mistake>) -> Config {
    let mut judge = Judge { settings, found };
    let otlp = judge.otlp();
    Config {
        agent: judge.agent(),
        energy: judge.energy(),
        probes: judge.probes(),
        carbon: judge.carbon(),
        events: judge.events(otlp.logs.endpoint.as_deref()),
        otlp,
        prometheus: Prometheus { listen: judge.text("prometheus.listen", single::listen).flatten() },
        resource: judge.resource(),
    }
}

struct Judge<'a> {
    settings: &'a Settings,
    found: &'a mut Vec<Mistake>,
}

impl Judge<'_> {
    fn complain(&mut self, setting: &Setting, key: &str, what: impl AsRef<str>) {
        let text = format!("{key} {}", what.as_ref());
        self.found.push(Mistake { origin: setting.origin.clone(), text });
    }

    /// Every value said for the key, weakest first, where it is one that can be taken.
    fn each<T>(&mut self, key: &'static str, take: impl Fn(&Setting) -> Result<T, String>) -> Vec<Option<T>> {
        let settings = self.settings;
        let mut taken = Vec::new();
        for setting in settings.all(key) {
            match take(setting) {
                Ok(value) => taken.push(Some(value)),
                Err(what) => {
                    self.complain(setting, key, what);
                    taken.push(None);
                }
            }
        }
        taken
    }

    fn strongest<T>(&mut self, key: &'static str, take: impl Fn(&Setting) -> Result<T, String>) -> Option<T> {
        self.each(key, take).pop().flatten()
    }

    fn text<T>(&mut self, key: &'static str, take: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.strongest(key, |setting| match &setting.value {
            Value::Text(text) => take(text),
            other => Err(of_other_type(other)),
        })
    }

    fn number(&mut self, key: &'static str) -> Option<f64> {
        self.strongest(key, |setting| match (&setting.value, kind(key)) {
            (Value::Number(number), Some(Kind::Number(range))) => single::number(*number, range),
            (other, _) => Err(of_other_type(other)),
        })
    }

    fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.text(key, |text| match kind(key) {
            Some(Kind::Duration(range)) => single::duration(text, range),
            _ => Err("takes no duration".to_owned()),
        })
    }

    fn size(&mut self, key: &'static str) -> Option<Bytes> {
        self.text(key, |text| match kind(key) {
            Some(Kind::Size(range)) => single::size(text, range),
            _ => Err("takes no size".to_owned()),
        })
    }

    fn one_of<T: Copy>(&mut self, key: &'static str, all: &[(&str, T)]) -> Option<T> {
        self.text(key, |text| {
            let meant = all.iter().find(|(name, _)| *name == text).map(|(_, meant)| *meant);
            let names = || all.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ");
            meant.ok_or_else(|| format!("is {text:?}: give {}", names()))
        })
    }

    fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key, single::path)
    }

    fn agent(&mut self) -> Agent {
        use LogLevel::{Debug, Error, Info, Trace, Warn};
        let default = Agent::default();
        let levels = [Error, Warn, Info, Debug, Trace].map(|level| (level.name(), level));
        let units: Vec<_> = [None].into_iter().chain(FunctionalUnit::ALL.map(Some)).collect();
        let units: Vec<_> = units.into_iter().map(|unit| (unit.map_or(NO_UNIT, FunctionalUnit::name), unit)).collect();
        Agent {
            interval: self.duration("agent.interval").unwrap_or(default.interval),
            state_dir: self.path("agent.state_dir").unwrap_or(default.state_dir),
            log_level: self.one_of("agent.log_level", &levels).unwrap_or(default.log_level),
            functional_unit: self.one_of("agent.functional_unit", &units).flatten(),
        }
    }

    fn energy(&mut self) -> Energy {
        const IDLE: &str = "energy.idle_watts";
        const MAX: &str = "energy.max_watts";
        let (idle, max) = (self.number(IDLE).map(Watts), self.number(MAX).map(Watts));
        let settings = self.settings;
        if let (Some(max), Some(said)) = (max, settings.strongest(MAX)) {
            match (idle, settings.strongest(IDLE)) {
                (Some(idle), _) if max.0 < idle.0 => self.complain(
                    said,
                    MAX,
                    "is below energy.idle_watts: a busy machine draws no less than an idle one, correct one of them",
                ),
                (None, None) => {
                    self.complain(said, MAX, "says nothing without energy.idle_watts: add it, or remove this");
                }
                _ => {}
            }
        }
        let sources = MeterKind::ALL.map(|kind| (kind.name(), kind));
        let policies = IdlePolicy::ALL.map(|policy| (policy.name(), policy));
        let idle_policy = self.one_of("energy.idle_policy", &policies).unwrap_or_default();
        let smt_gain = self.number("energy.smt_gain").map(SmtGain::new).unwrap_or_default();
        Energy { source: self.one_of("energy.source", &sources), idle, max, idle_policy, smt_gain }
    }

    fn probes(&mut self) -> Probes {
        let levels = SchedLevel::ALL.map(|level| (level.name(), level));
        let blocks = BlockLevel::ALL.map(|level| (level.name(), level));
        let counting = Counting::ALL.map(|counting| (counting.name(), counting));
        Probes {
            sched: self.one_of("probes.sched", &levels).unwrap_or_default(),
            block: self.one_of("probes.block", &blocks).unwrap_or_default(),
            tcp: self.one_of("probes.tcp", &counting).unwrap_or_default(),
            process: self.one_of("probes.process", &counting).unwrap_or_default(),
        }
    }

    fn carbon(&mut self) -> Carbon {
        let (location, intensity) = self.place();
        Carbon {
            location,
            intensity,
            pue: self.number("carbon.pue"),
            embodied: self.number("carbon.embodied_kg").map(|kg| Grams(kg * 1e3)),
            embodied_lifespan_years: self.number("carbon.embodied_lifespan_years"),
        }
    }

    /// Either of the two, the stronger; from one origin they contradict each other.
    fn place(&mut self) -> (Option<String>, Option<GramsPerKwh>) {
        let (location, intensity) = (self.text(LOCATION, single::location), self.number(INTENSITY).map(GramsPerKwh));
        let settings = self.settings;
        let (Some(looked_up), Some(fixed)) = (settings.strongest(LOCATION), settings.strongest(INTENSITY)) else {
            return (location, intensity);
        };
        match looked_up.origin.rank().cmp(&fixed.origin.rank()) {
            std::cmp::Ordering::Greater => (location, None),
            std::cmp::Ordering::Less => (None, intensity),
            std::cmp::Ordering::Equal => {
                self.complain(
                    fixed,
                    INTENSITY,
                    "contradicts carbon.location, which looks the intensity up: keep one of them",
                );
                (location, intensity)
            }
        }
    }

    fn otlp(&mut self) -> Otlp {
        let default = Otlp::default();
        let compressions = [Compression::Gzip, Compression::None].map(|kind| (kind.name(), kind));
        let endpoint = self.endpoint(ENDPOINT, single::METRICS_PATH, ENDPOINT_OF_METRICS);
        let headers = self.headers(HEADERS).unwrap_or_default();
        let timeout = self.duration("otlp.timeout").unwrap_or(default.timeout);
        let otlp = Otlp {
            logs: self.logs(endpoint.as_deref(), &headers, timeout),
            endpoint,
            headers,
            timeout,
            compression: self.one_of("otlp.compression", &compressions).unwrap_or(default.compression),
            certificate: self.path("otlp.certificate"),
            client: self.client(),
            queue: self.size("otlp.queue_bytes").unwrap_or(default.queue),
        };
        self.encrypted(&otlp);
        otlp
    }

    /// `exact` is the variable to which no path is appended.
    fn endpoint(&mut self, key: &'static str, path: &str, exact: &str) -> Option<String> {
        let insecure = self.strongest("otlp.insecure", |said| match &said.value {
            Value::Switch(insecure) => Ok(*insecure),
            other => Err(of_other_type(other)),
        });
        self.strongest(key, |said| match &said.value {
            Value::Text(text) => single::endpoint(text, (!said.origin.is_variable(exact)).then_some(path), insecure),
            other => Err(of_other_type(other)),
        })
        .flatten()
    }

    fn headers(&mut self, key: &'static str) -> Option<Headers> {
        self.strongest(key, |said| table(said, single::headers)).map(Headers)
    }

    /// Where nothing else was said, log records go the way of the metrics, unless that was said of metrics alone.
    fn logs(&mut self, endpoint: Option<&str>, headers: &Headers, timeout: Duration) -> Logs {
        let settings = self.settings;
        let of_metrics = |key, name| settings.strongest(key).is_some_and(|said| said.origin.is_variable(name));
        let base = endpoint.filter(|_| !of_metrics(ENDPOINT, ENDPOINT_OF_METRICS));
        let own = |of_metrics: bool| if of_metrics { Headers::default() } else { headers.clone() };
        let follows = settings.strongest(LOGS_ENDPOINT).is_none();
        Logs {
            endpoint: if follows {
                base.and_then(single::beside)
            } else {
                self.endpoint(LOGS_ENDPOINT, single::LOGS_PATH, ENDPOINT_OF_LOGS)
            },
            headers: self.headers("otlp.logs_headers").unwrap_or_else(|| own(of_metrics(HEADERS, HEADERS_OF_METRICS))),
            timeout: self.duration("otlp.logs_timeout").unwrap_or(timeout),
        }
    }

    fn client(&mut self) -> Option<ClientFiles> {
        const CERTIFICATE: &str = "otlp.client_certificate";
        const KEY: &str = "otlp.client_key";
        let (certificate, key) = (self.path(CERTIFICATE), self.path(KEY));
        let settings = self.settings;
        match (settings.strongest(CERTIFICATE), settings.strongest(KEY)) {
            (Some(said), None) => self.complain(said, CERTIFICATE, "says nothing without otlp.client_key: add it"),
            (None, Some(said)) => self.complain(said, KEY, "says nothing without otlp.client_certificate: add it"),
            _ => {}
        }
        Some(ClientFiles { certificate: certificate?, key: key? })
    }

    /// Who names certificates believes that what is sent is encrypted.
    fn encrypted(&mut self, otlp: &Otlp) {
        let mut urls = [&otlp.endpoint, &otlp.logs.endpoint].into_iter().flatten().peekable();
        let is_plain = urls.peek().is_some() && urls.all(|url| url.starts_with("http://"));
        let settings = self.settings;
        for key in ["otlp.certificate", "otlp.client_certificate"] {
            if let Some(said) = settings.strongest(key).filter(|_| is_plain) {
                self.complain(said, key, "says nothing for an http:// endpoint: make it https://, or remove this");
            }
        }
    }

    fn resource(&mut self) -> Resource {
        let each = self.each("resource.attributes", |said| table(said, single::attributes));
        Resource {
            attributes: each.into_iter().flatten().flatten().collect(),
            service_name: self.text("resource.service_name", single::attribute),
        }
    }
}

type Table = BTreeMap<String, String>;

fn table(said: &Setting, take: impl Fn(&Table) -> Result<Table, String>) -> Result<Table, String> {
    match &said.value {
        Value::Table(table) => take(table),
        other => Err(of_other_type(other)),
    }
}

fn kind(key: &str) -> Option<&'static Kind> {
    options::find(key).map(|option| &option.kind)
}

/// Origins give each kind its type; this is for the day one of them does not.
fn of_other_type(value: &Value) -> String {
    let found = match value {
        Value::Number(_) | Value::Whole(_) => "a number",
        Value::Switch(_) => "true or false",
        Value::Text(_) => "a text",
        Value::Table(_) => "a table",
    };
    format!("is {found}, which it cannot be: see `wattrace config --defaults`")
}
