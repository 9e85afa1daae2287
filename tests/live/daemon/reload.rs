//! What a SIGHUP changes at once.

use rustix::process::Signal;
use wattrace_tests::receiver::{Fault, Receiver, closed_port};

use super::{
    agent::Place,
    page::get,
    received::{Point, instants, points, until_later, until_received},
};
use crate::support::{live, until};

fn sending_to(endpoint: &str, more: &str) -> String {
    format!("[agent]\ninterval = \"1s\"\n\n[otlp]\nendpoint = \"{endpoint}\"\n{more}")
}

#[test]
fn what_waits_goes_to_another_destination_which_may_go_and_come() {
    live!();
    let stalls = Receiver::start(|_| Fault::Stall).unwrap();
    let takes = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    place.configure(&sending_to(&stalls.endpoint(), ""));
    let agent = place.start(&[]);
    place.until_saved(3);
    place.configure(&sending_to(&takes.endpoint(), "compression = \"none\"\nheaders = { tenant = \"t\" }\n"));
    agent.signal(Signal::HUP);
    agent.until_said("configuration reloaded");
    let told = until_received(&takes, "what waited", |points| instants(points).len() >= 4);
    assert!(points(&stalls).is_empty());
    assert!(told.iter().any(|point| point.is_sum && point.at == point.start), "the first snapshot is among them");
    let request = takes.requests().remove(0);
    assert_eq!((request.header("content-encoding"), request.header("tenant")), (None, Some("t")));

    place.configure(&sending_to("off", ""));
    agent.signal(Signal::HUP);
    // Once it exports nothing it shows who used what.
    agent.until_said("last ");
    let before = takes.count();
    place.until_saved(3);
    assert_eq!(takes.count(), before, "nothing is sent any more");

    place.configure(&sending_to(&takes.endpoint(), ""));
    agent.signal(Signal::HUP);
    until_later(&takes, 2);
    let said = agent.stop();
    assert_eq!(said.matches("configuration reloaded").count(), 3, "{said}");
    assert!(!said.contains("restart"), "{said}");
}

#[test]
fn attributes_are_added_everywhere_and_change_at_once() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let address = closed_port().unwrap();
    let place = Place::new();
    let with = |attribute: &str, name: &str| {
        sending_to(
            &receiver.endpoint(),
            &format!("\n[resource]\nattributes = {{ \"deployment.environment.name\" = \"{attribute}\" }}\n{name}"),
        )
    };
    let environment = |point: &Point| point.resource.get("deployment.environment.name").cloned();
    let names = |points: &[Point]| {
        let own = points.iter().filter(|point| point.instance().ends_with("/agent"));
        own.map(|point| point.resource["service.name"].clone()).collect::<Vec<_>>()
    };
    place.configure(&with("lab", ""));
    let agent = place.start(&["--listen", &address.to_string()]);
    let first = until_later(&receiver, 2);
    assert!(first.iter().all(|point| environment(point).as_deref() == Some("lab")));
    assert!(names(&first).iter().all(|name| name == "agent"));
    assert!(get(address, "/metrics").contains("\ntarget_info{deployment_environment_name=\"lab\"} 1\n"));

    place.configure(&with("field", "service_name = \"mine\"\n"));
    agent.signal(Signal::HUP);
    agent.until_said("configuration reloaded");
    let later = until_received(&receiver, "the new attribute", |points| {
        points.last().is_some_and(|point| environment(point).as_deref() == Some("field"))
    });
    let changed: Vec<Point> =
        later.into_iter().filter(|point| environment(point).as_deref() == Some("field")).collect();
    assert!(!changed.is_empty() && names(&changed).iter().all(|name| name == "mine"));
    assert!(
        changed.iter().all(|point| point.instance().ends_with("/agent") || point.resource["service.name"] != "mine")
    );
    until("the page has it too", || {
        let page = get(address, "/metrics");
        page.contains("\ntarget_info{deployment_environment_name=\"field\"} 1\n")
            && page.contains("service_name=\"mine\"")
    });

    place.configure(&sending_to(&receiver.endpoint(), "\n[resource]\nattributes = { \"host.id\" = \"y\" }\n"));
    agent.signal(Signal::HUP);
    agent.until_said("the configuration is kept as it was: ");
    assert!(agent.said().contains("\"host.id\", by which resources are told apart"), "{}", agent.said());
    agent.stop();
}

#[test]
fn short_intervals_are_refused_to_others_than_root() {
    live!();
    let place = Place::new();
    place.configure("[agent]\ninterval = \"10s\"\n");
    let mut agent = place.start_as(65_534, "10s");
    place.configure("[agent]\ninterval = \"1s\"\n");
    agent.signal(Signal::HUP);
    agent.until_said("the configuration is kept as it was: intervals below 10s show what other users compute");
    assert!(agent.is_running());
    agent.stop();
}

#[test]
fn a_level_takes_effect_at_once() {
    live!();
    let place = Place::new();
    let agent = place.start(&[]);
    place.configure("[agent]\ninterval = \"1s\"\nlog_level = \"error\"\n");
    agent.signal(Signal::HUP);
    place.until_saved(3);
    assert!(!agent.said().contains("configuration reloaded"), "{}", agent.said());
    place.configure("[agent]\ninterval = \"1s\"\n");
    agent.signal(Signal::HUP);
    agent.until_said("configuration reloaded");
    agent.stop();
}
