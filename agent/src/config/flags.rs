//! What the command line says: the strongest origin. The texts are judged like those of the file.

use super::settings::{Origin, Settings, Value};

/// Values of flags, as they were typed; `None`: not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--interval`
    pub interval: Option<String>,
    /// `--state-dir`
    pub state_dir: Option<String>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--location`
    pub location: Option<String>,
    /// `--endpoint`: the base, as in the file
    pub endpoint: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
}

pub(super) fn read(flags: &Flags, settings: &mut Settings) {
    let Flags { interval, state_dir, log_level, location, endpoint, listen } = flags;
    for (key, flag, text) in [
        ("agent.interval", "--interval", interval),
        ("agent.state_dir", "--state-dir", state_dir),
        ("agent.log_level", "--log-level", log_level),
        ("carbon.location", "--location", location),
        ("otlp.endpoint", "--endpoint", endpoint),
        ("prometheus.listen", "--listen", listen),
    ] {
        if let Some(text) = text {
            settings.set(key, Value::text(text), Origin::Flag(flag));
        }
    }
}
