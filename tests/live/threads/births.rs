//! Threads that are born and die: they leave every state, and what was kept of them is given back.

use wattrace_tests::is_long;

use super::{probe::Probe, truth::asleep};
use crate::support::{Cgroup, Load, live};

#[test]
fn thousands_of_threads_leave_nothing_behind() {
    live!();
    let count: u32 = if is_long() { 5_000 } else { 2_000 };
    let cgroup = Cgroup::new();
    let mut probe = Probe::start();
    let rows = probe.rows();
    let mut load = Load::born_in(&cgroup, &["births", &count.to_string(), "8"], &["stay"]);
    let before = asleep(&mut probe, &cgroup);
    load.tell();
    let line = load.line();
    assert_eq!(load.line(), "done\n");
    let after = asleep(&mut probe, &cgroup);
    after.assert_nothing_lost(&before);
    let ours = after.of(&cgroup, &before);
    let bounds: Vec<f64> = line.split_whitespace().map(|nanos| nanos.parse::<f64>().unwrap() / 1e9).collect();
    // The thread that makes the others is there all the time.
    let lived = ours.alive() - ours.wall;
    println!(
        "they lived {lived:.4} s, between {:.4} s and {:.4} s by their own clocks: {ours:?}",
        bounds[0], bounds[1]
    );
    assert!(lived >= bounds[0] * 0.995 - ours.slack, "{lived} < {}", bounds[0]);
    assert!(lived <= bounds[1] * 1.005 + ours.slack, "{lived} > {}", bounds[1]);
    // Each sleeps once and ends once, by its own will.
    let switches = ours.voluntary + ours.involuntary;
    assert!(ours.voluntary + ours.missed >= 2 * u64::from(count), "{switches} switches of {count} threads");
    assert_eq!(ours.now, [0, 0, 1, 0, 0], "one is left, and sleeps");
    load.tell();
    load.wait();
    let end = probe.read();
    assert_eq!(end.of(&cgroup, &before).now, [0; 5], "nobody is left");
    assert!(probe.rows() > rows && end.knows(&cgroup));
    cgroup.remove();
    assert!(probe.release(&cgroup), "nothing holds its rows");
    assert!(!probe.read().knows(&cgroup), "its rows are free");
    // Others may have come meanwhile, and this one gone.
    println!("{rows} rows of histograms before, {} after", probe.rows());
}
