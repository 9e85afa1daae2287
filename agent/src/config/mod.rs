//! The configuration: defaults, one TOML file, environment variables and flags, each beating the ones before;
//! checked once, every mistake said in one run.
//!
//! [`options`] is the table everything follows from. [`raw`], [`env`] and [`flags`] turn what an origin
//! says into [`settings`], [`judge`] makes those a [`valid`] configuration; after it nothing checks again.

use std::{fmt, path::Path};

mod env;
mod flags;
mod judge;
mod options;
mod print;
mod raw;
mod reference;
mod reload;
mod settings;
mod single;
mod valid;

use settings::Settings;

pub use env::Variables;
pub use flags::Flags;
pub use print::defaults_file;
pub use reference::reference;
pub use reload::{Reload, reload, taken_over};
pub use settings::{Mistake, Origin};
pub use valid::{
    Agent, Arguments, BlockLevel, Carbon, ClientFiles, Compression, Config, Counting, Energy, Events, Headers,
    LogLevel, Logs, MeterKind, Otlp, Probes, Prometheus, Resource, SHORTEST_UNPRIVILEGED, SchedLevel,
};

/// The file that is read when none is named, if it is there.
pub const USUAL_FILE: &str = "/etc/wattrace/wattrace.toml";

/// Everything that is wrong, one line each; never empty. File first, then variables, then flags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Mistake>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A configuration and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What to do.
    pub config: Config,
    /// The environment variables that said something, beaten by a flag or not.
    pub variables: Vec<&'static str>,
}

/// The named file, else the usual one if it is there.
pub fn file_to_read(named: Option<&Path>) -> Option<&Path> {
    let usual = Path::new(USUAL_FILE);
    // A file that is there and cannot be read must be complained about, so only absence counts.
    let is_absent = std::fs::metadata(usual).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    named.or_else(|| (!is_absent).then_some(usual))
}

/// Reads all origins; without a file, variables and flags, gives the defaults.
pub fn load(file: Option<&Path>, variables: &Variables, flags: &Flags) -> Result<Loaded, ConfigError> {
    let Some(path) = file else {
        return gather(None, variables, flags, Vec::new());
    };
    match std::fs::read_to_string(path) {
        Ok(text) => gather(Some((path, &text)), variables, flags, Vec::new()),
        Err(error) => {
            let text = format!("cannot read the configuration: {error}; check the path and its rights");
            let origin = Origin::File { path: path.to_path_buf(), line: None };
            gather(None, variables, flags, vec![Mistake { origin, text }])
        }
    }
}

/// The same from the text of a file; `path` is for messages only.
pub fn parse(path: &Path, text: &str, variables: &Variables, flags: &Flags) -> Result<Loaded, ConfigError> {
    gather(Some((path, text)), variables, flags, Vec::new())
}

fn gather(
    file: Option<(&Path, &str)>,
    variables: &Variables,
    flags: &Flags,
    mut found: Vec<Mistake>,
) -> Result<Loaded, ConfigError> {
    let mut settings = Settings::default();
    if let Some((path, text)) = file {
        raw::read(path, text, &mut settings, &mut found);
    }
    env::read(variables, &mut settings, &mut found);
    flags::read(flags, &mut settings);
    let config = judge::judge(&settings, &mut found);
    if found.is_empty() {
        return Ok(Loaded { config, variables: settings.variables() });
    }
    found.sort_by(|a, b| a.origin.cmp(&b.origin));
    Err(ConfigError(found))
}

#[cfg(test)]
mod tests;
