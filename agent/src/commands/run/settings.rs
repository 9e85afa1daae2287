//! From the configuration to destinations.

use std::time::Duration;

use wattrace_common::events::WINDOW_SHIFT;

use crate::{
    config::{self, Arguments, Config, Events, Headers, Resource},
    diagnostics::{self, DiagnosticsError},
    outputs::{
        exporter::{Destinations, Otlp},
        otlp::{
            http::{Client, HttpError, proxy::Proxies},
            queue::Items,
            retry::Pace,
            sender,
        },
    },
    probes::bpf::EventPlan,
    telemetry::{added::Added, describe::Host},
};

/// Why a destination cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The address.
    #[error("{option} {url:?} is no address: {why}")]
    Url {
        /// Which option.
        option: &'static str,
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

/// Room for events that could not be sent yet.
const EVENTS: usize = 8 << 20;

/// The OTLP destinations that there are.
pub(super) fn otlp(config: &Config) -> Result<Otlp, SettingsError> {
    let config::Otlp { endpoint, headers, timeout, queue, logs, .. } = &config.otlp;
    let bound = usize::try_from(queue.0).unwrap_or(usize::MAX);
    let of_events = logs.endpoint.as_ref().filter(|_| config.events.any());
    let metrics = endpoint.as_ref().map(|url| destination(config, (url, headers, *timeout), (Items::Metrics, bound)));
    let events = of_events.map(|url| destination(config, (url, &logs.headers, logs.timeout), (Items::Events, EVENTS)));
    Ok(Otlp { metrics: metrics.transpose()?, events: events.transpose()? })
}

fn destination(
    config: &Config,
    to: (&str, &Headers, Duration),
    (items, bound): (Items, usize),
) -> Result<(Client, sender::Settings), SettingsError> {
    let reached = diagnostics::reach(&config.otlp, to, proxies());
    let option = match items {
        Items::Metrics => "otlp.endpoint",
        Items::Events => "otlp.logs_endpoint",
    };
    let (http, encoding) = reached.map_err(|why| SettingsError::Url { option, url: to.0.to_owned(), why })?;
    let client = Client::new(http)?;
    let seed = crate::clock::now().wall.0 ^ u64::from(std::process::id()) << 32;
    Ok((client, sender::Settings { encoding, pace: Pace::default(), items, bound, seed }))
}

/// What the kernel programs send: nothing where nothing would take it.
pub(super) fn event_plan(config: &Config) -> EventPlan {
    if config.otlp.logs.endpoint.is_none() {
        return EventPlan::default();
    }
    let Events { process_exec, process_exit, tcp_connection_closed, args, rate, energy: _ } = config.events;
    EventPlan {
        exec: process_exec,
        args: args == Arguments::Redacted,
        exit: process_exit,
        closed: tcp_connection_closed,
        rate: Some(in_window(rate)),
    }
}

/// As many in a window as a rate per second allows. A window is longer than a second, so that is one at least.
fn in_window(rate: u32) -> u32 {
    let nanos = u64::from(rate) << WINDOW_SHIFT;
    u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Logs;

    #[test]
    fn a_window_has_what_the_rate_allows_in_its_time() {
        for rate in [1, 2, 99, 100, 9_999, 10_000] {
            let per_second = f64::from(in_window(rate)) / (f64::from(1 << WINDOW_SHIFT) / 1e9);
            assert!(per_second <= f64::from(rate) && per_second > f64::from(rate) - 1.0, "{rate}: {per_second}");
        }
    }

    #[test]
    fn nothing_is_sent_that_nothing_would_take() {
        let mut config = Config { events: Events { process_exit: true, ..Events::default() }, ..Config::default() };
        assert_eq!(event_plan(&config), EventPlan::default());
        assert!(otlp(&config).unwrap().events.is_none());
        config.otlp.logs = Logs { endpoint: Some("http://a/v1/logs".to_owned()), ..config.otlp.logs };
        assert_eq!(event_plan(&config), EventPlan { exit: true, rate: Some(107), ..EventPlan::default() });
        assert!(otlp(&config).unwrap().events.is_some());
    }
}
