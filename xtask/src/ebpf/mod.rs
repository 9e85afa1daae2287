//! `cargo xtask ebpf`: builds the kernel object that is committed, and checks that it is what the
//! sources build to. Building the agent itself needs none of this: it embeds the committed object.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    shell::{self, say},
    sources::{self, RECORD},
};

pub mod toolchain;
pub mod wrapper;

/// The committed object, below the workspace.
pub const OBJECT: &str = "agent-ebpf/prebuilt/wattrace.bpf.o";
const MANIFEST: &str = "agent-ebpf/Cargo.toml";
/// The program of agent-ebpf that is committed.
const AGENT: &str = "wattrace";
/// The program of agent-ebpf that does nothing.
const EMPTY: &str = "empty";

/// Build the kernel programs into the object that is committed and embedded
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask ebpf           after a change in agent-ebpf/ or agent-common/; then commit agent-ebpf/prebuilt
  cargo xtask ebpf --check   is the committed object, byte for byte, what the sources build to?

Needs the toolchain that `cargo xtask setup --ebpf` installs.")]
pub struct Args {
    /// Rebuild from nothing elsewhere and compare with the committed object; change nothing
    #[arg(long)]
    pub check: bool,
}

/// What comparing the committed object with a fresh build said.
pub enum Check {
    /// Byte for byte the same.
    Same,
    /// The comparison could not be made, and why.
    Skipped(String),
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<ExitCode> {
    ensure_toolchain()?;
    if !args.check {
        rebuild()?;
        return Ok(ExitCode::SUCCESS);
    }
    match check()? {
        Check::Same => say(format_args!("{OBJECT} is what the sources build to")),
        Check::Skipped(reason) => println!("SKIPPED: {reason}"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the program on `sched_switch` that does nothing, for benchmarks.
pub fn build_empty() -> Result<Vec<u8>> {
    ensure_toolchain()?;
    build(&shell::root().join("agent-ebpf/target"), EMPTY)
}

fn ensure_toolchain() -> Result<()> {
    ensure!(shell::root().join(MANIFEST).is_file(), "there is no {MANIFEST}: nothing to build");
    let missing = toolchain::missing()?;
    ensure!(missing.is_empty(), "missing: {}; run `cargo xtask setup --ebpf`", missing.join(", "));
    Ok(())
}

/// Compares the committed object with one built from nothing; an error when they differ.
pub fn check() -> Result<Check> {
    let root = shell::root();
    sources::check_fresh(&root)?;
    let committed =
        fs::read(root.join(OBJECT)).with_context(|| format!("cannot read {OBJECT}: run `cargo xtask ebpf`"))?;
    let record = fs::read_to_string(root.join(RECORD)).with_context(|| format!("cannot read {RECORD}"))?;
    let (built_by, here) = (recorded_versions(&record).unwrap_or("unknown versions"), toolchain::versions()?);
    let target = root.join("target/ebpf-check");
    remove(&target)?;
    let fresh = build(&target, AGENT)?;
    remove(&target)?;
    if committed == fresh {
        return Ok(Check::Same);
    }
    if built_by != here {
        return Ok(Check::Skipped(format!(
            "the object was built by {built_by}; this machine has {here}, bytes cannot be compared"
        )));
    }
    bail!(
        "{OBJECT} is not what the sources build to: run `cargo xtask ebpf`, look at `git diff --stat`, and commit agent-ebpf/prebuilt"
    )
}

fn rebuild() -> Result<()> {
    let root = shell::root();
    let object = build(&root.join("agent-ebpf/target"), AGENT)?;
    let path = root.join(OBJECT);
    let folder = path.parent().context("the object has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let record = record(&sources::sources_hash(&root)?, &toolchain::versions()?);
    fs::write(&path, &object).with_context(|| format!("cannot write {OBJECT}"))?;
    fs::write(root.join(RECORD), record).with_context(|| format!("cannot write {RECORD}"))?;
    say(format_args!("wrote {OBJECT} ({} bytes) and {RECORD}; commit both", object.len()));
    Ok(())
}

const BUILT_BY: &str = "# built by ";

fn record(hash: &str, versions: &str) -> String {
    format!(
        "# Written by `cargo xtask ebpf`: hash of the sources of wattrace.bpf.o.\n{BUILT_BY}{versions}\n{hash}  sources\n"
    )
}

fn recorded_versions(record: &str) -> Option<&str> {
    record.lines().find_map(|line| line.strip_prefix(BUILT_BY))
}

/// Builds one program of agent-ebpf into `target` and gives the object's bytes, without DWARF.
fn build(target: &Path, program: &str) -> Result<Vec<u8>> {
    let mut command = cargo_build(target)?;
    command.args(["--bin", program]);
    say("build the kernel programs (half a minute from nothing)");
    let messages = shell::output(&mut command)?;
    let executable = executable(&messages)
        .with_context(|| format!("cargo named no executable: agent-ebpf needs a [[bin]] `{program}`"))?;
    let stripped = target.join(format!("{program}.bpf.o"));
    // BTF is made from the debug information; the object needs the first alone.
    shell::run(shell::command(toolchain::strip()).arg("--strip-debug").arg("-o").arg(&stripped).arg(executable))?;
    fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

fn cargo_build(target: &Path) -> Result<Command> {
    let mut command = shell::cargo();
    command.current_dir(shell::root().join("agent-ebpf"));
    command.args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"]);
    command.args(["--target", toolchain::TARGET, "--target-dir"]).arg(target);
    fetch()?;
    command.arg("--offline");
    for name in ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
        .env("RUSTC", toolchain::RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC_WRAPPER", this_program()?)
        .env(wrapper::SWITCH, "1")
        // No program here reads registers by name, so one object serves every machine; without this the
        // building machine's architecture would be compiled in.
        .env("AYA_BPF_TARGET_ARCH", "x86_64")
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags()?);
    Ok(command)
}

/// This xtask. Cargo may have put a newer one in its place meanwhile, which does as well.
fn this_program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("xtask does not know where it is")?;
    let text = program.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| program.clone(), PathBuf::from))
}

/// Flags separated as cargo wants them, so that folders may have spaces.
fn rustflags() -> Result<OsString> {
    let mut linker = OsString::from("-Clinker=");
    linker.push(toolchain::linker()?);
    let mut flags = vec![linker, "-Clink-arg=--btf".into(), "-Cdebuginfo=2".into()];
    flags.push(remap(&shell::root(), "/wattrace"));
    // The folders in it are named after the registry's address and cargo's way to hash it.
    let registries = fs::read_dir(cargo_home()?.join("registry/src")).into_iter().flatten().flatten();
    flags.extend(registries.map(|registry| remap(&registry.path(), "/crates")));
    Ok(flags.join(OsString::from("\x1f").as_os_str()))
}

fn remap(from: &Path, to: &str) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(from);
    flag.push("=");
    flag.push(to);
    flag
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(PathBuf::from(home));
    }
    let home = std::env::var_os("HOME").context("neither CARGO_HOME nor HOME is set: set one")?;
    Ok(Path::new(&home).join(".cargo"))
}

/// Brings the crates of the lock file onto this machine, without the network when they are there.
fn fetch() -> Result<()> {
    let fetch = || {
        let mut command = shell::cargo();
        command.args(["fetch", "--locked", "--manifest-path", MANIFEST]);
        command
    };
    if shell::quietly(fetch().arg("--offline")) { Ok(()) } else { shell::run(&mut fetch()) }
}

/// The path of the one executable in cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    })
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gives_back_what_was_put_in() {
        let text = record("abc", "rustc 1, LLVM 2");
        assert_eq!(sources::recorded_hash(&text), Some("abc"));
        assert_eq!(recorded_versions(&text), Some("rustc 1, LLVM 2"));
    }

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages =
            "{\"reason\":\"compiler-artifact\",\"executable\":null}\nnoise\n{\"executable\":\"/t/wattrace\"}\n";
        assert_eq!(executable(messages), Some(PathBuf::from("/t/wattrace")));
        assert_eq!(executable("{\"executable\":null}"), None);
    }
}
