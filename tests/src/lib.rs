//! What the whole-program tests share.
#![expect(clippy::panic, reason = "a test without its program fails")]

use std::path::PathBuf;

pub mod held;
pub mod machine_root;
pub mod powercap_tree;
pub mod run;

/// The real program: `WATTRACE_BIN`, else the one built beside this test.
///
/// # Panics
/// When there is none.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("WATTRACE_BIN") {
        return path.into();
    }
    let beside = std::env::current_exe().ok().and_then(|test| Some(test.parent()?.parent()?.join("wattrace")));
    match beside.filter(|path| path.exists()) {
        Some(path) => path,
        None => panic!("the program is not built: run `cargo build -p wattrace` first"),
    }
}
