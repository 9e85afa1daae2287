//! What a running agent can take over from a changed configuration.

use super::{
    options::OPTIONS,
    print,
    valid::{Agent, Config, Otlp},
};

/// The options that differ, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Take effect at once.
    pub changed: Vec<&'static str>,
    /// Take effect when the agent starts again.
    pub needs_restart: Vec<&'static str>,
}

/// Compares the configuration in force with the one read again.
pub fn reload(old: &Config, new: &Config) -> Reload {
    let (old, new) = (print::values(old), print::values(new));
    let differing = OPTIONS.iter().filter(|option| old.get(option.key) != new.get(option.key));
    let (changed, needs_restart): (Vec<_>, Vec<_>) = differing.partition(|option| option.reload);
    let keys = |options: Vec<&super::options::Opt>| options.into_iter().map(|option| option.key).collect();
    Reload { changed: keys(changed), needs_restart: keys(needs_restart) }
}

/// What is in force after `old` took over from `new` what it can.
pub fn taken_over(old: &Config, new: &Config) -> Config {
    let Agent { interval, log_level, state_dir: _, functional_unit: _ } = new.agent;
    Config {
        agent: Agent { interval, log_level, ..old.agent.clone() },
        otlp: Otlp { queue: old.otlp.queue, ..new.otlp.clone() },
        resource: new.resource.clone(),
        ..old.clone()
    }
}
