//! The spare program at exec: beside the other it counts nothing twice, and alone everything.

use wattrace::probes::bpf::{EventPlan, Machine, Spares};

use super::{
    lives::Lives,
    probe::{EXECS, Probe},
};
use crate::support::{Cgroup, live, machine, until};

#[test]
fn a_program_that_is_started_counts_once_whoever_sees_it() {
    live!();
    for spares in [Spares::None, Spares::Beside, Spares::Alone] {
        let cgroup = Cgroup::new();
        let events = EventPlan { exit: true, ..EXECS };
        let mut probe = Probe::on(Machine { spares, events, ..machine() });
        let mut lives = Lives::new(&cgroup, &["many", "200", "1", "/bin/true"]);
        lives.go();
        let children = lives.ended();
        lives.end();
        until("all ends are told", || probe.exits(&cgroup).len() == 201);
        let (totals, execs) = (probe.of(&cgroup), probe.execs(&cgroup));
        assert_eq!((totals.forks, totals.execs, execs.len()), (200, 200, 200), "{spares:?}");
        for child in &children {
            let told = execs.iter().filter(|exec| exec.who.tgid == child.pid && exec.file == *b"/bin/true");
            assert_eq!(told.count(), 1, "{spares:?}: {child:?}");
        }
    }
}
