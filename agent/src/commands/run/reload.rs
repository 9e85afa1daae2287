//! SIGHUP: what can change while running does, the rest is named.

use tracing::{info, warn};

use super::{Request, RunError, agent::Agent, settings};
use crate::config::{self, Config, Reload};

/// The configuration as it is now, if who runs the agent may ask for it.
pub(super) fn read(request: &Request) -> Result<Config, RunError> {
    let file = config::file_to_read(request.config.as_deref());
    let config = config::load(file, &request.variables, &request.flags)?.config;
    allowed(config, rustix::process::geteuid().is_root())
}

fn allowed(config: Config, is_root: bool) -> Result<Config, RunError> {
    if config.agent.needs_root() && !is_root { Err(RunError::Interval) } else { Ok(config) }
}

impl Agent {
    /// Takes `read` over as far as it can; all of it, or nothing.
    pub(super) fn reload(&mut self, read: Result<Config, RunError>) {
        match read.and_then(|new| self.take_over(&new)) {
            Ok(Reload { changed, needs_restart }) => {
                self.health.reloads.success += 1;
                let changed = changed.join(", ");
                if needs_restart.is_empty() {
                    info!(changed, "configuration reloaded");
                } else {
                    let rest = needs_restart.join(", ");
                    warn!(changed, "configuration reloaded; these need a restart: {rest}");
                }
            }
            Err(error) => {
                self.health.reloads.failure += 1;
                warn!("the configuration is kept as it was: {error}");
            }
        }
    }

    fn take_over(&mut self, new: &Config) -> Result<Reload, RunError> {
        let difference = config::reload(&self.config, new);
        let next = config::taken_over(&self.config, new);
        // Certificates are read anew, whether their names have changed or not.
        let otlp = settings::otlp(&next)?;
        self.diagnostics.redirect(settings::diagnostics(&next, &self.host)?.logs.as_ref())?;
        self.exporter.label(settings::added(&next));
        let dropped = self.exporter.redirect(otlp);
        if dropped.snapshots > 0 {
            warn!("{} snapshots that waited are dropped: no metrics are sent over OTLP any more", dropped.snapshots);
        }
        if dropped.events > 0 {
            warn!("{} events that waited are dropped: nothing takes them any more", dropped.events);
        }
        self.diagnostics.set_level(next.agent.log_level);
        self.config = next;
        Ok(difference)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn short_intervals_are_roots() {
        for (seconds, is_root, expected) in
            [(1, true, true), (1, false, false), (9, false, false), (10, false, true), (3_600, false, true)]
        {
            let mut config = Config::default();
            config.agent.interval = Duration::from_secs(seconds);
            assert_eq!(allowed(config, is_root).is_ok(), expected, "{seconds} s, root: {is_root}");
        }
    }
}
