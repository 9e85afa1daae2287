//! The compiler and linker of the kernel object: where they are, what is missing, which versions.
//!
//! Debian's `rustc-web` carries a prebuilt core for `bpfel-unknown-none` and matches LLVM 22, so neither
//! a nightly compiler nor a rustup download is needed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;

/// Debian's compiler. By full path: a rustup compiler earlier in `PATH` has no core for the target.
pub const RUSTC: &str = "/usr/bin/rustc";
/// The LLVM that both the compiler and the linker use.
pub const LLVM: &str = "/usr/lib/llvm-22";
/// Version of bpf-linker, as `cargo install` takes it.
pub const LINKER_VERSION: &str = "0.13.0";
/// The target of the kernel programs.
pub const TARGET: &str = "bpfel-unknown-none";

/// Root of what `setup` installs outside the distribution: `$WATTRACE_TOOLS`, else `~/.local/wattrace-tools`.
pub fn tools_root() -> Result<PathBuf> {
    if let Some(root) = std::env::var_os("WATTRACE_TOOLS") {
        return std::path::absolute(root).context("WATTRACE_TOOLS is no path");
    }
    let home = std::env::var_os("HOME").context("neither WATTRACE_TOOLS nor HOME is set: set one")?;
    Ok(Path::new(&home).join(".local/wattrace-tools"))
}

/// Where bpf-linker is, or would be.
pub fn linker() -> Result<PathBuf> {
    Ok(tools_root()?.join("bin/bpf-linker"))
}

/// Whether bpf-linker is there, in the right version.
pub fn linker_is_ready(linker: &Path) -> bool {
    let version = format!("bpf-linker {LINKER_VERSION}");
    shell::output(shell::command(linker).arg("--version")).is_ok_and(|text| text.trim() == version)
}

/// What is missing to build the object, by name; empty when nothing is.
pub fn missing() -> Result<Vec<String>> {
    let mut missing = Vec::new();
    let core = Path::new("/usr/lib/rustlib").join(TARGET);
    if !Path::new(RUSTC).is_file() {
        missing.push(format!("{RUSTC} (Debian package rustc-web)"));
    }
    if !core.is_dir() {
        missing.push(format!("the core library for {TARGET} (Debian package libstd-rust-web-dev-bpf)"));
    }
    if !strip().is_file() {
        missing.push("LLVM 22 (Debian package llvm-22-dev)".to_owned());
    }
    let linker = linker()?;
    if !linker.is_file() || !linker_is_ready(&linker) {
        missing.push(format!("bpf-linker {LINKER_VERSION} in {}", linker.display()));
    }
    Ok(missing)
}

/// LLVM's strip.
pub fn strip() -> PathBuf {
    Path::new(LLVM).join("bin/llvm-strip")
}

/// The versions an object depends on, on one line.
pub fn versions() -> Result<String> {
    let rustc = shell::output(shell::command(RUSTC).arg("--version"))?;
    let llvm = shell::output(shell::command(Path::new(LLVM).join("bin/llvm-config")).arg("--version"))?;
    Ok(format!("{}, LLVM {}, bpf-linker {LINKER_VERSION}", rustc.trim(), llvm.trim()))
}
