//! xtask as cargo's `RUSTC_WRAPPER` while the kernel object is built.
//!
//! Cargo derives `-C metadata` from, among others, the absolute folder of a path dependency and its own
//! version, and rustc writes a hash of it into symbol names. Replacing it by name and version makes the
//! object the same wherever and with whatever cargo it is built.

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use crate::shell;

/// Set by `xtask ebpf` for the cargo it starts.
pub const SWITCH: &str = "WATTRACE_XTASK_WRAPS_RUSTC";

/// Runs rustc in place of a verb, when cargo started this process as its wrapper.
pub fn take_over() -> Option<ExitCode> {
    std::env::var_os(SWITCH)?;
    let mut args = std::env::args_os().skip(1);
    let rustc = args.next()?;
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let identity = format!("{}-{}", variable("CARGO_PKG_NAME"), variable("CARGO_PKG_VERSION"));
    let args = steady(args.collect(), &identity);
    let code = shell::command(rustc).current_dir(".").args(args).status().ok().and_then(|status| status.code());
    Some(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The arguments with `-C metadata=` replaced, for crates built for the kernel; the others stay as they are.
fn steady(args: Vec<OsString>, identity: &str) -> Vec<OsString> {
    let for_kernel = args.iter().any(|arg| arg.to_string_lossy().contains("bpfel-unknown-none"));
    let replace = |arg: OsString| {
        if for_kernel && is_metadata(&arg) { OsString::from(format!("metadata={identity}")) } else { arg }
    };
    args.into_iter().map(replace).collect()
}

fn is_metadata(arg: &OsStr) -> bool {
    arg.to_string_lossy().starts_with("metadata=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn only_the_metadata_of_kernel_crates_is_replaced() {
        let kernel = "--crate-name x --target bpfel-unknown-none -C metadata=0123 -C extra-filename=-0123";
        let steadied = "--crate-name x --target bpfel-unknown-none -C metadata=x-1.0.0 -C extra-filename=-0123";
        assert_eq!(steady(args(kernel), "x-1.0.0"), args(steadied));
        let host = "--crate-name x -C metadata=0123";
        assert_eq!(steady(args(host), "x-1.0.0"), args(host));
    }
}
