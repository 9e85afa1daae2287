//! A scraper that is slower than the agent.

use std::time::Duration;

use wattrace::units::Nanos;
use wattrace_tests::receiver::closed_port;

use super::{agent::Place, page::get};
use crate::support::{Cgroup, Load, assert_agrees, live, steal, until};

/// Intervals after which what was removed has ended, and more.
const ENDED: usize = 10;

/// The CPU time of a cgroup, as the page has it.
fn cpu_time(page: &str, cgroup: &str) -> Option<Nanos> {
    let label = format!("wattrace_cgroup_path=\"{cgroup}\"");
    let is_mine = |line: &&str| line.starts_with("wattrace_workload_cpu_time_seconds_total{") && line.contains(&label);
    // Shared or not.
    let told: Vec<f64> =
        page.lines().filter(is_mine).filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
    let nanos = (told.iter().sum::<f64>() * 1e9).round() as u64;
    (!told.is_empty()).then_some(Nanos(nanos))
}

#[test]
fn what_ended_between_two_scrapes_is_on_the_next_page_and_then_goes() {
    live!();
    let address = closed_port().unwrap();
    let place = Place::new();
    let agent = place.start(&["--listen", &address.to_string()]);
    until("the page has figures", || get(address, "/metrics").contains("wattrace_node_cpu_unaccounted_ratio"));
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["spin", "1"]);
    let stolen = steal();
    load.go();
    load.wait();
    let (truth, stolen) = (cgroup.cpu(), steal() - stolen);
    cgroup.remove();
    // Its end is told a few intervals later, and further ones pass before anybody asks again.
    place.until_saved(ENDED);
    let page = get(address, "/metrics");
    let is_gauge = |line: &&str| line.starts_with("wattrace_workload_power_watts") && line.contains(&cgroup.name);
    assert_eq!(page.lines().find(is_gauge), None, "it has ended");
    let ours = cpu_time(&page, &cgroup.name).expect("the final value waits for the scraper");
    // What the load did to move in was before it was there, and the rest of its end after it was read.
    assert_agrees("lived 1 s", ours, truth, stolen + Nanos::from_millis(2));
    // The page of the interval after the next is there when the one after it is on disk.
    place.until_saved(3);
    let page = get(address, "/metrics");
    let left: Vec<&str> = page.lines().filter(|line| line.contains(&format!("{}\"", cgroup.name))).collect();
    assert_eq!(left, [""; 0], "it was told and goes");
    assert!(page.ends_with("# EOF\n"));
    agent.stop();
}

#[test]
fn a_page_that_was_not_read_to_its_end_was_not_told() {
    use std::{io::Write, net::TcpStream};
    live!();
    let address = closed_port().unwrap();
    let place = Place::new();
    let agent = place.start(&["--listen", &address.to_string()]);
    until("the page has figures", || get(address, "/metrics").contains("wattrace_node_cpu_unaccounted_ratio"));
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["spin", "0.3"]);
    load.go();
    load.wait();
    cgroup.remove();
    place.until_saved(ENDED);
    // Half a request is no scrape, and neither is a look at the head alone.
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").unwrap();
    let mut head = TcpStream::connect(address).unwrap();
    head.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    head.write_all(b"HEAD /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let answer = std::io::read_to_string(&mut head).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    place.until_saved(3);
    assert!(cpu_time(&get(address, "/metrics"), &cgroup.name).is_some(), "it still waits");
    agent.stop();
}
