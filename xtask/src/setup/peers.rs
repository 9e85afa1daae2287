//! The programs of others that tests and benches run: built from their Go modules or crates into the tools' folder.
//!
//! What is there in the right version is kept. Nothing is downloaded but by Go and cargo themselves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    ebpf::toolchain,
    shell::{self, say},
};

/// A Collector made of some components.
struct Collector {
    name: &'static str,
    /// As it prints it.
    version: &'static str,
    /// Of the program that writes its sources.
    builder: &'static str,
    manifest: &'static str,
}

/// The one that the peers tests send to.
const COLLECTOR: Collector = Collector {
    name: "wattrace-otelcol",
    version: "0.162.0-2",
    builder: "v0.162.0",
    manifest: include_str!("collector.yaml"),
};

/// The one that measures its host.
const HOSTMETRICS: Collector = Collector {
    name: "wattrace-hostmetrics",
    version: "0.149.0-1",
    builder: "v0.149.0",
    manifest: include_str!("hostmetrics.yaml"),
};

const NODE_EXPORTER: &str = "node_exporter";
const NODE_EXPORTER_VERSION: &str = "v1.12.1";

/// Version of Prometheus, as it prints it and as its Go module counts.
const PROMETHEUS_VERSION: (&str, &str) = ("3.16.0", "v0.316.0");
const PROMETHEUS: &str = "prometheus";
/// Prometheus' own build tag. Nothing is discovered here, and the clients for it are most of the build.
const PROMETHEUS_TAGS: &str = "remove_all_sd";

/// Name and version, as `cargo install` and the program itself have them.
pub const SCAPHANDRE: (&str, &str) = ("scaphandre", "1.0.0");

/// Linker flags: no symbols, no debug information.
const SMALL: &str = "-s -w";

/// Where a peer is, or would be.
fn program(name: &str) -> Result<PathBuf> {
    Ok(toolchain::tools_root()?.join("bin").join(name))
}

fn is_ready(program: &Path, version: &str) -> bool {
    let said = || shell::output(shell::command(program).arg("--version"));
    program.is_file() && said().is_ok_and(|text| text.split_whitespace().any(|word| word == version))
}

/// Peers that are not here in the right version.
fn absent() -> Result<Vec<String>> {
    let wanted = [(COLLECTOR.name, COLLECTOR.version), (PROMETHEUS, PROMETHEUS_VERSION.0)];
    let mut absent = Vec::new();
    for (name, version) in wanted {
        let program = program(name)?;
        if !is_ready(&program, version) {
            absent.push(format!("{name} {version} in {}", program.display()));
        }
    }
    Ok(absent)
}

/// What the peers tests lack, in words: Go where that is the reason.
pub(super) fn missing() -> Result<Vec<String>> {
    let absent = absent()?;
    let without_go = !absent.is_empty() && go().is_none();
    Ok(if without_go { vec!["go (version 1.25 or later)".to_owned()] } else { absent })
}

/// Builds what is not here; says why it cannot when there is no Go.
pub(super) fn install() -> Result<()> {
    if absent()?.is_empty() {
        return Ok(());
    }
    let Some(go) = go() else {
        say("setup: without go the Collector and Prometheus cannot be built");
        return Ok(());
    };
    COLLECTOR.build(&go)?;
    if !is_ready(&program(PROMETHEUS)?, PROMETHEUS_VERSION.0) {
        let package = format!("github.com/prometheus/prometheus/cmd/prometheus@{}", PROMETHEUS_VERSION.1);
        let bin = toolchain::tools_root()?.join("bin");
        shell::run(go_install(&go, &bin, &prometheus_flags()).args(["-tags", PROMETHEUS_TAGS]).arg(package))?;
    }
    Ok(())
}

/// What a host would run instead of the agent: `node_exporter`, and a Collector that measures its host; built where
/// they are not here.
pub fn baselines() -> Result<[PathBuf; 2]> {
    let go =
        go().context("node_exporter and the Collector are built with go (version 1.25 or later), and there is none")?;
    HOSTMETRICS.build(&go)?;
    let node_exporter = program(NODE_EXPORTER)?;
    if !node_exporter.is_file() {
        let package = format!("github.com/prometheus/node_exporter@{NODE_EXPORTER_VERSION}");
        shell::run(go_install(&go, &toolchain::tools_root()?.join("bin"), SMALL).arg(package))?;
    }
    Ok([node_exporter, program(HOSTMETRICS.name)?])
}

/// The Collector that takes OTLP and keeps it, where it is built.
pub fn collector() -> Result<PathBuf> {
    let go = go().context("the Collector is built with go (version 1.25 or later), and there is none")?;
    COLLECTOR.build(&go)?;
    program(COLLECTOR.name)
}

/// Scaphandre with its JSON exporter, where it is built.
pub fn scaphandre() -> Result<PathBuf> {
    let (name, version) = SCAPHANDRE;
    let out = program(name)?;
    if !is_ready(&out, version) {
        let mut command = shell::cargo();
        command.args([
            "install",
            name,
            "--version",
            version,
            "--locked",
            "--no-default-features",
            "--features",
            "json",
        ]);
        shell::run(command.arg("--root").arg(toolchain::tools_root()?))?;
    }
    Ok(out)
}

impl Collector {
    /// Builds it where it is not here.
    fn build(&self, go: &Path) -> Result<()> {
        let out = program(self.name)?;
        if is_ready(&out, self.version) {
            return Ok(());
        }
        let folder = toolchain::tools_root()?.join("src").join(self.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let manifest = folder.join("manifest.yaml");
        fs::write(&manifest, self.manifest).with_context(|| format!("cannot write {}", manifest.display()))?;
        let builder = format!("go.opentelemetry.io/collector/cmd/builder@{}", self.builder);
        shell::run(go_install(go, &folder, SMALL).arg(builder))?;
        // It writes the sources and then tidies the modules, and stops at those that only the tests of components
        // import and no proxy has. Go's own tidy can pass over them.
        let mut generate = shell::command(folder.join("builder"));
        shell::succeeds(generate.current_dir(&folder).args(["--config=manifest.yaml", "--skip-compilation"]))?;
        let sources = folder.join("build");
        shell::succeeds(in_folder(go, &sources).args(["mod", "tidy", "-e"]))?;
        shell::run(in_folder(go, &sources).args(["build", "-trimpath", "-ldflags", SMALL, "-o"]).arg(out).arg("."))
    }
}

/// `go install` of what the caller names.
fn go_install(go: &Path, bin: &Path, linker_flags: &str) -> Command {
    let mut command = shell::command(go);
    command.env("GOBIN", bin).args(["install", "-trimpath", "-ldflags", linker_flags]);
    command
}

/// Built from its module it does not know its own version.
fn prometheus_flags() -> String {
    format!("{SMALL} -X github.com/prometheus/common/version.Version={}", PROMETHEUS_VERSION.0)
}

fn in_folder(go: &Path, folder: &Path) -> Command {
    let mut command = shell::command(go);
    command.current_dir(folder);
    command
}

/// Go: in `PATH`, or where its own installer puts it.
fn go() -> Option<PathBuf> {
    let usual = PathBuf::from("/usr/local/go/bin/go");
    if shell::has_program("go") { Some("go".into()) } else { Some(usual).filter(|go| go.is_file()) }
}
