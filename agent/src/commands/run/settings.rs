//! From the configuration to destinations.

use crate::{
    config::{Config, Resource},
    diagnostics::{self, DiagnosticsError},
    outputs::{
        exporter::Destinations,
        otlp::{
            http::{Client, HttpError, proxy::Proxies},
            retry::Pace,
            sender,
        },
    },
    telemetry::{added::Added, describe::Host},
};

/// Why a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The address.
    #[error("otlp.endpoint {url:?} is no address: {why}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// Headers, certificates, proxies.
    #[error(transparent)]
    Http(#[from] HttpError),
}

/// The destinations that are configured.
pub(super) fn destinations(config: &Config) -> Result<Destinations, SettingsError> {
    Ok(Destinations {
        otlp: otlp(config)?,
        prometheus: config.prometheus.listen,
        added: added(config),
        clock: crate::clock::monotonic,
    })
}

/// What is added to resources.
pub(super) fn added(config: &Config) -> Added {
    let Resource { attributes, service_name } = config.resource.clone();
    Added { attributes, service_name }
}

/// What the agent says about itself, and where to.
pub(super) fn diagnostics(config: &Config, host: &Host) -> Result<diagnostics::Settings, DiagnosticsError> {
    diagnostics::Settings::new(config, host, added(config), proxies())
}

fn proxies() -> Proxies {
    Proxies::from_variables(|name| std::env::var(name).ok())
}

/// The OTLP destination, if there is one.
pub(super) fn otlp(config: &Config) -> Result<Option<(Client, sender::Settings)>, SettingsError> {
    let otlp = &config.otlp;
    let Some(url) = &otlp.endpoint else { return Ok(None) };
    let reached = diagnostics::reach(otlp, (url, &otlp.headers, otlp.timeout), proxies());
    let (http, encoding) = reached.map_err(|why| SettingsError::Url { url: url.clone(), why })?;
    let client = Client::new(http)?;
    let bound = usize::try_from(otlp.queue.0).unwrap_or(usize::MAX);
    let seed = crate::clock::now().wall.0 ^ u64::from(std::process::id()) << 32;
    Ok(Some((client, sender::Settings { encoding, pace: Pace::default(), bound, seed })))
}
