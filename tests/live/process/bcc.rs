//! The same load, at the same time, by the bcc tools that are built for it (Debian's `libbpf-tools`).

use wattrace::units::Nanos;

use super::{
    lives::Lives,
    probe::{EXECS, Probe},
};
use crate::{
    support::{Cgroup, live, until},
    threads::bcc::Tool,
};

use wattrace::probes::bpf::EventPlan;

/// The lines of a tool that name a process of the load, as a word.
fn lines<'a>(said: &'a str, pids: &[u32]) -> Vec<&'a str> {
    let is_ours = |line: &&str| line.split_whitespace().any(|word| word.parse().is_ok_and(|pid| pids.contains(&pid)));
    said.lines().filter(is_ours).collect()
}

/// Children of all kinds: of the first threads alone the tool knows, and each child here has no other.
#[test]
fn exitsnoop_and_execsnoop_count_the_same() {
    live!();
    let cgroup = Cgroup::new();
    let mut probe = Probe::start(EventPlan { exit: true, ..EXECS });
    let Some(exits) = Tool::of_cgroup("exitsnoop", &cgroup, 1) else { return };
    let Some(execs) = Tool::of_cgroup("execsnoop", &cgroup, 2) else { return };
    let mut lives = Lives::new(&cgroup, &["mix", "200"]);
    lives.go();
    let children = lives.ended();
    until("all ends are counted", || probe.of(&cgroup).exits.iter().sum::<u64>() == 200);
    let (exits, execs) = (exits.end(), execs.end());
    let pids: Vec<u32> = children.iter().map(|child| child.pid).collect();
    let (theirs, ours) = (lines(&exits, &pids), probe.exits(&cgroup));
    println!("exitsnoop {}, we {}; e.g. {:?}", theirs.len(), ours.len(), theirs.first());
    assert_eq!((theirs.len(), ours.len()), (200, 200));
    for exit in &ours {
        let line = lines(&exits, &[exit.who.tgid])[0];
        let signal = exit.status & 0x7f;
        let said = if signal == 0 { format!("code {}", exit.status >> 8) } else { format!("signal {signal} ") };
        assert!(line.contains(&said) || exit.status == 0 && line.trim_end().ends_with(" 0"), "{exit:?}: {line}");
    }
    let (theirs, ours) = (lines(&execs, &pids), probe.execs(&cgroup));
    println!("execsnoop {}, we {}; e.g. {:?}", theirs.len(), ours.len(), theirs.first());
    assert_eq!((theirs.len(), ours.len()), (40, 40));
    assert!(probe.of(&cgroup).exited_cpu > Nanos::from_millis(1));
    lives.end();
}
