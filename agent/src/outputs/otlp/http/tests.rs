use std::io::Read;

use super::*;

mod certificates;

fn settings(url: &str) -> Settings {
    Settings {
        url: Url::parse(url).unwrap(),
        headers: Vec::new(),
        timeout: Duration::from_secs(1),
        certificate: None,
        client: None,
        proxies: Proxies::default(),
    }
}

#[test]
fn compressed_bodies_come_back() {
    let body = b"metrics ".repeat(1000);
    let mut back = Vec::new();
    flate2::read::GzDecoder::new(&*compress::gzip(&body).unwrap()).read_to_end(&mut back).unwrap();
    assert_eq!(back, body);
    assert_eq!(zstd::bulk::decompress(&compress::zstd(&body).unwrap(), body.len()).unwrap(), body);
}

#[test]
fn a_bad_header_is_named_without_its_value() {
    for (name, value) in [("bad name", "x"), ("x-token", "sec\nret"), ("", "x")] {
        let given = Settings { headers: vec![(name.into(), value.into())], ..settings("http://localhost:1") };
        let error = Client::new(given).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}")) && !error.contains("ret"), "{error}");
    }
}

#[test]
fn plain_http_needs_no_certificates() {
    let given = Settings { certificate: Some("/nonexistent".into()), ..settings("http://localhost:1") };
    assert!(Client::new(given).is_ok());
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN CERTIFICATE-----\n???").unwrap();
    for (path, expected) in [(folder.path().join("absent.pem"), "cannot read"), (garbage, "holds no certificate")] {
        let given = Settings { certificate: Some(path.clone()), ..settings("https://localhost:1") };
        let error = Client::new(given).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(path.to_str().unwrap()), "{error}");
    }
}
