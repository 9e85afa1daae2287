//! `cargo xtask setup`: installs what the tests and the kernel object's build need on Debian and Ubuntu.
//!
//! Elsewhere it names what is missing. It never touches rustup, `PATH` or an override.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use crate::{
    ebpf::toolchain,
    shell::{self, say},
    vm,
};

pub mod peers;

/// Debian packages of the kernel object's build: the compiler with a core for the target, and what
/// bpf-linker is built from.
const EBPF_PACKAGES: [&str; 11] = [
    "rustc-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22-dev",
    "libpolly-22-dev",
    "zlib1g-dev",
    "libzstd-dev",
    "libxml2-dev",
    "gcc",
    "g++",
    "libc6-dev",
    "pkg-config",
];

/// Tools of the live tests: a program to look for, and the Debian package that has it.
const TEST_TOOLS: [(&str, &str); 6] = [
    ("bpftool", "bpftool"),
    ("cpudist", "libbpf-tools"),
    ("perf", "linux-perf"),
    ("losetup", "util-linux"),
    ("ip", "iproute2"),
    ("python3", "python3"),
];

/// Debian packages that the peers tests make a Python environment with.
const PEERS_PACKAGES: [&str; 2] = ["python3", "python3-venv"];

/// Debian packages that suites in virtual machines need besides their own tools: the key of the archive that kernels come
/// from, what kernel modules are built with and decompressed by, and what makes disks.
const VM_PACKAGES: [&str; 10] = [
    "btrfs-progs",
    "debian-archive-keyring",
    "dmsetup",
    "e2fsprogs",
    "gcc",
    "libc6-dev",
    "make",
    "xfsprogs",
    "xz-utils",
    "zstd",
];

/// Install what the tests and the kernel programs' build need
#[derive(clap::Args)]
#[command(after_help = "Examples:
  sudo -E cargo xtask setup           everything; does nothing when all is there
  sudo -E cargo xtask setup --tests   only the tools that live tests compare against
  cargo xtask setup --peers           only what the peers tests run: OpenTelemetry Collector, Prometheus (needs go)
  sudo -E cargo xtask setup --vm      only what runs other kernels: an emulator, a static busybox, make

Building and running wattrace needs only stable Rust and a C compiler. As root on Debian or Ubuntu this
installs packages with apt-get, and into $WATTRACE_TOOLS (default ~/.local/wattrace-tools) bpf-linker
with `cargo install`, the Collector and Prometheus with `go` (some minutes). Elsewhere it names what is
missing, and fails only when the toolchain is.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// Only the toolchain of the kernel object
    #[arg(long)]
    pub ebpf: bool,
    /// Only the tools of the live tests
    #[arg(long)]
    pub tests: bool,
    /// Only the programs that the peers tests run
    #[arg(long)]
    pub peers: bool,
    /// Only what suites in virtual machines need
    #[arg(long)]
    pub vm: bool,
}

impl Args {
    /// Everything, or what was asked for.
    const fn parts(&self) -> Self {
        let all = !(self.ebpf || self.tests || self.peers || self.vm);
        Self { ebpf: self.ebpf || all, tests: self.tests || all, peers: self.peers || all, vm: self.vm || all }
    }
}

/// Runs the verb. Success when what is required is there in the end.
pub fn run(args: &Args) -> Result<ExitCode> {
    let parts = args.parts();
    let may_install = shell::is_root() && Path::new("/etc/debian_version").is_file() && shell::has_program("apt-get");
    if may_install {
        install(&parts)?;
    }
    // Asked for by name it is built by whoever asks: it needs no rights.
    if parts.peers && (may_install || args.peers) {
        install_peers();
    }
    let required = if parts.ebpf { toolchain::missing()? } else { Vec::new() };
    let live = if parts.tests { missing_tools() } else { Vec::new() };
    let peers = if parts.peers { peers::missing()? } else { Vec::new() };
    let machines = if parts.vm { vm::missing() } else { Vec::new() };
    tell("required for `cargo xtask ebpf`", &required);
    tell("wanted by the live tests", &live);
    tell("wanted by the peers tests", &peers);
    tell("wanted by the tests in virtual machines", &machines);
    if [&required, &live, &peers, &machines].iter().all(|missing| missing.is_empty()) {
        say("setup: everything is here");
    } else if !may_install {
        say("setup: installs by itself only as root on Debian or Ubuntu; install the above by other means");
    }
    Ok(if required.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn install(parts: &Args) -> Result<()> {
    let mut packages = Vec::new();
    if parts.ebpf && !toolchain::missing()?.is_empty() {
        packages.extend(EBPF_PACKAGES.into_iter().filter(|name| !is_installed(name)));
    }
    if parts.tests {
        packages
            .extend(TEST_TOOLS.into_iter().filter(|(tool, _)| !shell::has_program(tool)).map(|(_, package)| package));
    }
    if parts.vm {
        let absent = vm::TOOLS.into_iter().filter(|(tool, _)| !shell::has_program(tool));
        packages.extend(absent.map(|(_, package)| package));
        packages.extend(VM_PACKAGES.into_iter().filter(|name| !is_installed(name)));
    }
    if parts.peers {
        packages.extend(PEERS_PACKAGES.into_iter().filter(|name| !is_installed(name)));
    }
    install_packages(&packages)?;
    if parts.ebpf { install_linker() } else { Ok(()) }
}

/// A peer that does not build costs the tests that run it, and no other.
fn install_peers() {
    if let Err(error) = peers::install() {
        say(format_args!("setup: {error:#}"));
    }
}

fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    // Another apt may be at work, as it is on machines that have just booted: wait for it.
    let apt = || {
        let mut command = shell::command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y", "-o", "DPkg::Lock::Timeout=900"]);
        command
    };
    shell::run(apt().arg("update"))?;
    if shell::succeeds(apt().args(["install", "--no-install-recommends"]).args(packages))? {
        return Ok(());
    }
    // One package that this release does not have must not cost the others.
    for package in packages {
        if !shell::succeeds(apt().args(["install", "--no-install-recommends", package]))? {
            say(format_args!("setup: apt-get cannot install {package}"));
        }
    }
    Ok(())
}

fn install_linker() -> Result<()> {
    let linker = toolchain::linker()?;
    if linker.is_file() && toolchain::linker_is_ready(&linker) {
        return Ok(());
    }
    if !Path::new(toolchain::LLVM).is_dir() {
        say(format_args!("setup: without {} there is nothing to build bpf-linker from", toolchain::LLVM));
        return Ok(());
    }
    let mut command = shell::cargo();
    command.args(["install", "bpf-linker", "--version", toolchain::LINKER_VERSION, "--locked"]);
    command.args(["--no-default-features", "--features", "llvm-22", "--root"]).arg(toolchain::tools_root()?);
    shell::run(command.env("LLVM_PREFIX", toolchain::LLVM))
}

/// Tools of the live tests that are not here, with the package that has them.
pub fn missing_tools() -> Vec<String> {
    let absent = TEST_TOOLS.into_iter().filter(|(tool, _)| !shell::has_program(tool));
    absent.map(|(tool, package)| format!("{tool} (Debian package {package})")).collect()
}

fn is_installed(package: &str) -> bool {
    let status = shell::output(shell::command("dpkg-query").args(["-W", "-f=${Status}", package]));
    status.is_ok_and(|status| status == "install ok installed")
}

fn tell(what: &str, missing: &[String]) {
    for item in missing {
        say(format_args!("setup: missing, {what}: {item}"));
    }
}
