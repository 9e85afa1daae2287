//! OTLP over HTTP/1.1: one request, one answer, what it means. When to send is the sender's business.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{
    StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use self::{proxy::Proxies, tls::Tls};
use super::outcome::{Answer, Encoding, Outcome, judge};

pub mod compress;
pub mod endpoint;
pub mod proxy;
pub mod tls;

/// More of an answer is not read: a status message is far shorter.
const LONGEST_BODY: usize = 64 << 10;

const USER_AGENT: &str = concat!("OTel-OTLP-Exporter-Rust-wattrace/", env!("CARGO_PKG_VERSION"));

/// Where and how to send.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The whole address, see [`endpoint::metrics`].
    pub url: Url,
    /// Further headers, such as a tenant or a token.
    pub headers: Vec<(String, String)>,
    /// For one request, from name resolution to the last byte of the answer.
    pub timeout: Duration,
    /// Roots to trust instead of the system's: a PEM file.
    pub certificate: Option<PathBuf>,
    /// Our own certificate and key: PEM files.
    pub client: Option<ClientFiles>,
    /// Proxies.
    pub proxies: Proxies,
}

/// For mutual TLS.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// The chain, the client's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A header that HTTP does not allow. Its value may be a secret and is not shown.
    #[error("header {name:?} cannot be sent: use letters, digits and '-' in its name and visible ASCII in its value")]
    Header {
        /// Its name.
        name: String,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// Proxies.
    #[error(transparent)]
    Proxy(#[from] proxy::ProxyError),
    /// The library does not want these settings.
    #[error("cannot set up an HTTP client: {0}")]
    Client(String),
}

/// A client for one destination.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    headers: HeaderMap,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    tls: Tls,
    client: reqwest::Client,
    /// A request failed since the files were read: they may have been renewed.
    stale: bool,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or as much of it as was read.
    pub body: Vec<u8>,
}

impl Reply {
    /// In the form that is judged.
    pub fn answer(&self) -> Answer<'_> {
        let text = |name| self.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Answer {
            status: self.status.as_u16(),
            retry_after: text(header::RETRY_AFTER),
            date: text(header::DATE),
            location: text(header::LOCATION),
            content_type: text(header::CONTENT_TYPE),
            body: &self.body,
        }
    }
}

impl Client {
    /// Reads the certificates; connects to nothing.
    pub fn new(settings: Settings) -> Result<Self, HttpError> {
        let headers = headers(&settings.headers)?;
        let tls = Tls::read(&settings)?;
        let client = build(&settings, &tls)?;
        Ok(Self { settings, headers, loaded: Mutex::new(Loaded { tls, client, stale: false }) })
    }

    /// Sends one request, compressed as `encoding`, and judges the answer. Redirects are not followed.
    ///
    /// Cancelling it closes the connection.
    pub async fn send(&self, body: Bytes, encoding: Encoding) -> Outcome {
        match self.post(body, encoding).await {
            Ok(reply) => judge(&reply.answer(), encoding),
            Err(why) => Outcome::Retry { after: None, why },
        }
    }

    /// The same without judgement. An error says why there is no answer; certificates are then looked at again.
    pub async fn post(&self, body: Bytes, encoding: Encoding) -> Result<Reply, String> {
        let reply = self.exchange(body, encoding).await;
        if reply.is_err() {
            self.loaded.lock().unwrap_or_else(PoisonError::into_inner).stale = true;
        }
        reply
    }

    async fn exchange(&self, body: Bytes, encoding: Encoding) -> Result<Reply, String> {
        let request = self.current()?.post(self.settings.url.clone()).headers(self.headers.clone());
        let request = match encoding {
            Encoding::Identity => request.body(body),
            Encoding::Gzip => request.header(header::CONTENT_ENCODING, "gzip").body(compress::gzip(&body)?),
            Encoding::Zstd => request.header(header::CONTENT_ENCODING, "zstd").body(compress::zstd(&body)?),
        };
        let mut response = request.send().await.map_err(told)?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Reply { status, headers, body: read(&mut response).await })
    }

    /// The client, with certificates read anew when a request failed since and the files differ now.
    fn current(&self) -> Result<reqwest::Client, String> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut loaded.stale) {
            // Half-written files are no reason to stop: what was read before stays in use.
            if let Ok(tls) = Tls::read(&self.settings)
                && tls != loaded.tls
            {
                loaded.client = build(&self.settings, &tls).map_err(|error| error.to_string())?;
                loaded.tls = tls;
            }
        }
        Ok(loaded.client.clone())
    }
}

/// The answer's body. One that breaks off, drips too slowly or is too long counts as far as it came: the status is
/// known by then, and to send again what was taken is worse than to miss a remark.
async fn read(response: &mut reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(piece.get(..LONGEST_BODY - body.len()).unwrap_or(&piece));
        if body.len() == LONGEST_BODY {
            break;
        }
    }
    body
}

fn build(settings: &Settings, tls: &Tls) -> Result<reqwest::Client, HttpError> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .timeout(settings.timeout)
        .redirect(redirect::Policy::none())
        .http1_only()
        .pool_max_idle_per_host(1)
        .tls_backend_preconfigured(tls.configuration()?);
    settings.proxies.apply(builder, &settings.url)?.build().map_err(|error| HttpError::Client(told(error)))
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    for (name, value) in given {
        let error = || HttpError::Header { name: name.clone() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| error())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| error())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The whole chain of causes, without the address: it may hold a password.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests;
