//! What the whole-program tests share.
#![expect(clippy::panic, reason = "a test without its program fails")]

use std::{
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

pub mod churn;
pub mod held;
pub mod machine_root;
pub mod powercap_tree;
pub mod receiver;
pub mod run;
pub mod scaphandre;
pub mod simulator;

/// The real program: `WATTRACE_BIN`, else the one beside this test, which is brought up to date first.
///
/// # Panics
/// When it cannot be built.
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("WATTRACE_BIN").map_or_else(built, PathBuf::from)).clone()
}

/// Whether tests that have a short form run in full.
pub fn is_long() -> bool {
    std::env::var_os("WATTRACE_TEST_LONG").is_some()
}

/// So many seconds, as the deadline of a wait: more where everything is slow, by the factor in `WATTRACE_SLOW`. What is
/// waited for, and what is true then, is the same everywhere.
pub fn patience(seconds: u64) -> Duration {
    let factor = std::env::var("WATTRACE_SLOW").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds.saturating_mul(factor))
}

/// Waits until a condition holds, so long at most.
///
/// # Panics
/// When it does not hold by then.
#[expect(clippy::disallowed_methods, reason = "this is a test's helper, not the agent")]
pub fn until_within(most: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < most, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A plain `cargo test` does not build the program of another package.
#[expect(clippy::disallowed_methods, reason = "this is a test's helper, not the agent")]
fn built() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "--quiet", "--package", "wattrace"]).status();
    let beside = std::env::current_exe().ok().and_then(|test| Some(test.parent()?.parent()?.join("wattrace")));
    match (status, beside) {
        (Ok(status), Some(path)) if status.success() && path.exists() => path,
        other => panic!("cannot build the program: {other:?}"),
    }
}
