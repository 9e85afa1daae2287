//! From the endpoint of the standard variables to an address. Pure.

use reqwest::Url;

/// An endpoint as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: a base to which the signal's path is appended.
    General(String),
    /// `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`: used as it is.
    Metrics(String),
}

/// The default endpoint of OTLP over HTTP.
pub const DEFAULT: &str = "http://localhost:4318";

/// An endpoint that is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the OTLP endpoint {shown:?} is no address: write it as http://HOST:PORT or https://HOST:PORT")]
pub struct EndpointError {
    /// What was given, without user and password.
    pub shown: String,
}

/// Where metrics go (OpenTelemetry specification, protocol/exporter.md, "Endpoint URLs for OTLP/HTTP").
pub fn metrics(endpoint: &Endpoint) -> Result<Url, EndpointError> {
    let (text, general) = match endpoint {
        Endpoint::General(text) => (text, true),
        Endpoint::Metrics(text) => (text, false),
    };
    let text = text.trim();
    let error = || EndpointError { shown: text.rsplit('@').next().unwrap_or_default().to_owned() };
    let mut url = Url::parse(text).map_err(|_| error())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(error());
    }
    if general {
        let path = format!("{}/v1/metrics", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_appended_to_a_general_endpoint_alone() {
        for (given, general, specific) in [
            ("http://localhost:4318", "http://localhost:4318/v1/metrics", "http://localhost:4318/"),
            ("http://localhost:4318/", "http://localhost:4318/v1/metrics", "http://localhost:4318/"),
            ("https://a.example/otlp", "https://a.example/otlp/v1/metrics", "https://a.example/otlp"),
            ("https://a.example/otlp/", "https://a.example/otlp/v1/metrics", "https://a.example/otlp/"),
            ("http://[::1]:1/x?tenant=1", "http://[::1]:1/x/v1/metrics?tenant=1", "http://[::1]:1/x?tenant=1"),
            (" http://a.example ", "http://a.example/v1/metrics", "http://a.example/"),
        ] {
            assert_eq!(metrics(&Endpoint::General(given.into())).unwrap().as_str(), general);
            assert_eq!(metrics(&Endpoint::Metrics(given.into())).unwrap().as_str(), specific);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for given in ["", "localhost:4318", "localhost", "ftp://a.example", "http://", "unix:/run/otlp", "https//a"] {
            assert!(metrics(&Endpoint::General(given.into())).is_err(), "{given}");
        }
        let error = metrics(&Endpoint::General("ftp://me:secret@a.example".into())).unwrap_err();
        assert_eq!(error.shown, "a.example");
    }
}
