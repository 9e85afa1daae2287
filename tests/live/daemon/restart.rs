//! What a receiver sees of an agent that is killed, and of one that follows it.

use std::{collections::BTreeMap, fs};

use rustix::process::Signal;
use wattrace_tests::{
    patience,
    receiver::{Fault, Receiver},
};

use super::{
    agent::{Agent, Place, path, refusal, wait_for_the_host},
    received::{Point, cpu_time, instants, until_later},
};
use crate::support::{Cgroup, Load, live};

#[test]
fn after_kill_9_no_counter_falls_and_the_time_between_is_unknown() {
    live!();
    let receiver = Receiver::start(|_| Fault::None).unwrap();
    let place = Place::new();
    let cgroup = Cgroup::new();
    let mut load = Load::in_cgroup(&cgroup, &["spin", "60"]);
    load.go();
    let mut agent = place.start(&["--endpoint", &receiver.endpoint()]);
    let before = until_later(&receiver, 2);
    agent.signal(Signal::KILL);
    assert!(!agent.end(patience(5)).success());
    let killed = receiver.requests().len();
    let agent = place.start(&["--endpoint", &receiver.endpoint()]);
    let after = until_later(&receiver, 2);
    agent.stop();
    assert!(receiver.requests().len() > killed);
    assert_nothing_falls(&after);
    let [earlier, later] = [&before, &after].map(|points| cpu_time(points, &cgroup.name).unwrap().seconds());
    assert!(later > earlier + 0.5, "it goes on from {earlier}: {later}");
    assert_downtime(&before, &after);
}

/// Sums never fall within one start, and those of workloads and node keep theirs.
pub fn assert_nothing_falls(points: &[Point]) {
    let mut last: BTreeMap<_, &Point> = BTreeMap::new();
    for point in points.iter().filter(|point| point.is_sum && point.value.is_some()) {
        let series = point.series();
        if let Some(before) = last.insert(series.clone(), point) {
            let own = ["wattrace.workload.", "wattrace.node.", "hw."].iter().any(|own| point.metric.starts_with(own));
            assert!(!own || point.start == before.start, "{series:?} starts anew");
            assert!(point.start >= before.start, "{series:?} starts earlier");
            assert!(
                point.value >= before.value || point.start >= before.at,
                "{series:?} fell from {before:?} to {point:?}"
            );
        }
    }
    assert!(last.len() > 10);
}

/// Only the model's zone cannot say what was used meanwhile.
fn assert_downtime(before: &[Point], after: &[Point]) {
    let modelled = after.iter().any(|point| point.attribute("wattrace.energy.source") == "model");
    if !modelled {
        println!("SKIPPED: this machine has a meter, which counts without the agent");
        return;
    }
    let down = |points: &[Point]| {
        let mine = |point: &&Point| {
            point.metric == "wattrace.node.energy.unknown.time"
                && point.attribute("wattrace.energy.unknown.reason") == "agent_down"
        };
        points.iter().filter(mine).filter_map(|point| point.value).next_back()
    };
    assert!(down(before).is_none_or(|down| down <= 0.0), "{:?}", down(before));
    let told = instants(before).into_iter().next_back().unwrap();
    let next = instants(after).into_iter().find(|at| *at > told).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let most = (next - told) as f64 / 1e9;
    let down = down(after).unwrap();
    println!("down {down} s of {most} s between the two snapshots");
    assert!(down > 0.0 && down <= most, "{down} of {most}");
}

#[test]
fn a_second_agent_refuses_with_a_sentence() {
    live!();
    let (first, second) = (Place::new(), Place::new());
    let mut agent = first.start(&[]);
    let said = refusal(&mut second.command(&[]));
    assert!(said.contains("another wattrace runs on this host: one agent per host"), "{said}");
    assert!(!said.contains("measuring every"), "{said}");
    assert!(agent.is_running());
    agent.stop();
}

#[test]
fn a_state_folder_that_cannot_be_is_refused_with_what_to_do() {
    live!();
    let place = Place::new();
    wait_for_the_host();
    let said = refusal(&mut place.command(&["--state-dir", path(&place.config().join("below"))]));
    assert!(said.contains("cannot keep totals in") && said.contains("agent.state_dir"), "{said}");
}

#[test]
fn a_corrupt_state_file_is_set_aside_and_said() {
    live!();
    let place = Place::new();
    fs::create_dir(place.state()).unwrap();
    fs::write(place.state_file(), "{\"version\":1,").unwrap();
    let agent: Agent = place.start(&[]);
    let aside = place.state().join("state.json.corrupt-1");
    assert!(agent.said().contains(&format!("counting starts anew, and they are kept in {}", aside.display())));
    assert_eq!(fs::read_to_string(&aside).unwrap(), "{\"version\":1,");
    place.until_saved(2);
    agent.stop();
}
