//! TLS against a server made for one request at a time.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, Stream,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this machine and its key.
fn issue(by: &Authority) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    (CertificateParams::new(names).unwrap().signed_by(&key, by).unwrap(), key)
}

/// Answers every request with an empty 200; clients must show a certificate by `clients`, if given.
fn serve(by: &Authority, clients: Option<&Authority>) -> SocketAddr {
    let (certificate, key) = issue(by);
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        None => builder.unwrap().with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
    };
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = Stream::new(&mut tls, &mut socket);
            let mut piece = [0; 1024];
            // The request is shorter than one record; a client that gives up is part of the tests.
            if stream.read(&mut piece).is_ok_and(|count| count > 0) {
                let _told =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").is_ok();
                tls.send_close_notify();
                let _sent = tls.complete_io(&mut socket).is_ok();
            }
        }
    });
    address
}

fn write_client(folder: &Path, by: &Authority) -> ClientFiles {
    let (certificate, key) = issue(by);
    let files = ClientFiles { certificate: folder.join("client.pem"), key: folder.join("client.key") };
    fs::write(&files.certificate, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

fn secured(address: SocketAddr, folder: &Path, trusted: &Authority) -> Settings {
    let root = folder.join("root.pem");
    fs::write(&root, trusted.pem()).unwrap();
    Settings {
        certificate: Some(root),
        timeout: Duration::from_secs(30),
        ..settings(&format!("https://localhost:{}/v1/metrics", address.port()))
    }
}

fn send(client: &Client) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.send(Bytes::from_static(b"\x0a\x00"), Encoding::Identity))
}

fn delivered(client: &Client) -> bool {
    matches!(send(client), Outcome::Delivered { .. })
}

#[test]
fn the_given_root_alone_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority(), authority());
    let address = serve(&ours, None);
    assert!(delivered(&Client::new(secured(address, folder.path(), &ours)).unwrap()));
    let client = Client::new(secured(address, folder.path(), &other)).unwrap();
    let Outcome::Retry { after: None, why } = send(&client) else { panic!("trusted whom it must not") };
    assert!(why.to_lowercase().contains("certificate"), "{why}");
}

#[test]
fn a_client_shows_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority(), authority());
    let address = serve(&ours, Some(&ours));
    let plain = secured(address, folder.path(), &ours);
    assert!(!delivered(&Client::new(plain.clone()).unwrap()));
    let own = |by| Settings { client: Some(write_client(folder.path(), by)), ..plain.clone() };
    assert!(!delivered(&Client::new(own(&other)).unwrap()));
    assert!(delivered(&Client::new(own(&ours)).unwrap()));
}

#[test]
fn renewed_files_are_read_after_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (authority(), authority());
    let address = serve(&new, Some(&new));
    let files = write_client(folder.path(), &old);
    let client = Client::new(Settings { client: Some(files), ..secured(address, folder.path(), &old) }).unwrap();
    assert!(!delivered(&client));
    let _settings = secured(address, folder.path(), &new);
    fs::write(folder.path().join("client.pem"), "half writ").unwrap();
    assert!(!delivered(&client), "a half-written file changes nothing and stops nothing");
    let _files = write_client(folder.path(), &new);
    assert!(delivered(&client));
}
