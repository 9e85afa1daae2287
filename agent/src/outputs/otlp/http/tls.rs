//! TLS by rustls on ring: whom to trust, and who we are.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::Settings;

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("cannot read {path}: {source}; check its path and rights")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file without what it should hold.
    #[error("{path} holds no {what} that can be used: it must be in PEM form")]
    Content {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// No root at all.
    #[error("this system has no trusted certificates: install them (ca-certificates), or name a file of your own")]
    NoRoots,
    /// Certificate and key do not fit, or are of a kind that is not known.
    #[error("the client's certificate and key cannot be used: {0}")]
    Client(rustls::Error),
    /// The TLS versions that are compiled in.
    #[error("TLS cannot be set up: {0}")]
    Versions(rustls::Error),
}

/// What the files hold. Two readings are equal when nothing was renewed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tls {
    roots: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Tls {
    /// Reads what an `https` destination needs; nothing for plain `http`.
    pub(super) fn read(settings: &Settings) -> Result<Self, TlsError> {
        if settings.url.scheme() != "https" {
            return Ok(Self { roots: Vec::new(), client: None });
        }
        let roots = match &settings.certificate {
            Some(path) => certificates(path)?,
            // Some unreadable file among them is the system's affair as long as there is one that can be read.
            None => rustls_native_certs::load_native_certs().certs,
        };
        if roots.is_empty() {
            return Err(TlsError::NoRoots);
        }
        let client = settings.client.as_ref().map(|files| Ok((certificates(&files.certificate)?, key(&files.key)?)));
        Ok(Self { roots, client: client.transpose()? })
    }

    /// The configuration for the client.
    pub(super) fn configuration(&self) -> Result<ClientConfig, TlsError> {
        let mut roots = RootCertStore::empty();
        // Old roots in a form that is refused today are common in system stores.
        let _counts = roots.add_parsable_certificates(self.roots.iter().cloned());
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Versions)?
            .with_root_certificates(roots);
        match &self.client {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(TlsError::Client)
            }
        }
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    let found = found.unwrap_or_default();
    if found.is_empty() {
        return Err(TlsError::Content { path: path.to_owned(), what: "certificate" });
    }
    Ok(found)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let content = bytes(path)?;
    PrivateKeyDer::from_pem_slice(&content)
        .map_err(|_| TlsError::Content { path: path.to_owned(), what: "private key" })
}
