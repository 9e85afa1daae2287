//! `/metrics` as served.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use wattrace::telemetry::{catalog, names};
use wattrace_tests::{
    patience,
    receiver::{Fault, Receiver, closed_port},
};

use super::{
    agent::Place,
    received::{Point, instants, until_later},
};
use crate::support::{live, until};

pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn families(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// As the page is to call what was sent.
fn sent(points: &[Point]) -> BTreeSet<String> {
    let last = instants(points).into_iter().next_back().unwrap();
    let row = |point: &Point| catalog::ALL.iter().find(|metric| metric.name == point.metric).unwrap();
    points.iter().filter(|point| point.at == last).map(|point| names::family(row(point))).collect()
}

#[test]
fn the_page_has_the_metrics_that_are_sent_and_nothing_else() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let address = closed_port().unwrap();
    let place = Place::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint(), "--listen", &address.to_string()]);
    let points = until_later(&receiver, 2);
    let page = get(address, "/metrics");
    agent.stop();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("application/openmetrics-text"), "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert_eq!(families(&page), sent(&points));
    let known: BTreeSet<String> = catalog::ALL.iter().map(|metric| names::family(metric)).collect();
    assert!(families(&page).is_subset(&known));
}

#[test]
fn other_paths_are_not_there_and_nothing_can_be_written() {
    live!();
    let address = closed_port().unwrap();
    let place = Place::new();
    let agent = place.start(&["--listen", &address.to_string()]);
    for path in ["/", "/metrics/", "/metrics/x", "/../etc/passwd", "/debug"] {
        assert!(get(address, path).starts_with("HTTP/1.1 404 "), "{path}");
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    until("the page has figures", || get(address, "/metrics").contains("wattrace_workload_cpu_time_seconds_total"));
    agent.stop();
}

#[test]
fn slow_clients_hold_up_neither_measuring_nor_the_end() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let address = closed_port().unwrap();
    let place = Place::new();
    let agent = place.start(&["--endpoint", &receiver.endpoint(), "--listen", &address.to_string()]);
    let begun = |text: &[u8]| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(text).unwrap();
        stream
    };
    let silent: Vec<TcpStream> = (0..20).map(|_| begun(b"")).collect();
    let half: Vec<TcpStream> = (0..20).map(|_| begun(b"GET /metrics HTTP/1.1\r\nhost: ")).collect();
    // Asks for more than the kernel holds for it, and reads none of it.
    let many = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    let deaf: Vec<TcpStream> = (0..4).map(|_| begun(&many)).collect();
    until_later(&receiver, 3);
    assert!(get(address, "/metrics").starts_with("HTTP/1.1 200 "), "others are served");
    let said = agent.stop();
    drop((silent, half, deaf));
    assert!(!said.contains("could not be sent"), "{said}");
}
