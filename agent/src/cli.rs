//! The command line: parses, hands over, turns errors into exit codes. No logic of its own.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{self, check, config, doctor, identify, once, run},
    config::Flags,
    outputs::console::Width,
};

/// Who used this machine, and what did it cost in joules and carbon?
#[derive(Debug, Parser)]
#[command(name = "wattrace", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed (doctor: degraded), 2 wrong usage (doctor: cannot run).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure one interval: joules, grams and CPU seconds of everything that ran.
    #[command(
        after_help = "Examples:\n  wattrace once\n  wattrace once --interval 30s --location FR\n  wattrace once --by process --interval 1m\n  wattrace once --json | jq 'select(.type==\"workload\")'"
    )]
    Once(Once),
    /// Measure for ever: send over OTLP, serve Prometheus, or show the top workloads each minute.
    #[command(
        after_help = "Examples:\n  wattrace run\n  wattrace run --endpoint http://localhost:4318 --location FR\n  wattrace run --listen 127.0.0.1:9109 --interval 15s\n  wattrace run --interval 5s --top --state-dir ~/.local/state/wattrace\n\nSIGTERM or Ctrl-C ends it: what is left is sent, within 10 s. SIGHUP reads the configuration again."
    )]
    Run(Run),
    /// Say what can be measured here, what cannot, and what to do about it.
    #[command(after_help = "Examples:\n  wattrace doctor\n  wattrace doctor --json")]
    Doctor(Doctor),
    /// Say which workload a process or cgroup belongs to, and by which rule.
    #[command(
        after_help = "Examples:\n  wattrace identify 4711\n  wattrace identify /system.slice/ssh.service\n  wattrace identify cgroup:44"
    )]
    Identify(Identify),
    /// Say everything that is wrong with the configuration, or what is in force.
    #[command(
        after_help = "Examples:\n  wattrace check --config new.toml\n  wattrace check && systemctl reload wattrace"
    )]
    Check(Check),
    /// Write a commented configuration file with all defaults, or the reference.
    #[command(
        after_help = "Examples:\n  wattrace config --defaults > /etc/wattrace/wattrace.toml\n  wattrace config --reference"
    )]
    Config(Config),
}

#[derive(Debug, Args)]
struct Once {
    /// Length of the interval, 100ms to 1day. Default: 5s as root, else 10s.
    #[arg(long, value_parser = humantime::parse_duration)]
    interval: Option<Duration>,
    /// Write JSON lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Who is told: workload, or process, with those that are gone by the end and estimated joules.
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    by: once::By,
    /// Workloads, or processes, to show before the rest is summed up.
    #[arg(long, default_value_t = 20)]
    rows: usize,
    /// Show connections and programs of each workload, too, in lines longer than 100 characters.
    #[arg(long)]
    wide: bool,
    /// Where the host's /proc and /sys are, for instance /host in a container.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Grid zone or country of this machine, for the carbon intensity: FR, US-CA, DE.
    #[arg(long)]
    location: Option<String>,
    /// Load no kernel programs: CPU time per workload is read from cpu.stat and /proc.
    #[arg(long)]
    no_bpf: bool,
}

#[derive(Debug, Args)]
struct Run {
    /// Time between two samples, 1s to 1h; below 10s needs root.
    #[arg(long)]
    interval: Option<String>,
    /// OTLP/HTTP destination, without the path: `http://localhost:4318`
    #[arg(long)]
    endpoint: Option<String>,
    /// Where to serve /metrics for Prometheus: 127.0.0.1:9109
    #[arg(long)]
    listen: Option<String>,
    /// Grid zone or country of this machine, for the carbon intensity: FR, US-CA, DE.
    #[arg(long)]
    location: Option<String>,
    /// Folder in which totals are kept across restarts.
    #[arg(long)]
    state_dir: Option<String>,
    /// Configuration file (TOML); /etc/wattrace/wattrace.toml where it is there.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where the host's /proc and /sys are, for instance /host in a container.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Load no kernel programs: CPU time per workload is read from cpu.stat and /proc.
    #[arg(long)]
    no_bpf: bool,
    /// Show a table of the top workloads after each interval.
    #[arg(long)]
    top: bool,
    /// Workloads that --top shows before the rest is summed up.
    #[arg(long, default_value_t = 10)]
    rows: usize,
}

impl From<Run> for run::Request {
    fn from(args: Run) -> Self {
        let Run { interval, endpoint, listen, location, state_dir, config, root, no_bpf, top, rows } = args;
        let flags = Flags { interval, state_dir, log_level: None, location, endpoint, listen };
        Self { config, flags, variables: commands::variables(), root, no_bpf, top: top.then_some(rows) }
    }
}

#[derive(Debug, Args)]
struct Doctor {
    /// Write JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Where the host's /proc and /sys are.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Load no kernel programs, and leave out what only they need.
    #[arg(long)]
    no_bpf: bool,
}

#[derive(Debug, Args)]
struct Identify {
    /// A pid, a cgroup id, or a cgroup path; `pid:N` and `cgroup:N` say which number is meant.
    what: String,
    /// Write JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Where the host's /proc and /sys are.
    #[arg(long, default_value = "/")]
    root: PathBuf,
}

#[derive(Debug, Args)]
struct Check {
    /// Configuration file (TOML). Default: /etc/wattrace/wattrace.toml, if it is there.
    #[arg(long)]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Config {
    /// Write the file that says what is in force without any.
    #[arg(long)]
    defaults: bool,
    /// Write the reference of all options, in Markdown.
    #[arg(long)]
    reference: bool,
}

impl Cli {
    /// Runs the command; the result goes to standard output, everything else to standard error.
    pub fn run(self) -> ExitCode {
        let (mut out, mut progress) = (WhileRead(io::stdout().lock()), WhileRead(io::stderr()));
        let result = match self.command {
            Command::Once(args) => once::run(&args.into(), &mut out, &mut progress).map_err(|error| fail(&error)),
            Command::Run(args) => run::run(&args.into(), &mut out).map_err(|error| fail(&error)),
            Command::Doctor(args) => {
                return doctor::run(&args.into(), &mut out).map_or_else(|error| fail(&error), Into::into);
            }
            Command::Check(args) => {
                let checked = check::run(args.config.as_deref(), &commands::variables(), &mut out);
                return checked.unwrap_or_else(|error| fail(&error));
            }
            Command::Config(args) => {
                let form = if args.defaults { config::Form::File } else { config::Form::Reference };
                config::run(form, &mut out).map_err(|error| fail(&error))
            }
            Command::Identify(args) => {
                identify::run(&args.what, &args.root, args.json, &mut out).map_err(|error| fail(&error))
            }
        };
        result.err().unwrap_or(ExitCode::SUCCESS)
    }
}

/// A stream whose reader may leave: the rest is then wanted by nobody, which is no error of ours.
struct WhileRead<W>(W);

impl<W: Write> Write for WhileRead<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_left(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_left(self.0.flush(), ())
    }
}

fn unless_left<T>(result: io::Result<T>, done: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(done),
        result => result,
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    // Nothing is left to tell it to when standard error is closed too.
    drop(writeln!(io::stderr(), "wattrace: {error}"));
    ExitCode::FAILURE
}

impl From<Once> for once::Request {
    fn from(args: Once) -> Self {
        let Once { interval, json, by, rows, wide, root, config, location, no_bpf } = args;
        let width = if wide { Width::Wide } else { Width::Narrow };
        Self { interval, json, rows, width, root, config, location, no_bpf, by }
    }
}

impl From<Doctor> for doctor::Request {
    fn from(Doctor { json, root, no_bpf }: Doctor) -> Self {
        Self { json, root, no_bpf }
    }
}
