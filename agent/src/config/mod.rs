//! The configuration: read from one TOML file, checked once, every mistake said in one run.
//!
//! [`raw`] is the file as it is written, [`valid`] is what the rest of the agent sees; after it nothing
//! checks again.

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub mod raw;
pub mod valid;

pub use valid::{Carbon, Config, Energy};
use valid::{Mistake, Mistakes};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}; check the path and its rights", path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML, has a key nobody knows, or a value of another type.
    #[error("{}{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: Line,
        /// What is wrong, in one line.
        message: String,
    },
    /// Values out of range, or that contradict each other: all of them, one a line.
    #[error("{}", each(path, mistakes))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// In the order of the file's keys; never empty.
        mistakes: Vec<(Line, Mistake)>,
    },
}

/// A line of the file, from 1, where it is known. Shown as `:7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line(pub Option<usize>);

impl Line {
    fn of(text: &str, offset: Option<usize>) -> Self {
        let before = offset.and_then(|offset| text.as_bytes().get(..offset));
        Self(before.map(|before| before.split(|&byte| byte == b'\n').count()))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

fn each(path: &Path, mistakes: &[(Line, Mistake)]) -> String {
    let lines: Vec<String> =
        mistakes.iter().map(|(line, mistake)| format!("{}{line}: {mistake}", path.display())).collect();
    lines.join("\n")
}

/// Reads the file, or gives the defaults when none is named.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    let Some(path) = path else {
        return Ok(Config::default());
    };
    let unreadable = |source| ConfigError::Unreadable { path: path.to_path_buf(), source };
    parse(path, &std::fs::read_to_string(path).map_err(unreadable)?)
}

/// Checks the text of a file; `path` is for messages only.
pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let raw: raw::Config = toml::from_str(text).map_err(|error| malformed(path, text, &error))?;
    Config::try_from(raw).map_err(|Mistakes(mistakes)| {
        let at = |mistake: Mistake| (Line::of(text, mistake.offset), mistake);
        ConfigError::Invalid { path: path.to_path_buf(), mistakes: mistakes.into_iter().map(at).collect() }
    })
}

fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let line = Line::of(text, error.span().map(|span| span.start));
    ConfigError::Malformed { path: path.to_path_buf(), line, message }
}

#[cfg(test)]
mod tests;
