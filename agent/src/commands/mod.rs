//! One file per subcommand. Each takes what it needs as arguments and writes where it is told to.

use crate::config::Variables;

pub mod check;
pub mod config;
pub mod doctor;
pub mod identify;
pub mod once;
pub mod run;

/// The process's environment variables that may configure the agent.
pub fn variables() -> Variables {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| name.starts_with("OTEL_")).collect()
}
