//! The one table of options: the file, the variables, the ranges, `config --defaults` and
//! `docs/configuration.md` all follow from it. Defaults are those of [`super::Config`].

use std::{fmt, ops::RangeInclusive, time::Duration};

use super::single;

mod events;

/// A section of the file.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

/// What an option takes.
#[derive(Debug)]
pub(super) enum Kind {
    Number(RangeInclusive<f64>),
    Whole(RangeInclusive<u32>),
    Duration(RangeInclusive<Duration>),
    /// In bytes.
    Size(RangeInclusive<u64>),
    OneOf(&'static [&'static str]),
    Switch,
    /// Says what the text is.
    Text(&'static str),
    Table,
}

/// One row.
pub(super) struct Opt {
    /// `section.name`.
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    /// Strongest first; only the first that is set counts.
    pub(super) variables: &'static [&'static str],
    /// Whether a running agent takes a new value at SIGHUP.
    pub(super) reload: bool,
    /// In TOML, for an option without a default.
    pub(super) example: &'static str,
    pub(super) help: &'static str,
}

impl Opt {
    pub(super) fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }

    pub(super) fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(range) => write!(f, "a whole number from {} to {}", range.start(), range.end()),
            Self::Number(range) => write!(f, "a number from {} to {}", range.start(), range.end()),
            Self::Duration(range) => {
                let [from, to] = [range.start(), range.end()].map(|&end| humantime::format_duration(end));
                write!(f, "a duration from \"{from}\" to \"{to}\"")
            }
            Self::Size(range) => {
                let [from, to] = [range.start(), range.end()].map(|&end| single::print_size(end));
                write!(f, "a size from \"{from}\" to \"{to}\"")
            }
            Self::OneOf(names) => {
                let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                f.write_str(&quoted.join(" or "))
            }
            Self::Switch => f.write_str("true or false"),
            Self::Text(what) => f.write_str(what),
            Self::Table => f.write_str("a table of texts"),
        }
    }
}

pub(super) const SECTIONS: [Section; 8] = [
    Section { name: "agent", help: "What the agent does and where it keeps what it must not forget." },
    Section { name: "energy", help: "What you know about the machine's power; measured values are preferred." },
    Section { name: "probes", help: "What the kernel programs count." },
    Section { name: "carbon", help: "Where the machine stands and what was emitted to make it." },
    Section { name: "otlp", help: "Where the metrics and the agent's own log records go: OTLP over HTTP, protobuf." },
    Section {
        name: "events",
        help: "What is told one by one, as OTLP log records, beside the metrics; they go where the agent's own log records go.",
    },
    Section { name: "prometheus", help: "The page a Prometheus server reads." },
    Section { name: "resource", help: "What every exported series says about where it comes from." },
];

/// A node with eight accelerators draws 10 kW; ten times that is a slip of the unit.
const WATTS: RangeInclusive<f64> = 0.0..=100_000.0;
const MIB: u64 = 1 << 20;

pub(super) const OPTIONS: [Opt; 39] = [
    Opt {
        key: "agent.interval",
        kind: Kind::Duration(Duration::from_secs(1)..=Duration::from_secs(3600)),
        variables: &["OTEL_METRIC_EXPORT_INTERVAL"],
        reload: true,
        example: "",
        help: "Time between two readings; each is exported. Below 10s only as root: finer readings show what other users compute.",
    },
    Opt {
        key: "agent.state_dir",
        kind: Kind::Text("an absolute path"),
        variables: &[],
        reload: false,
        example: "",
        help: "Folder for the totals and for what is not yet sent.",
    },
    Opt {
        key: "agent.log_level",
        kind: Kind::OneOf(&["error", "warn", "info", "debug", "trace"]),
        variables: &[],
        reload: true,
        example: "",
        help: "What is logged, and everything graver.",
    },
    Opt {
        key: "agent.functional_unit",
        kind: Kind::OneOf(&["none", "disk_operations", "connections_closed", "execs"]),
        variables: &[],
        reload: false,
        example: "",
        help: "What workloads do, so that energy can be stated for each time that they do it: `once` then shows joules per operation, and wattrace.workload.operations counts them. \"disk_operations\": block I/O requests. \"connections_closed\": established TCP connections that ended, on either side. \"execs\": programs that were started. \"none\": nothing is.",
    },
    Opt {
        key: "energy.source",
        kind: Kind::OneOf(&["perf", "powercap", "hwmon", "model"]),
        variables: &[],
        reload: false,
        example: "\"powercap\"",
        help: "The only meter to use: where it cannot be read, energy is unknown. Absent: the first of these that can be.",
    },
    Opt {
        key: "energy.idle_watts",
        kind: Kind::Number(WATTS),
        variables: &[],
        reload: false,
        example: "20.0",
        help: "Power of the idle machine, in watts. Absent: saved, measured or assumed.",
    },
    Opt {
        key: "energy.max_watts",
        kind: Kind::Number(WATTS),
        variables: &[],
        reload: false,
        example: "90.0",
        help: "Power of the fully busy machine, in watts, for the power model; needs idle_watts.",
    },
    Opt {
        key: "energy.idle_policy",
        kind: Kind::OneOf(&["separate", "by_request"]),
        variables: &[],
        reload: false,
        example: "",
        help: "Whose idle energy is. \"separate\": the node's. \"by_request\": of who reserved CPUs, by the quota in cpu.max of a workload's own control groups, whether it runs or not; what nobody reserved stays with the node. Requests of Kubernetes pods are not read, only the limits that became quotas.",
    },
    Opt {
        key: "energy.smt_gain",
        kind: Kind::Number(0.0..=1.0),
        variables: &[],
        reload: false,
        example: "",
        help: "What the second thread of a core adds to the work of the first, in steps of 0.001: a workload that shares its cores is billed (1 + smt_gain) / 2 of one that has them alone. Published: 0.1 to 0.3. 1: threads count as cores. It matters only where cores have two threads.",
    },
    Opt {
        key: "probes.sched",
        kind: Kind::OneOf(&["full", "lean"]),
        variables: &[],
        reload: false,
        example: "",
        help: "What is counted of threads. \"full\": time on the CPUs, and the run queue, time off the CPUs and states of threads, too. \"lean\": time on the CPUs alone, which costs less and takes less kernel memory.",
    },
    Opt {
        key: "probes.block",
        kind: Kind::OneOf(&["off", "total", "device"]),
        variables: &[],
        reload: false,
        example: "",
        help: "What is counted of block I/O. \"total\": requests, bytes, errors, and how long each took from the kernel's start of it to its end. \"device\": the same, but the time from when the device was given it, which costs a look-up and a map entry for each. \"off\": nothing.",
    },
    Opt {
        key: "probes.tcp",
        kind: Kind::OneOf(&["on", "off"]),
        variables: &[],
        reload: false,
        example: "",
        help: "Whether TCP connections are counted: how many, how they end, how long they live, and what they carry.",
    },
    Opt {
        key: "probes.process",
        kind: Kind::OneOf(&["on", "off"]),
        variables: &[],
        reload: false,
        example: "",
        help: "Whether processes are counted: those that are made, programs that are started, and how processes end.",
    },
    Opt {
        key: "carbon.location",
        kind: Kind::Text("a zone or country code"),
        variables: &[],
        reload: false,
        example: "\"DE\"",
        help: "Grid zone, ISO 3166-2 or country code. Absent: the world's mean.",
    },
    Opt {
        key: "carbon.intensity_g_per_kwh",
        // The range in which answers of grid services are believed, too.
        kind: Kind::Number(0.1..=2_000.0),
        variables: &[],
        reload: false,
        example: "350.0",
        help: "Fixed carbon intensity, in grams of CO2e per kilowatt-hour; instead of location.",
    },
    Opt {
        key: "carbon.pue",
        // Below 1 the building would use less than what stands in it.
        kind: Kind::Number(1.0..=5.0),
        variables: &[],
        reload: false,
        example: "1.2",
        help: "Power usage effectiveness of the site. Absent: not applied.",
    },
    Opt {
        key: "carbon.embodied_kg",
        // From a single-board computer to a full chassis.
        kind: Kind::Number(1.0..=100_000.0),
        variables: &[],
        reload: false,
        example: "1200.0",
        help: "Emissions of making the machine, in kilograms of CO2e. Absent: estimated from its parts.",
    },
    Opt {
        key: "carbon.embodied_lifespan_years",
        kind: Kind::Number(0.5..=30.0),
        variables: &[],
        reload: false,
        example: "4.0",
        help: "Years over which those are spread. Absent: 4.",
    },
    Opt {
        key: "otlp.endpoint",
        kind: Kind::Text("a URL or \"off\""),
        variables: &["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
        reload: true,
        example: "\"http://localhost:4318\"",
        help: "Where to send to; /v1/metrics is appended, except to OTEL_EXPORTER_OTLP_METRICS_ENDPOINT. Absent or \"off\": nothing is sent.",
    },
    Opt {
        key: "otlp.headers",
        kind: Kind::Table,
        variables: &["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
        reload: true,
        example: "{ authorization = \"Bearer 0123\" }",
        help: "Headers of each request. A stronger origin replaces them all.",
    },
    Opt {
        key: "otlp.timeout",
        kind: Kind::Duration(Duration::from_millis(100)..=Duration::from_secs(300)),
        variables: &["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
        reload: true,
        example: "",
        help: "How long one request may take.",
    },
    Opt {
        key: "otlp.compression",
        kind: Kind::OneOf(&["gzip", "none"]),
        variables: &["OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"],
        reload: true,
        example: "",
        help: "How bodies are compressed.",
    },
    Opt {
        key: "otlp.insecure",
        kind: Kind::Switch,
        variables: &["OTEL_EXPORTER_OTLP_METRICS_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
        reload: true,
        example: "true",
        help: "Whether an endpoint written without http:// or https:// is http://. Certificates are always checked.",
    },
    Opt {
        key: "otlp.certificate",
        kind: Kind::Text("an absolute path"),
        variables: &["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
        reload: true,
        example: "\"/etc/wattrace/ca.pem\"",
        help: "Certificates (PEM) to trust instead of the system's.",
    },
    Opt {
        key: "otlp.client_certificate",
        kind: Kind::Text("an absolute path"),
        variables: &["OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
        reload: true,
        example: "\"/etc/wattrace/client.pem\"",
        help: "Certificate (PEM) by which the agent shows who it is; needs client_key.",
    },
    Opt {
        key: "otlp.client_key",
        kind: Kind::Text("an absolute path"),
        variables: &["OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
        reload: true,
        example: "\"/etc/wattrace/client.key\"",
        help: "Private key (PEM) of client_certificate.",
    },
    Opt {
        key: "otlp.queue_bytes",
        kind: Kind::Size(MIB..=64 * 1024 * MIB),
        variables: &[],
        reload: false,
        example: "",
        help: "Room for what could not be sent yet; when it is full, snapshots are thinned out.",
    },
    Opt {
        key: "otlp.logs_endpoint",
        kind: Kind::Text("a URL or \"off\""),
        variables: &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
        reload: true,
        example: "\"off\"",
        help: "Where events and the agent's own log records go; /v1/logs is appended, except to the variable. Absent: to endpoint, unless that is OTEL_EXPORTER_OTLP_METRICS_ENDPOINT. \"off\": nowhere.",
    },
    Opt {
        key: "otlp.logs_headers",
        kind: Kind::Table,
        variables: &["OTEL_EXPORTER_OTLP_LOGS_HEADERS"],
        reload: true,
        example: "{ authorization = \"Bearer 4567\" }",
        help: "Headers of each request with log records. Absent: headers, unless those are OTEL_EXPORTER_OTLP_METRICS_HEADERS.",
    },
    Opt {
        key: "otlp.logs_timeout",
        kind: Kind::Duration(Duration::from_millis(100)..=Duration::from_secs(300)),
        variables: &["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"],
        reload: true,
        example: "\"5s\"",
        help: "How long one request with log records may take. Absent: timeout.",
    },
    events::EXEC,
    events::EXIT,
    events::CLOSED,
    events::ARGS,
    events::RATE,
    events::ENERGY,
    Opt {
        key: "prometheus.listen",
        kind: Kind::Text("an IP address with port, or \"off\""),
        variables: &[],
        reload: false,
        example: "\"127.0.0.1:9109\"",
        help: "Where /metrics is served. Absent or \"off\": nowhere.",
    },
    Opt {
        key: "resource.attributes",
        kind: Kind::Table,
        variables: &["OTEL_RESOURCE_ATTRIBUTES"],
        reload: true,
        example: "{ \"deployment.environment.name\" = \"production\" }",
        help: "Attributes added to every resource that has none of that name; on the Prometheus page they stand in target_info. service.*, host.id and wattrace.* cannot be set: in a file they are a mistake, in the variable they are passed over. A stronger origin adds to them, and wins name by name. Log records have those of the start.",
    },
    Opt {
        key: "resource.service_name",
        kind: Kind::Text("a name"),
        variables: &["OTEL_SERVICE_NAME"],
        reload: true,
        example: "\"wattrace-lab\"",
        help: "service.name of the agent's own resource instead of \"agent\"; node and workloads keep theirs, by which their totals are kept. A service.name in OTEL_RESOURCE_ATTRIBUTES is taken for it too.",
    },
];

/// The row of a key.
pub(super) fn find(key: &str) -> Option<&'static Opt> {
    const ROWS: &[Opt] = &OPTIONS;
    ROWS.iter().find(|option| option.key == key)
}

/// The name closest to a misspelt one, if any is close.
pub(super) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const CLOSE: f64 = 0.8;
    let scored = names.map(|name| (name, strsim::jaro_winkler(wrong, name)));
    scored.filter(|(_, score)| *score >= CLOSE).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
}
