//! The proxy variables: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`, in either case.

use reqwest::{ClientBuilder, NoProxy, Proxy, Url};

/// Proxies as configured. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://` destinations.
    pub http: Option<String>,
    /// For `https://` destinations.
    pub https: Option<String>,
    /// For both, where there is none of their own.
    pub all: Option<String>,
    /// Hosts that are reached directly: names, domains, addresses, networks, or `*`.
    pub except: Option<String>,
}

/// A proxy that cannot be used. Its address may hold a password and is not shown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy for {scheme} is no address that can be used: write it as http://HOST:PORT")]
pub struct ProxyError {
    /// `http` or `https`.
    pub scheme: String,
}

impl Proxies {
    /// From the environment, which `variable` looks up: lower case before upper case, an empty value is none.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            let found = variable(name).filter(|value| !value.trim().is_empty());
            found.or_else(|| variable(&name.to_uppercase()).filter(|value| !value.trim().is_empty()))
        };
        Self { http: find("http_proxy"), https: find("https_proxy"), all: find("all_proxy"), except: find("no_proxy") }
    }

    /// The proxy for `url`. This very machine is never reached through one: a proxy would look at itself.
    fn of(&self, url: &Url) -> Option<&str> {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<core::net::IpAddr>();
        if host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback()) {
            return None;
        }
        let own = if url.scheme() == "https" { &self.https } else { &self.http };
        own.as_deref().or(self.all.as_deref())
    }

    /// Sets what `url` needs, and nothing that the library would find by itself.
    pub(super) fn apply(&self, builder: ClientBuilder, url: &Url) -> Result<ClientBuilder, ProxyError> {
        let builder = builder.no_proxy();
        let Some(address) = self.of(url) else { return Ok(builder) };
        let error = || ProxyError { scheme: url.scheme().to_owned() };
        // Bare HOST:PORT is common in these variables, and means http.
        let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(error());
        }
        let proxy = Proxy::all(address).map_err(|_| error())?;
        Ok(builder.proxy(proxy.no_proxy(self.except.as_deref().and_then(NoProxy::from_string))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn variables_are_found_in_either_case() {
        let proxies = Proxies::from_variables(|name| {
            let found = match name {
                "http_proxy" => "http://lower",
                "HTTP_PROXY" => "http://upper",
                "https_proxy" => " ",
                "ALL_PROXY" => "http://all",
                _ => return None,
            };
            Some(found.to_owned())
        });
        let expected =
            Proxies { http: Some("http://lower".into()), all: Some("http://all".into()), ..Proxies::default() };
        assert_eq!(proxies, expected);
        assert_eq!(proxies.of(&url("http://a.example")), Some("http://lower"));
        assert_eq!(proxies.of(&url("https://a.example")), Some("http://all"));
    }

    #[test]
    fn this_machine_is_reached_directly() {
        let proxies = Proxies { all: Some("http://proxy".into()), ..Proxies::default() };
        for text in ["http://localhost:4318", "http://127.0.0.1", "http://[::1]:4318", "http://x.localhost"] {
            assert_eq!(proxies.of(&url(text)), None, "{text}");
        }
        assert_eq!(proxies.of(&url("http://127.example")), Some("http://proxy"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_refused() {
        let apply = |address: &str| {
            let proxies = Proxies { all: Some(address.to_owned()), ..Proxies::default() };
            proxies.apply(ClientBuilder::new(), &url("https://a.example")).map(|_| ())
        };
        assert_eq!(apply("proxy.example:3128"), Ok(()));
        assert_eq!(apply("https://me:secret@proxy.example"), Ok(()));
        let error = ProxyError { scheme: "https".into() };
        assert_eq!(apply("socks5://proxy.example"), Err(error));
        assert!(apply("http://").is_err());
    }
}
